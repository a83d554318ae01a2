// SPDX-License-Identifier: Apache-2.0
// What the owner's programs do with the data package's keys: by imprintctl, with OpenSSL on the other side.
#include "tests/system/fixture.h"

#include "daemon/base/file.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace imprint::test {

namespace {

constexpr const char* profile = R"(
[[entry]]
label = "channel"
type = "hmac"
[[entry]]
label = "signer"
type = "p256"
certificate = true
[[entry]]
label = "reader"
type = "rsa2048"
use = "decrypt"
[[entry]]
label = "meeting"
type = "p256"
use = "agree"
[[entry]]
label = "wifi"
type = "opaque"
file = "wifi"
)";

class DataKeys : public WholeSystem {
protected:
    DataKeys()
    {
        write_file(factory / "wifi", as_bytes("correct horse battery staple"));
        write_file(factory / "profile.toml", as_bytes(profile));
        write_file(factory / "message", as_bytes("message"));
        factory.start_station({"--profile", factory / "profile.toml"});
        device.start();
    }
    Finished key(const Arguments& arguments) const
    {
        Arguments all{"key"};
        all.insert(all.end(), arguments.begin(), arguments.end());
        return device.imprintctl(all);
    }
    // The public key of a label, in a file.
    std::string public_key(const std::string& label) const
    {
        const auto shown = nlohmann::json::parse(device.imprintctl({"--json", "key", "show", label}).out);
        write_file(factory / (label + ".pem"), as_bytes(shown.at("public-key").get<std::string>()));
        return factory / (label + ".pem");
    }
    std::string openssl(const Arguments& arguments) const
    {
        Arguments all{"openssl"};
        all.insert(all.end(), arguments.begin(), arguments.end());
        const auto finished = run(all);
        return finished.status == 0 ? finished.out : "failed: " + finished.err;
    }
    std::string at(const std::string& name) const { return factory / name; }
};

TEST_F(DataKeys, B5_B6_B13_B14_B21_B23_ProgramsUseThemByLabel)
{
    EXPECT_EQ(key({"list"}).status, 0);
    ASSERT_EQ(personalize(), "");
    EXPECT_EQ(failure(key({"list"})), "");
    EXPECT_EQ(key({"list"}).out,
              "channel  hmac\nsigner  signing\nreader  decryption\nmeeting  agreement\nwifi  opaque\n");

    ASSERT_EQ(failure(key({"sign", "signer", at("message"), "--out", at("signature")})), "");
    EXPECT_EQ(
        openssl({"dgst", "-sha256", "-verify", public_key("signer"), "-signature", at("signature"), at("message")}),
        "Verified OK\n");
    EXPECT_THAT(key({"show", "signer"}).out, testing::HasSubstr("-----BEGIN CERTIFICATE-----"));

    openssl({"pkeyutl", "-encrypt", "-pubin", "-inkey", public_key("reader"), "-pkeyopt", "rsa_padding_mode:oaep",
             "-pkeyopt", "rsa_oaep_md:sha256", "-in", at("message"), "-out", at("sealed")});
    EXPECT_EQ(key({"decrypt", "reader", at("sealed")}).out, "message");

    openssl({"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", at("other.key")});
    openssl({"pkey", "-in", at("other.key"), "-pubout", "-out", at("other.pem")});
    ASSERT_EQ(failure(key({"agree", "meeting", at("other.pem"), "-o", at("ours")})), "");
    openssl({"pkeyutl", "-derive", "-inkey", at("other.key"), "-peerkey", public_key("meeting"), "-out", at("theirs")});
    EXPECT_EQ(read_file(at("ours"), 64), read_file(at("theirs"), 64));

    EXPECT_EQ(key({"open", "wifi"}).out, "correct horse battery staple");
    const auto derived = key({"derive", "channel", "--context", "telemetry", "--length", "16", "--hex"});
    EXPECT_EQ(derived.out.size(), 33U) << derived.err;
}

TEST_F(DataKeys, B3_B11_B20_TheManufacturerDerivesTheSameKey)
{
    ASSERT_EQ(personalize(), "");
    const auto master = read_file(at("station/master.key"), 64).value_or(Bytes{});
    ASSERT_EQ(master.size(), 32U);
    // By stock tools alone, as channel_key.h tells it: label, version, kind and value of the identity.
    std::string info = "imprint/1 channel";
    info.push_back('\0');
    info += "channel";
    info.append({'\0', '\0', '\0', '\0', '\1'});
    info += "serial";
    info.push_back('\0');
    info += "SN000001";
    auto ours = openssl({"kdf", "-keylen", "32", "-kdfopt", "digest:SHA256", "-kdfopt", "hexkey:" + hex(master),
                         "-kdfopt", "hexinfo:" + hex(as_bytes(info)), "-binary", "-out", at("channel"), "HKDF"});
    const auto channel = read_file(at("channel"), 64).value_or(Bytes{});
    const auto mac =
        openssl({"dgst", "-sha256", "-mac", "HMAC", "-macopt", "hexkey:" + hex(channel), "-r", at("message")});
    EXPECT_EQ(key({"hmac", "channel", at("message"), "--hex"}).out.substr(0, 64), mac.substr(0, 64));
}

TEST_F(DataKeys, WhatCannotBeIsToldWhy)
{
    EXPECT_THAT(key({"sign", "signer", at("message"), "--hex"}).err, testing::HasSubstr("wrong-state"));
    ASSERT_EQ(personalize(), "");
    EXPECT_THAT(key({"sign", "nobody", at("message"), "--hex"}).err, testing::HasSubstr("data-key-not-found"));
    EXPECT_THAT(key({"hmac", "signer", at("message"), "--hex"}).err, testing::HasSubstr("data-key-unsuitable"));
    EXPECT_THAT(key({"sign", "signer", at("message"), "--algorithm", "rsa-pss-sha256"}).err,
                testing::HasSubstr("the key signer signs by ecdsa-sha256, ecdsa-sha384"));
    EXPECT_THAT(key({"sign", "channel", at("message")}).err, testing::HasSubstr("data-key-unsuitable"));
}

} // namespace

} // namespace imprint::test
