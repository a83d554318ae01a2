// SPDX-License-Identifier: Apache-2.0
// Who may write, and what a peer may send.
#include "backup/package/record.h"
#include "daemon/tls/stream.h"
#include "tests/archive/running_archive.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>

namespace imprint::archive {
namespace {

using test::SoftwareDevice;
constexpr auto path_of = [](const auto&... parts) { return test::RunningArchive::path_of(parts...); };
constexpr std::string_view head_of_put = "PUT /v1/records/";

class Access : public testing::Test {
protected:
    tls::Deadline soon() const { return std::chrono::steady_clock::now() + std::chrono::seconds(20); }
    Fd connect(const std::string& address)
    {
        Fd fd = tls::connect(address, 0, soon(), cancel);
        fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) & ~O_NONBLOCK);
        return fd;
    }
    // Sends, and reads until the archive ends the connection.
    std::string converse(std::string_view request)
    {
        const Fd fd = connect(archive.http);
        EXPECT_EQ(write(fd.get(), request.data(), request.size()), static_cast<ssize_t>(request.size()));
        std::string answer;
        std::array<char, 4096> buffer{};
        for (ssize_t n = 0; (n = read(fd.get(), buffer.data(), buffer.size())) > 0;)
            answer.append(buffer.data(), static_cast<std::size_t>(n));
        return answer;
    }
    tls::Stream connect_as_station()
    {
        const auto& station = archive.pki.station_tls;
        return {connect(archive.https),
                {trust, pki::Role::archive, "127.0.0.1", "",
                 tls::ClientIdentity{{station.certificate}, test::share(station.key)}},
                soon(),
                cancel};
    }

    tls::Cancel cancel;
    test::RunningArchive archive;
    pki::Trust trust = archive.pki.trust();
    SoftwareDevice device{archive.pki, "SN-1"};
};
using Attack01 = Access;

TEST_F(Attack01, OnlyAStationsCertificateMayWrite)
{
    archive.start();
    const auto& pki = archive.pki;
    const test::TestPki foreign;
    const auto expired = pki.server(pki::Role::station_tls, "Expired", test::expired);
    const auto early = pki.server(pki::Role::station_tls, "Early", test::not_yet_valid);
    const auto module = pki.module("SN-1");
    const auto courier = pki.station_operator("Courier");
    const auto mirror = pki.mirror("Mirror");
    const std::vector<std::pair<const char*, test::Client>> cases{{"no certificate", nullptr},
                                                                  {"wrong CA", &foreign.station_tls},
                                                                  {"archive", &pki.archive},
                                                                  {"operator", &courier},
                                                                  {"signing key", &pki.station_signing},
                                                                  {"identity CA", &pki.identity_ca},
                                                                  {"checking CA", &pki.root},
                                                                  {"device identity", &device.identity},
                                                                  {"module", &module},
                                                                  {"expired", &expired},
                                                                  {"not yet valid", &early}};
    const Bytes record = device.record(3);
    for (const auto& [what, client] : cases)
        EXPECT_EQ(archive.put(path_of(device.chip, 3), record, client).status, 0U) << what;
    EXPECT_EQ(archive.put(path_of(device.chip, 3), record, &mirror).status, 405U); // it may read
    EXPECT_EQ(archive.get(path_of(device.chip)).status, 404U);
    EXPECT_EQ(archive.put(device, 3, record).status, 201U);
}

