// SPDX-License-Identifier: Apache-2.0
// Package profiles: what is read from them, and at which line and column they are refused.
#include "provisioning/station/package_profile.h"

#include "daemon/base/file.h"
#include "provisioning/station/commands.h"
#include "tests/support/process.h"
#include "tests/support/reason.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace imprint::station {
namespace {

using testing::HasSubstr;

class Profiles : public testing::Test {
protected:
    PackageProfile read(const std::string& text)
    {
        write_file(file, as_bytes(text));
        return read_profile(file);
    }
    // What the refusal says behind the file's name; empty if there is none.
    std::string refusal(const std::string& text)
    {
        try {
            read(text);
            return {};
        } catch (const Error& error) {
            EXPECT_EQ(error.reason(), Reason::profile_invalid);
            const std::string detail = error.refusal().detail;
            EXPECT_TRUE(detail.starts_with(file.string() + ":")) << detail;
            return detail.substr(file.string().size() + 1);
        }
    }
    void write(const std::string& name, std::size_t size) { write_file(directory / name, Bytes(size, 'x')); }

    test::TemporaryDirectory directory;
    const std::filesystem::path file = directory / "profile.toml";
};

std::string entry(const std::string& lines) { return "[[entry]]\nlabel = \"key\"\n" + lines; }

TEST_F(Profiles, B3_B5_DescribeKeysOfEveryKind)
{
    write("wifi", 20);
    const auto profile = read(R"(# Every device's.
[[entry]]
label = "channel"
type = "hmac"
key-version = 2
[[entry]]
label = "channel.former"
type = "hmac"
derived-as = "channel"
[[entry]]
label = "tls"
type = "p384"
source = "pool"
certificate = true
key-file = true
[[entry]]
label = "mail"
type = "rsa3072"
use = "decrypt"
[[entry]]
label = "wifi"
type = "opaque"
file = "wifi"
)");
    ASSERT_EQ(profile.entries.size(), 5U);
    const auto& channel = std::get<DerivedKey>(profile.entries[0].what);
    const auto& former = std::get<DerivedKey>(profile.entries[1].what);
    EXPECT_EQ(channel.derived_as, "channel");
    EXPECT_EQ(channel.version, 2U);
    EXPECT_EQ(former.derived_as, "channel") << "the key that the device had under this label before";
    EXPECT_EQ(former.version, 1U);
    const auto& tls = std::get<PairKey>(profile.entries[2].what);
    EXPECT_EQ(tls.kind, PairKind::p384);
    EXPECT_EQ(tls.use, structures::KeyUse::sign);
    EXPECT_TRUE(tls.from_pool && tls.certificate && profile.entries[2].key_file);
    const auto& mail = std::get<PairKey>(profile.entries[3].what);
    EXPECT_EQ(mail.use, structures::KeyUse::decrypt);
    EXPECT_FALSE(mail.from_pool || mail.certificate || profile.entries[3].key_file);
    EXPECT_EQ(std::get<OpaqueSecret>(profile.entries[4].what).content->size(), 20U);
}

TEST_F(Profiles, MalformedOnesAreRefusedAtLineAndColumn)
{
    write("empty", 0);
    write("large", 65537);
    const std::vector<std::pair<std::string, std::string>> cases{
        {"", "1:1: a profile has [[entry]]"},
        {"entry = 3\n", "1:1: a profile has [[entry]]"},
        {"entry = [3]\n", "1:10: an entry is a table"},
        {"[entry]\nlabel = \"key\"\n", "1:1: a profile has [[entry]]"},
        {"[[entry]]\ntype = \"hmac\"\n", "1:1: this entry has no label"},
        {entry(""), "1:1: this entry has no type"},
        {entry("type = \"aes\"\n"), "3:8: a type is hmac"},
        {entry("type = 3\n"), "3:8: a type is a string"},
        {entry("type = \"hmac\"\ntype = \"hmac\"\n"), "4:8: "},
        {entry("type = \"hmac\n"), "3:"},
        {entry("type = \"hmac\"\nkey-version = 0\n"), "4:15: a key-version"},
        {entry("type = \"hmac\"\nkey-version = 4294967296\n"), "4:15: a key-version"},
        {entry("type = \"hmac\"\nkey-version = \"2\"\n"), "4:15: a key-version"},
        {entry("type = \"hmac\"\nderived-as = \"A\"\n"), "4:14: a label"},
        {entry("type = \"hmac\"\nuse = \"sign\"\n"), "4:7: an entry of type hmac has no use"},
        {entry("type = \"p256\"\nkey-version = 2\n"), "4:15: an entry of type p256 has no key-version"},
        {entry("type = \"p256\"\nuse = \"decrypt\"\n"), "4:7: use is sign or agree here"},
        {entry("type = \"rsa2048\"\nuse = \"agree\"\n"), "4:7: use is sign or decrypt here"},
        {entry("type = \"p256\"\nsource = \"tpm\"\n"), "4:10: source is assembly or pool"},
        {entry("type = \"p256\"\ncertificate = 1\n"), "4:15: certificate is true or false"},
        {entry("type = \"p256\"\nkey-file = \"yes\"\n"), "4:12: key-file is true or false"},
        {entry("type = \"p256\"\ncomment = \"\"\n"), "4:11: an entry of type p256 has no comment"},
        {entry("type = \"opaque\"\n"), "1:1: a secret has either a file or a directory"},
        {entry("type = \"opaque\"\nfile = \"absent\"\n"), "4:8: "},
        {entry("type = \"opaque\"\nfile = \"empty\"\n"), "4:8: "},
        {entry("type = \"opaque\"\nfile = \"large\"\n"), "4:8: "},
        {entry("type = \"opaque\"\ndirectory = \"empty\"\n"), "4:13: "},
        {entry("type = \"opaque\"\nfile = \"a\"\ndirectory = \"b\"\n"), "1:1: a secret has either"},
        {entry("type = \"opaque\"\ndirectory = \".\"\nkey-file = true\n"),
         "5:12: an entry of type opaque has no key-file"},
        {entry("type = \"hmac\"\n") + entry("type = \"p256\"\n"), "5:9: there is an entry with this label"},
        {"[[entry]]\nlabel = \"Key\"\ntype = \"hmac\"\n", "2:9: a label is"},
        {"title = \"x\"\n" + entry("type = \"hmac\"\n"), "1:9: a profile has entries, and no title"},
        {entry("type = \"hmac\"\n") + "[more]\n", "4:1: a profile has entries, and no more"},
        {"x = \"\xff\"\n", "1:"},
    };
    for (const auto& [text, expected] : cases)
        EXPECT_TRUE(refusal(text).starts_with(expected)) << text << "-> " << refusal(text);
}

TEST_F(Profiles, WhatNoPackageCanHoldIsRefusedBeforeAnyDeviceComes)
{
    std::string many;
    for (int i = 0; i < 65; ++i)
        many += "[[entry]]\nlabel = \"k" + std::to_string(i) + "\"\ntype = \"hmac\"\n";
    EXPECT_THAT(refusal(many), HasSubstr("193:1: more than 64 entries"));
    write("a", 65536);
    const auto secret = [](const char* label) {
        return std::string("[[entry]]\nlabel = \"") + label + "\"\ntype = \"opaque\"\nfile = \"a\"\n";
    };
    EXPECT_EQ(refusal(secret("one")), "");
    EXPECT_THAT(refusal(secret("one") + secret("two")), HasSubstr("5:1: with this entry a package may be larger"));
    write_file(file, Bytes(256 * 1024 + 1, '\n'));
    EXPECT_TRUE(test::reason_of([&] { read_profile(file); }));
}

TEST_F(Profiles, NeedWhatATpmMustBeAbleToDo)
{
    const auto profile = read(entry("type = \"rsa3072\"\n"));
    const auto refused = check_capabilities(profile, {"hmac", "p256", "p384", "rsa2048"});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.refusal().reason, Reason::capability_missing);
    EXPECT_THAT(refused.refusal().detail, testing::AllOf(HasSubstr("key"), HasSubstr("rsa3072")));
    EXPECT_TRUE(check_capabilities(profile, {"rsa3072"}));
    EXPECT_TRUE(check_capabilities(read(entry("type = \"opaque\"\ndirectory = \".\"\n")), {}));
}

