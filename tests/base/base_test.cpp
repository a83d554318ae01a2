// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/bytes.h"
#include "daemon/base/error.h"
#include "daemon/base/file.h"
#include "daemon/base/hkdf.h"
#include "tests/support/process.h"
#include "tests/support/reason.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <fstream>
#include <set>
#include <sys/stat.h>

namespace imprint {
namespace {

using test::reason_of;

class Files : public testing::Test {
protected:
    test::TemporaryDirectory directory;
};

TEST(Hex, RoundTrip)
{
    const Bytes bytes{0x00, 0x0f, 0xa5, 0xff};
    EXPECT_EQ(hex(bytes), "000fa5ff");
    EXPECT_EQ(unhex("000FA5ff"), bytes);
    EXPECT_EQ(unhex(""), Bytes{});
}

TEST(Hex, NothingElseIsRead)
{
    for (const auto* text : {"0", "0g", "0x00", "00 11", "00:11", " 00"})
        EXPECT_EQ(unhex(text), std::nullopt) << text;
}

TEST(Hkdf, GivesTheKeyOfRfc5869TestCase3)
{
    const Secret derived = hkdf_sha256(Secret(Bytes(22, 0x0b)), {}, 42);
    EXPECT_EQ(hex(derived.view()),
              "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST(Reasons, EveryOneHasItsOwnNames)
{
    std::set<std::string_view> names, errors;
    int count = 0;
    for (std::uint32_t number = 0; number < 1000; ++number) {
        const auto reason = reason_from_wire(number);
        if (!reason)
            continue;
        ++count;
        EXPECT_TRUE(names.insert(name(*reason)).second) << name(*reason);
        EXPECT_TRUE(errors.insert(dbus_error(*reason)).second) << dbus_error(*reason);
        EXPECT_TRUE(dbus_error(*reason).starts_with("org.imprint.Error."));
        EXPECT_TRUE(sentence(*reason).ends_with('.'));
        EXPECT_TRUE(hint(*reason).ends_with('.'));
    }
    EXPECT_GT(count, 50);
}

TEST(Errors, CrossOpenSslWithReasonAndDetail)
{
    ERR_raise(ERR_LIB_EVP, EVP_R_DECODE_ERROR);
    leave_in_openssl(Reason::tpm_refused, "100% refused");
    ERR_raise(ERR_LIB_SSL, ERR_R_INTERNAL_ERROR);
    const Error error = openssl_error(Reason::internal, "cannot sign");
    EXPECT_EQ(error.reason(), Reason::tpm_refused);
    EXPECT_STREQ(error.what(), "100% refused");
    EXPECT_EQ(ERR_peek_error(), 0u) << "a stale error would be blamed for the next fault";
}

TEST(Errors, OfOpenSslAreToldByTheirCause)
{
    ERR_raise_data(ERR_LIB_EVP, EVP_R_DECODE_ERROR, "the cause");
    ERR_raise(ERR_LIB_EVP, EVP_R_BAD_DECRYPT);
    const Error error = openssl_error(Reason::not_configured, "cannot load");
    EXPECT_EQ(error.reason(), Reason::not_configured);
    EXPECT_STREQ(error.what(), "cannot load: decode error (the cause)");
    EXPECT_STREQ(openssl_error(Reason::internal, "nothing queued").what(), "nothing queued");
}

TEST_F(Files, WrittenWholeWithItsMode)
{
    const auto path = directory / "a";
    write_file(path, as_bytes("one"), 0600);
    write_file(path, as_bytes("second"), 0644);
    EXPECT_EQ(read_file(path, 6), to_bytes("second"));
    struct stat info { };
    ASSERT_EQ(stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0644u);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 1)
        << "a temporary file is left";
}

TEST_F(Files, NoneIsNoError)
{
    EXPECT_EQ(read_file(directory / "none", 10), std::nullopt);
    EXPECT_NO_THROW(remove_file(directory / "none"));
}

TEST_F(Files, RefusesWhatIsNoSmallRegularFile)
{
    write_file(directory / "large", as_bytes("12345"));
    std::filesystem::create_symlink(directory / "large", directory / "link");
    ASSERT_EQ(mkfifo((directory / "fifo").c_str(), 0600), 0);
    EXPECT_EQ(reason_of([&] { read_file(directory / "large", 4); }), Reason::storage_failed);
    EXPECT_EQ(reason_of([&] { read_file(directory / "link", 10); }), Reason::storage_failed);
    EXPECT_EQ(reason_of([&] { read_file(directory / "fifo", 10); }), Reason::storage_failed);
    EXPECT_EQ(reason_of([&] { read_file(directory.path(), 10); }), Reason::storage_failed);
}

TEST_F(Files, AFailedWriteLeavesTheOldFile)
{
    const auto path = directory / "a";
    write_file(path, as_bytes("old"));
    std::filesystem::create_directory(directory / "a.new");
    EXPECT_EQ(reason_of([&] { write_file(path, as_bytes("new")); }), Reason::storage_failed);
    EXPECT_EQ(read_file(path, 10), to_bytes("old"));
}

TEST_F(Files, AFailedWriteLeavesNothingOfTheNewContent)
{
    const auto occupied = directory / "a";
    std::filesystem::create_directories(occupied / "b");
    EXPECT_EQ(reason_of([&] { write_file(occupied, as_bytes("secret")); }), Reason::storage_failed);
    EXPECT_FALSE(std::filesystem::exists(directory / "a.new"));
}

} // namespace
} // namespace imprint
