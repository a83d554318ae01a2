// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/file.h"
#include "daemon/pki/key.h"
#include "tests/support/process.h"
#include "tests/support/reason.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <unistd.h>

namespace imprint::pki {
namespace {

using test::reason_of;

class KeyFile : public testing::Test {
protected:
    std::string path(const char* name) const { return (directory / name).string(); }
    test::TemporaryDirectory directory;
    const Key key = generate_key("P-256");
    const std::optional<Secret> passphrase{Secret(as_bytes("correct horse"))};
};

TEST_F(KeyFile, RoundTripByPathAndUri)
{
    store_key(path("key"), key.get(), std::nullopt);
    EXPECT_EQ(spki(load_key(path("key"), std::nullopt).get()), spki(key.get()));
    EXPECT_EQ(spki(load_key("file:" + path("key"), std::nullopt).get()), spki(key.get()));
    EXPECT_EQ(spki(load_key(path("key"), passphrase).get()), spki(key.get())) << "an unneeded passphrase does no harm";
    struct stat info { };
    ASSERT_EQ(stat(path("key").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0600U);
}

TEST_F(KeyFile, EncryptedNeedsItsPassphrase)
{
    store_key(path("key"), key.get(), passphrase);
    EXPECT_EQ(spki(load_key(path("key"), passphrase).get()), spki(key.get()));
    EXPECT_EQ(reason_of([&] { load_key(path("key"), std::nullopt); }), Reason::not_configured);
    EXPECT_EQ(reason_of([&] { load_key(path("key"), Secret(as_bytes("wrong"))); }), Reason::not_configured);
    const auto parsed = test::run({"openssl", "asn1parse", "-in", path("key")});
    EXPECT_NE(parsed.out.find("scrypt"), std::string::npos) << parsed.out;
}

TEST_F(KeyFile, CountsTheSameInMemory)
{
    store_key(path("plain"), key.get(), std::nullopt);
    store_key(path("encrypted"), key.get(), passphrase);
    const auto decoded = [this](const char* name, const std::optional<Secret>& with) {
        return decode_key(read_secret_file(path(name), 65536).value(), name, with);
    };
    EXPECT_EQ(spki(decoded("plain", std::nullopt).get()), spki(key.get()));
    EXPECT_EQ(spki(decoded("encrypted", passphrase).get()), spki(key.get()));
    EXPECT_EQ(reason_of([&] { decoded("encrypted", std::nullopt); }), Reason::not_configured);
    EXPECT_EQ(reason_of([] { decode_key(random_secret(100), "garbage", std::nullopt); }), Reason::not_configured);
}

TEST_F(KeyFile, IsNeverOverwritten)
{
    store_key(path("key"), key.get(), std::nullopt);
    const auto other = generate_key("P-384");
    EXPECT_EQ(reason_of([&] { store_key(path("key"), other.get(), std::nullopt); }), Reason::storage_failed);
    EXPECT_EQ(spki(load_key(path("key"), std::nullopt).get()), spki(key.get()));
    EXPECT_EQ(reason_of([&] { store_key(path("none/key"), key.get(), std::nullopt); }), Reason::storage_failed);
}

TEST_F(KeyFile, WhatIsNoPrivateKeyIsRefused)
{
    EXPECT_EQ(reason_of([&] { load_key(path("missing"), std::nullopt); }), Reason::not_configured);
    EXPECT_EQ(reason_of([&] { load_key("nosuchscheme:key", std::nullopt); }), Reason::not_configured);
    store_key(path("key"), key.get(), std::nullopt);
    ASSERT_EQ(test::run({"openssl", "pkey", "-in", path("key"), "-pubout", "-out", path("public")}).status, 0);
    EXPECT_EQ(reason_of([&] { load_key(path("public"), std::nullopt); }), Reason::not_configured);
    write_file(path("garbage"), random_bytes(100));
    EXPECT_EQ(reason_of([&] { load_key(path("garbage"), std::nullopt); }), Reason::not_configured);
}

TEST(Keys, AreOfTheTwoCurves)
{
    EXPECT_EQ(EVP_PKEY_get_bits(generate_key("P-256").get()), 256);
    EXPECT_EQ(EVP_PKEY_get_bits(generate_key("P-384").get()), 384);
    EXPECT_EQ(reason_of([] { generate_key("secp256k1"); }), Reason::invalid_argument);
}

// A descriptor from which `content` can be read, once.
Fd piped(std::string_view content)
{
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const Fd writing(ends[1]);
    EXPECT_EQ(write(writing.get(), content.data(), content.size()), static_cast<ssize_t>(content.size()));
    return Fd(ends[0]);
}

TEST(Passphrase, ComesFromADescriptorLineByLine)
{
    const auto fd = piped("first\nsecond");
    const auto source = "fd:" + std::to_string(fd.get());
    EXPECT_EQ(as_text(read_passphrase(source)->view()), "first");
    EXPECT_EQ(as_text(read_passphrase(source)->view()), "second");
    EXPECT_EQ(reason_of([&] { read_passphrase(source); }), Reason::invalid_argument) << "an empty one is a mistake";
    const auto longer = piped(std::string(1025, 'x'));
    EXPECT_EQ(reason_of([&] { read_passphrase("fd:" + std::to_string(longer.get())); }), Reason::invalid_argument);
}

TEST(Passphrase, ComesFromACredential)
{
    const test::TemporaryDirectory directory;
    std::ofstream(directory / "secret") << "correct horse\n";
    ASSERT_EQ(setenv("CREDENTIALS_DIRECTORY", directory.path().c_str(), 1), 0);
    EXPECT_EQ(as_text(read_passphrase("credential:secret")->view()), "correct horse");
    EXPECT_EQ(reason_of([] { read_passphrase("credential:none"); }), Reason::not_configured);
    EXPECT_EQ(reason_of([] { read_passphrase("credential:../secret"); }), Reason::invalid_argument);
    EXPECT_EQ(reason_of([] { read_passphrase("credential:sub/secret"); }), Reason::invalid_argument);
    ASSERT_EQ(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    EXPECT_EQ(reason_of([] { read_passphrase("credential:secret"); }), Reason::not_configured);
}

TEST(Passphrase, ComesFromNowhereElse)
{
    EXPECT_EQ(read_passphrase(""), std::nullopt);
    for (const auto* source : {"secret", "pass:secret", "env:SECRET", "file:/etc/passwd", "fd:", "fd:x", "fd:-1",
                               "fd:1 ", "credential:", "Credential:x"})
        EXPECT_EQ(reason_of([&] { read_passphrase(source); }).value_or(Reason::internal),
                  std::string_view(source) == "credential:" ? Reason::not_configured : Reason::invalid_argument)
            << source;
}

} // namespace
} // namespace imprint::pki