TEST_F(Profiles, SecretsOfDevicesAreFilesOfTheirDirectoryAndNoOthers)
{
    std::filesystem::create_directory(directory / "secrets");
    write("secrets/SN1", 9);
    write("SN2", 9);
    const auto profile = read(entry("type = \"opaque\"\ndirectory = \"secrets\"\n"));
    const auto content = [&](const std::string& serial) {
        const auto& what = profile.entries.front();
        return content_of(what, std::get<OpaqueSecret>(what.what), {"serial", serial});
    };
    EXPECT_TRUE(content("SN1"));
    for (const auto* serial : {"SN2", "../SN2", "..", ".", "secrets/SN1"}) {
        const auto none = content(serial);
        ASSERT_FALSE(none) << serial;
        EXPECT_EQ(none.refusal().reason, Reason::profile_invalid);
    }
}

TEST_F(Profiles, AreShownByTheirCommand)
{
    write_file(file, as_bytes(entry("type = \"p256\"\ncertificate = true\n")));
    testing::internal::CaptureStdout();
    EXPECT_EQ(check_profile(file, true), exit_ok);
    EXPECT_THAT(testing::internal::GetCapturedStdout(),
                testing::AllOf(HasSubstr("\"label\": \"key\""), HasSubstr("\"source\": \"assembly\""),
                               HasSubstr("\"largest-package\"")));
}

} // namespace
} // namespace imprint::station