TEST_F(Attack01, ARevokedStationMayNotWrite)
{
    const Owned<BIO, BIO_free_all> pem(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509_CRL(pem.get(), archive.pki.crl(archive.pki.station_tls.certificate).crl());
    char* text = nullptr;
    const auto size = static_cast<std::size_t>(BIO_get_mem_data(pem.get(), &text));
    write_file(archive.directory / "crl.pem", as_bytes({text, size}));
    archive.start({"--crl", archive.directory / "crl.pem"});
    EXPECT_EQ(archive.put(device, 3, device.record(3)).status, 0U);
    const auto other = archive.pki.server(pki::Role::station_tls, "Station 2");
    EXPECT_EQ(archive.put(path_of(device.chip, 3), device.record(3), &other).status, 201U);
}

TEST_F(Attack01, ThePublicListenerTakesNothing)
{
    archive.start();
    write_file(archive.directory / "record", device.record(3));
    const auto answer = archive.get(
        path_of(device.chip, 3),
        {"-T", archive.directory / "record", "-H", "Expect:", "-H", "Content-Type: application/vnd.imprint.record"});
    EXPECT_EQ(answer.status, 405U);
    EXPECT_EQ(answer.headers.at("allow"), "GET, HEAD");
    for (const auto* method : {"POST", "DELETE", "PATCH", "OPTIONS"})
        EXPECT_EQ(archive.get(path_of(device.chip, 3), {"-X", method}).status, 405U) << method;
    EXPECT_EQ(archive.get(path_of(device.chip, 3)).status, 404U);
}

TEST_F(Access, Attack30_OldTlsIsRefused)
{
    archive.start();
    EXPECT_EQ(
        archive.put(path_of(device.chip, 3), device.record(3), &archive.pki.station_tls, {"--tls-max", "1.2"}).status,
        0U);
}

TEST_F(Access, WhatIsTooLargeIsRefusedBeforeItIsRead)
{
    archive.start();
    const Bytes large(package::max_record + 1);
    const auto path = path_of(device.chip, 3);
    const auto* station = &archive.pki.station_tls;
    EXPECT_EQ(archive.put(path, large, station, {"-H", "Expect:"}).status, 413U);
    EXPECT_EQ(archive.put(path, large, station, {"-H", "Expect: 100-continue"}).status, 413U);
    EXPECT_EQ(archive.put(path, large, station, {"-H", "Transfer-Encoding: chunked"}).status, 413U);
    EXPECT_EQ(archive.put(path, Bytes(package::max_record), station).status, 422U);
    EXPECT_EQ(archive.get(path, {"-H", "X-Large: " + std::string(9000, 'x')}).status, 413U);
}

// Nothing but the head, or the size of the first chunk, was sent.
TEST_F(Access, B1_WhatIsTooLargeIsRefusedFromItsHead)
{
    archive.start();
    const std::string put =
        std::string(head_of_put) + device.chip + "/3 HTTP/1.1\r\nContent-Type: application/vnd.imprint.record\r\n";
    for (const auto* rest :
         {"Content-Length: 262145\r\n\r\n", "Content-Length: 18446744073709551615\r\n\r\n",
          "Content-Length: 262145\r\nExpect: 100-continue\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n40001\r\n"}) {
        auto station = connect_as_station();
        station.write(as_bytes(put + rest), soon());
        EXPECT_EQ(to_string(station.read(12, soon())), "HTTP/1.1 413") << rest;
    }
    // One chunk after the other, each of them small.
    auto station = connect_as_station();
    station.write(as_bytes(put + "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"), soon());
    EXPECT_EQ(to_string(station.read(12, soon())), "HTTP/1.1 100");
    const std::string chunk = "8000\r\n" + std::string(0x8000, 'x') + "\r\n";
    for (int i = 0; i < 8; ++i)
        station.write(as_bytes(chunk), soon());
    station.write(as_bytes("1\r\n"), soon());
    station.read(std::string_view(" Continue\r\n\r\n").size(), soon());
    EXPECT_EQ(to_string(station.read(12, soon())), "HTTP/1.1 413");
    // The public listener does not want any body at all.
    EXPECT_TRUE(converse(put + "Content-Length: 999999999\r\n\r\n").starts_with("HTTP/1.1 413"));
    EXPECT_TRUE(converse(put + "Content-Length: 9\r\nExpect: 100-continue\r\n\r\n").starts_with("HTTP/1.1 405"));
}

// Byte after byte, for longer than the deadline.
TEST_F(Access, Attack28_ABodyThatTricklesIsCutOffAtTheDeadline)
{
    archive.start({"--deadline", "1"});
    auto station = connect_as_station();
    station.write(as_bytes(std::string(head_of_put) + device.chip +
                           "/3 HTTP/1.1\r\nContent-Type: application/vnd.imprint.record\r\n"
                           "Content-Length: 200000\r\n\r\n"),
                  soon());
    std::size_t sent = 0;
    const auto trickle = [&] {
        for (; sent < 200'000; ++sent) {
            station.write(as_bytes("x"), soon());
            // The pause is that of the server's own clock: a request on another connection.
            EXPECT_EQ(archive.get("/healthz").status, 200U);
        }
    };
    EXPECT_THROW(trickle(), Error);
    EXPECT_LT(sent, 200'000U);
}

TEST_F(Access, ARecordMayComeInChunksOrAfterAContinue)
{
    archive.start();
    const auto* station = &archive.pki.station_tls;
    EXPECT_EQ(
        archive.put(path_of(device.chip, 3), device.record(3), station, {"-H", "Transfer-Encoding: chunked"}).status,
        201U);
    EXPECT_EQ(archive.put(path_of(device.chip, 5), device.record(5), station, {"-H", "Expect: 100-continue"}).status,
              201U);
}

TEST_F(Access, OnlyTheRecordsMediaTypeIsTaken)
{
    archive.start();
    const auto answer = archive.put(path_of(device.chip, 3), device.record(3), &archive.pki.station_tls, {},
                                    "application/octet-stream");
    EXPECT_EQ(answer.status, 415U);
    EXPECT_NE(to_string(answer.body).find("\"status\":415"), std::string::npos) << to_string(answer.body);
    EXPECT_EQ(archive.put(path_of(device.chip), device.record(3), &archive.pki.station_tls).status, 405U);
}

TEST_F(Access, WhatIsNotHttpGetsAnAnswerAndAnEnd)
{
    archive.start({"--deadline", "2"});
    EXPECT_TRUE(converse("\x16\x03\x01 not HTTP at all\r\n\r\n").starts_with("HTTP/1.1 400"));
    EXPECT_TRUE(converse("GET /healthz HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody").starts_with("HTTP/1.1 400"));
    EXPECT_EQ(archive.get("/healthz").status, 200U);
}

// Each of these ends by the deadline, not by the peer.
TEST_F(Access, Attack28_SlowPeersAreCutOffAndTheirPlaceIsFree)
{
    archive.start({"--deadline", "1", "--max-connections", "2"});
    const Fd silent = connect(archive.http);
    const Fd silent_station = connect(archive.https); // no handshake
    EXPECT_EQ(converse("GET /v1/records/"), ""); // an unfinished head
    EXPECT_EQ(archive.get("/healthz").status, 200U); // waits for a place at most
    auto station = connect_as_station();
    station.write(as_bytes(std::string(head_of_put) + device.chip +
                           "/3 HTTP/1.1\r\nContent-Type: application/vnd.imprint.record\r\n"
                           "Content-Length: 1000\r\n\r\nunfinished"),
                  soon());
    EXPECT_THROW(station.read(1, soon()), Error);
    EXPECT_EQ(archive.put(device, 3, device.record(3)).status, 201U);
}

TEST_F(Access, ATruncatedRecordIsNotStored)
{
    archive.start();
    const Bytes record = device.record(3);
    {
        auto station = connect_as_station();
        const std::string head = std::string(head_of_put) + device.chip +
            "/3 HTTP/1.1\r\nContent-Type: application/vnd.imprint.record\r\nContent-Length: " +
            std::to_string(record.size()) + "\r\n\r\n";
        station.write(as_bytes(head), soon());
        station.write(BytesView(record).first(record.size() - 1), soon());
        station.close();
    }
    EXPECT_EQ(archive.get(path_of(device.chip)).status, 404U);
    EXPECT_EQ(archive.put(device, 3, record).status, 201U);
}

TEST_F(Access, StopsAtOnceAlthoughAConnectionIsIdle)
{
    archive.start();
    const Fd idle = connect(archive.http);
    EXPECT_EQ(archive.get("/healthz").status, 200U);
    EXPECT_EQ(archive.stop(), 0);
}

} // namespace
} // namespace imprint::archive
