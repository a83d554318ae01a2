// SPDX-License-Identifier: Apache-2.0
// Data packages by a profile, with the real programs: personalized, backed up, recovered.
#include "tests/system/fixture.h"

#include "daemon/base/file.h"
#include "daemon/lifecycle/store.h"
#include "daemon/pki/verify.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace imprint::test {

namespace {

constexpr const char* everything = R"(
[[entry]]
label = "channel"
type = "hmac"
key-version = 2
[[entry]]
label = "channel.former"
type = "hmac"
derived-as = "channel"
[[entry]]
label = "p256"
type = "p256"
certificate = true
key-file = true
[[entry]]
label = "p384"
type = "p384"
use = "agree"
certificate = true
[[entry]]
label = "rsa2048"
type = "rsa2048"
certificate = true
[[entry]]
label = "rsa3072"
type = "rsa3072"
use = "decrypt"
certificate = true
[[entry]]
label = "wifi"
type = "opaque"
directory = "secrets"
)";

constexpr const char* labels = R"(as 7 "channel" "channel.former" "p256" "p384" "rsa2048" "rsa3072" "wifi")";

class Packages : public WholeSystem {
protected:
    Packages() { std::filesystem::create_directory(factory / "secrets"); }

    std::string profile(const std::string& text) const
    {
        write_file(factory / "profile.toml", as_bytes(text));
        return factory / "profile.toml";
    }
    lifecycle::Personalization stored() const
    {
        const auto content = lifecycle::Store(device.state_directory()).load();
        return content.personalizations.rbegin()->second;
    }
};

TEST_F(Packages, B3_B5_B13_B17_B20_KeysOfEveryKindArriveAndComeBack)
{
    write_file(factory / "secrets/SN000001", as_bytes("correct horse battery staple"));
    factory.start_station({"--profile", profile(everything)});
    device.start();
    ASSERT_EQ(personalize(), "");
    EXPECT_EQ(device.property("Keys"), labels);
    factory.wait_for_outbox();

    ASSERT_EQ(device.stop(), 0);
    device.wipe_disk();
    device.tpm().clear();
    device.start();
    ASSERT_EQ(recover(), "");
    EXPECT_EQ(state(), "s \"recovered\"");
    EXPECT_EQ(device.property("Keys"), labels);
}

constexpr const char* for_files = R"(
[[entry]]
label = "channel"
type = "hmac"
key-file = true
[[entry]]
label = "kept"
type = "p256"
[[entry]]
label = "signer"
type = "p256"
certificate = true
key-file = true
)";

TEST_F(Packages, B17_KeysForFilesAreBackAfterALostDiskAndAfterTpmClear)
{
    factory.start_station({"--profile", profile(for_files)});
    device.start();
    ASSERT_EQ(personalize(), "");
    factory.wait_for_outbox();
    write_file(factory / "message", as_bytes("message"));
    const auto hmac = [&] { return device.imprintctl({"key", "hmac", "channel", factory / "message", "--hex"}).out; };
    const auto public_key = [&] {
        const auto shown = nlohmann::json::parse(device.imprintctl({"--json", "key", "show", "signer"}).out);
        return shown.at("public-key").get<std::string>();
    };
    const auto signs = [&] {
        write_file(factory / "signer.pem", as_bytes(public_key()));
        const std::string message = factory / "message", signature = factory / "signature";
        EXPECT_EQ(failure(device.imprintctl({"key", "sign", "signer", message, "--out", signature})), "");
        return run({"openssl", "dgst", "-sha256", "-verify", factory / "signer.pem", "-signature", signature, message})
            .out;
    };
    const auto before = std::pair(hmac(), public_key());
    const auto parent = stored().parent().object();
    EXPECT_EQ(before.first.size(), 65U);
    EXPECT_EQ(signs(), "Verified OK\n");

    ASSERT_EQ(device.stop(), 0);
    device.wipe_disk();
    device.start();
    ASSERT_EQ(recover(), "");
    EXPECT_EQ(state(), "s \"operating\"");
    EXPECT_EQ(std::pair(hmac(), public_key()), before);
    EXPECT_EQ(signs(), "Verified OK\n");
    EXPECT_EQ(stored().parent().object(), parent);

    ASSERT_EQ(device.stop(), 0);
    device.tpm().clear();
    device.start();
    ASSERT_EQ(recover(), "");
    EXPECT_EQ(state(), "s \"recovered\"");
    EXPECT_EQ(std::pair(hmac(), public_key()), before);
    EXPECT_EQ(signs(), "Verified OK\n");
}

TEST_F(Packages, B5_B13_CertificatesOfPairsLeadToTheManufacturer)
{
    write_file(factory / "secrets/SN000001", as_bytes("secret"));
    factory.start_station({"--profile", profile(everything)});
    device.start();
    ASSERT_EQ(personalize(), "");

    const auto trust = pki::trust_from_pem(read_file(factory.trust_bundle(), 1 << 20).value());
    const auto file = stored();
    pki::Certificates issuers;
    for (const auto& issuer : file.certificates())
        issuers.push_back(pki::Certificate::from_der(as_bytes(issuer)).or_throw());
    int certificates = 0;
    for (const auto& key : file.keys()) {
        EXPECT_EQ(key.key_file(), key.label() == "p256");
        EXPECT_EQ(key.has_enveloped(), key.label() == "wifi");
        if (key.certificate().empty())
            continue;
        ++certificates;
        const auto certificate = pki::Certificate::from_der(as_bytes(key.certificate())).or_throw();
        const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
        const auto chain = pki::verify(certificate, issuers, trust, pki::Role::data_key, now);
        EXPECT_TRUE(chain) << key.label() << ": " << chain.refusal().detail;
        EXPECT_EQ(pki::device_identity(certificate), (pki::DeviceIdentity{"serial", "SN000001"}));
    }
    EXPECT_EQ(certificates, 4);
}

TEST_F(Packages, NothingOfAMalformedProfileIsApplied)
{
    const auto file =
        profile("[[entry]]\nlabel = \"channel\"\ntype = \"hmac\"\n[[entry]]\nlabel = \"x\"\ntype = \"aes\"\n");
    const auto checked = factory.station_command({"profile", "check", file});
    EXPECT_EQ(checked.status, 1);
    EXPECT_THAT(checked.err, testing::HasSubstr(file + ":6:8: "));
    EXPECT_THROW(factory.start_station({"--profile", file}), std::runtime_error) << "a station would not come up";
}

TEST_F(Packages, WithoutADevicesSecretItIsRefusedAndKeepsItsNumber)
{
    factory.start_station({"--profile", profile(everything)});
    device.start();
    EXPECT_THAT(personalize(), testing::HasSubstr("wifi"));
    EXPECT_EQ(device.property("Keys"), "as 0");
    write_file(factory / "secrets/SN000001", as_bytes("secret"));
    ASSERT_EQ(personalize(), "");
    EXPECT_EQ(device.property("DeviceIdentity"), "(ss) \"serial\" \"SN000001\"");
}

} // namespace

} // namespace imprint::test
