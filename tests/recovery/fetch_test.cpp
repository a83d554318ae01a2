// SPDX-License-Identifier: Apache-2.0
// What an archive may answer, and what becomes of it.
#include "backup/package/record.h"
#include "backup/recovery/fetch.h"
#include "tests/device/fixture.h"
#include "tests/device/test_archive.h"

namespace imprint::test {
namespace {

const std::string chip(64, 'a');

class Fetch : public ::testing::Test {
protected:
    Result<Bytes> get(std::optional<std::uint64_t> sequence = std::nullopt, std::chrono::seconds limit = limit_)
    {
        return recovery::fetch_record(archive.address(), chip, sequence, std::chrono::steady_clock::now() + limit,
                                      cancel);
    }
    std::optional<Reason> failure_of(const std::string& response)
    {
        archive.put_raw("/v1/records/" + chip, response);
        return reason_of([&] { (void)get(); });
    }

    static constexpr std::chrono::seconds limit_{20};
    TestArchive archive;
    tls::Cancel cancel;
};

// As much of DER as the transport looks at: a SEQUENCE of this size.
Bytes der(std::size_t size)
{
    const auto high = static_cast<std::uint8_t>(size >> 16), middle = static_cast<std::uint8_t>(size >> 8),
               low = static_cast<std::uint8_t>(size);
    Bytes bytes{0x30, 0x83, high, middle, low};
    bytes.resize(size + 5, 0x5a);
    return bytes;
}

TEST_F(Fetch, NewestAndBySequence)
{
    archive.put("/v1/records/" + chip, der(100000));
    archive.put("/v1/records/" + chip + "/7", der(70000));
    EXPECT_EQ(get().or_throw(), der(100000));
    EXPECT_EQ(get(7).or_throw(), der(70000));
    EXPECT_NE(archive.last_request().find("\r\nHost: 127.0.0.1:"), std::string::npos);
}

TEST_F(Fetch, NoneIsAnAnswerOfItsOwn)
{
    const auto result = get(9);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.refusal().reason, Reason::record_not_found);
}

TEST_F(Fetch, AnythingElseIsAFailure)
{
    EXPECT_EQ(failure_of("HTTP/1.1 500 Oh\r\n\r\n"), Reason::connection_lost);
    EXPECT_EQ(failure_of("HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\n\r\n"), Reason::connection_lost);
    EXPECT_EQ(failure_of(""), Reason::connection_lost);
    EXPECT_EQ(failure_of("SSH-2.0-x\r\n"), Reason::connection_lost);
    const Bytes record = der(70000);
    const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 70005\r\n\r\n";
    EXPECT_EQ(failure_of(head + to_string(BytesView(record).first(60000))), Reason::connection_lost) << "truncated";
    EXPECT_EQ(failure_of("HTTP/1.1 200 OK\r\n\r\n" + to_string(der(package::max_record + 1))), Reason::connection_lost)
        << "too large";
}

TEST_F(Fetch, ADeadlineAndACancelEndIt)
{
    archive.hang();
    EXPECT_EQ(reason_of([&] { (void)get({}, std::chrono::seconds(0)); }), Reason::timed_out);
    EXPECT_EQ(reason_of([&] { (void)get({}, std::chrono::seconds(1)); }), Reason::timed_out);
    cancel.cancel();
    EXPECT_EQ(reason_of([&] { (void)get(); }), Reason::cancelled);
}

TEST_F(Fetch, AMirrorMayHaveAPath)
{
    archive.put("/imprint/mirror/v1/records/" + chip + "/7", der(100));
    for (const std::string path : {"/imprint/mirror", "/imprint/mirror/"})
        EXPECT_EQ(
            recovery::fetch_record(archive.address() + path, chip, 7, std::chrono::steady_clock::now() + limit_, cancel)
                .or_throw(),
            der(100));
}

TEST_F(Fetch, OnlyAHostAPortAndAPathAreAnAddress)
{
    for (const std::string address : {"", "archive", "archive:80", "https://archive", "http://", "http://me@archive",
                                      "http://archive/pa th", "http://archive/x\r\nHost: y", "http://archive?x",
                                      "http://archive#x", "http://archive:99999", "ftp://archive"})
        EXPECT_EQ(reason_of([&] {
                      (void)recovery::fetch_record(address, chip, {}, std::chrono::steady_clock::now() + limit_,
                                                   cancel);
                  }),
                  Reason::invalid_argument)
            << address;
}

} // namespace
} // namespace imprint::test
