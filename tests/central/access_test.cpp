// SPDX-License-Identifier: Apache-2.0
// Who is let in, and by what.
#include "provisioning/protocol/key_messages.h"
#include "tests/central/running_central.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace imprint::central {
namespace {

using nlohmann::json;
using test::ClientSettings;
using test::DeviceClient;
using test::refusal_of;
using test::SoftwareModule;

class Access : public testing::Test {
protected:
    test::RunningCentral central;
    SoftwareModule device{central.pki, "SN-1"};
};

TEST_F(Access, A22_TheModuleKeyOpensAConnectionAndTheCentralSaysWhoseItIs)
{
    central.start();
    DeviceClient client(central.address, device.settings());
    ASSERT_EQ(client.handshake(), "");
    const auto told = json::parse(test::ask(client));
    EXPECT_EQ(told["identity"], "SN-1");
    EXPECT_EQ(told["identity-kind"], "serial");
    EXPECT_EQ(told["chip"], device.chip);
    EXPECT_EQ(told["epoch"], 3);
    EXPECT_EQ(told["authenticated-by"], "certificate");
    EXPECT_TRUE(central.logged("device connected"));
    EXPECT_EQ(central.stop(), 0);
}

TEST_F(Access, A22_ACertificateOfAnotherChainIsRefused)
{
    central.start();
    const test::TestPki foreign;
    const SoftwareModule stranger(foreign, "SN-1");
    EXPECT_NE(refusal_of(central.address, stranger.settings()), "");
    EXPECT_TRUE(central.logged("reason=untrusted-certificate"));
    EXPECT_EQ(refusal_of(central.address, device.settings()), "");
}

TEST_F(Access, Attack01_OnlyAModuleCertificateIsLetIn)
{
    central.start();
    const auto& pki = central.pki;
    const auto identity = pki.identity("SN-1", device.chip);
    const auto central_itself = pki.server(pki::Role::central, "Central 2");
    const auto mirror = pki.mirror("Mirror");
    const auto station_ca = pki.ca(pki::Role::station_signing, "Station 2");
    const SoftwareModule expired(pki, "SN-2", 3, test::expired), early(pki, "SN-3", 3, test::not_yet_valid);
    const std::vector<std::tuple<const char*, const test::Certified*, const char*>> cases{
        {"no certificate", nullptr, "peer did not return a certificate"},
        {"station TLS", &pki.station_tls, "wrong-role"},
        {"archive", &pki.archive, "wrong-role"},
        {"central", &central_itself, "wrong-role"},
        {"mirror", &mirror, "wrong-role"},
        {"station signing", &pki.station_signing, "wrong-role"},
        {"identity CA", &pki.identity_ca, "wrong-role"},
        {"checking CA", &pki.root, "wrong-role"},
        {"device identity", &identity, "wrong-role"},
        {"expired", &expired.module, "certificate-expired"},
        {"not yet valid", &early.module, "certificate-not-yet-valid"}};
    for (const auto& [what, identity_shown, reason] : cases) {
        ClientSettings settings;
        settings.identity = identity_shown;
        settings.issuers = {pki.station_signing.certificate, pki.identity_ca.certificate};
        EXPECT_NE(refusal_of(central.address, std::move(settings)), "") << what;
        EXPECT_TRUE(central.logged(reason)) << what << '\n' << central.log();
    }
    EXPECT_EQ(refusal_of(central.address, device.settings()), "");
}

TEST_F(Access, Attack01_AnOutdatedCertificateIsRefusedForEver)
{
    central.start();
    const SoftwareModule newer(central.pki, "SN-1", 5);
    EXPECT_EQ(refusal_of(central.address, device.settings()), "");
    EXPECT_EQ(refusal_of(central.address, newer.settings()), "");
    EXPECT_NE(refusal_of(central.address, device.settings()), "");
    central.kill();
    central.start();
    EXPECT_NE(refusal_of(central.address, device.settings()), "");
    EXPECT_TRUE(central.logged("reason=certificate-outdated", 2));
    EXPECT_EQ(refusal_of(central.address, newer.settings()), "");
}

TEST_F(Access, ANewerEpochEndsTheConnectionsOfTheOlderOne)
{
    central.start();
    DeviceClient older(central.address, device.settings());
    ASSERT_EQ(older.handshake(), "");
    older.write("GET / HTTP/1.1\r\nHost: central\r\n\r\n");
    ASSERT_FALSE(older.read_some().empty());
    EXPECT_EQ(refusal_of(central.address, SoftwareModule(central.pki, "SN-1", 5).settings()), "");
    EXPECT_ANY_THROW(older.read_some());
}

TEST_F(Access, Attack30_OldTlsIsRefused)
{
    central.start();
    for (const int version : {TLS1_2_VERSION, TLS1_1_VERSION, TLS1_VERSION}) {
        ClientSettings settings = device.settings();
        settings.max_version = version;
        EXPECT_NE(refusal_of(central.address, std::move(settings)), "");
    }
}

TEST_F(Access, Attack30_NoTicketIsGivenAndNoApplicationProtocolForced)
{
    central.start();
    ClientSettings settings = device.settings();
    settings.alpn = {"h2", "ssh"};
    DeviceClient client(central.address, std::move(settings));
    ASSERT_EQ(client.handshake(), "");
    EXPECT_EQ(client.alpn(), "");
    EXPECT_NE(test::ask(client), "");
    EXPECT_EQ(SSL_SESSION_has_ticket(SSL_get0_session(client.ssl())), 0);
}

TEST_F(Access, Attack30_TheKeyProtocolIsPreferredWhereverItStands)
{
    central.start();
    ClientSettings settings = device.settings();
    settings.alpn = {"h2", "imprint-key/1"};
    DeviceClient client(central.address, std::move(settings));
    ASSERT_EQ(client.handshake(), "");
    EXPECT_EQ(client.alpn(), "imprint-key/1");
}

TEST_F(Access, A32_ATransactionKeyOpensAConnectionWithoutACertificate)
{
    const auto key = central.plant_key(device);
    central.start();
    ClientSettings settings;
    settings.psks.push_back(test::psk_of(key));
    DeviceClient client(central.address, std::move(settings));
    ASSERT_EQ(client.handshake(), "");
    EXPECT_TRUE(client.by_psk());
    const auto told = json::parse(test::ask(client));
    EXPECT_EQ(told["identity"], "SN-1");
    EXPECT_EQ(told["epoch"], 3);
    EXPECT_EQ(told["authenticated-by"], "psk");
}

// The client goes on with its certificate wherever its PSK is not taken: `told` says by what it was let in.
std::string let_in_by(const std::string& address, ClientSettings settings)
{
    DeviceClient client(address, std::move(settings));
    if (const auto refused = client.handshake(); !refused.empty())
        return refused;
    const auto told = json::parse(test::ask(client));
    return told["authenticated-by"];
}

TEST_F(Access, A32_WhatIsNoKeyInForceLeavesTheCertificate)
{
    const auto hour_ago =
        std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) - std::chrono::hours(1);
    const SoftwareModule expiring(central.pki, "SN-2");
    const auto good = central.plant_key(device);
    central.start();
    const auto expired = central.plant_key(expiring, {std::chrono::seconds(1), std::chrono::seconds(2)}, hour_ago);
    EXPECT_EQ(let_in_by(central.address, device.settings(good)), "psk");
    EXPECT_EQ(let_in_by(central.address, expiring.settings(expired)), "certificate");

    auto unknown = test::copy(good);
    unknown.row.id = random_bytes(16);
    EXPECT_EQ(let_in_by(central.address, device.settings(unknown)), "certificate");
    for (const std::size_t size : {1UL, 16UL, 31UL, 33UL, 1000UL}) {
        ClientSettings settings = device.settings(good);
        settings.psks.front().identity.resize(size);
        EXPECT_EQ(let_in_by(central.address, std::move(settings)), "certificate") << size;
    }
}

TEST_F(Access, A32_AKeyEndsWithRevocationRotationAndANewEpoch)
{
    const SoftwareModule other(central.pki, "SN-2");
    const auto first = central.plant_key(device);
    const auto others = central.plant_key(other);
    central.start();
    const auto second = central.plant_key(device);
    EXPECT_EQ(let_in_by(central.address, device.settings(first)), "psk") << "old and new are good";
    EXPECT_EQ(let_in_by(central.address, device.settings(second)), "psk");
    const auto third = central.plant_key(device);
    EXPECT_EQ(let_in_by(central.address, device.settings(first)), "certificate");
    EXPECT_EQ(let_in_by(central.address, device.settings(second)), "psk");

    EXPECT_EQ(central.command({"keys", "revoke", device.chip}).out, "2 keys revoked\n");
    EXPECT_EQ(let_in_by(central.address, device.settings(third)), "certificate");
    EXPECT_EQ(let_in_by(central.address, other.settings(others)), "psk");

    EXPECT_EQ(refusal_of(central.address, SoftwareModule(central.pki, "SN-2", 5).settings()), "");
    ClientSettings settings;
    settings.psks.push_back(test::psk_of(others));
    EXPECT_NE(refusal_of(central.address, std::move(settings)), "");
}

TEST_F(Access, Attack30_AnotherDevicesKeyOrSuiteIsNotTaken)
{
    const SoftwareModule other(central.pki, "SN-2");
    const auto mine = central.plant_key(device), others = central.plant_key(other);
    central.start();
    ClientSettings crossed = device.settings(mine); // the other one's identity with our key
    crossed.psks.front().identity = test::psk_of(others).identity;
    EXPECT_NE(refusal_of(central.address, std::move(crossed)), "") << "a wrong binder ends the handshake";

    ClientSettings sha256 = device.settings(mine);
    sha256.psks.front().suite = "TLS_AES_128_GCM_SHA256";
    sha256.suites = "TLS_AES_128_GCM_SHA256";
    EXPECT_EQ(let_in_by(central.address, std::move(sha256)), "certificate");
}

TEST_F(Access, Attack30_EarlyDataIsRejected)
{
    const auto key = central.plant_key(device);
    central.start();
    ClientSettings settings = device.settings(key);
    settings.early_data = true;
    DeviceClient client(central.address, std::move(settings));
    const std::string request = "GET / HTTP/1.1\r\n\r\n";
    std::size_t written = 0;
    ASSERT_EQ(SSL_write_early_data(client.ssl(), request.data(), request.size(), &written), 1);
    ASSERT_EQ(client.handshake(), "");
    EXPECT_EQ(SSL_get_early_data_status(client.ssl()), SSL_EARLY_DATA_REJECTED);
    EXPECT_EQ(json::parse(test::ask(client))["authenticated-by"], "psk");
}

TEST_F(Access, Attack30_TheKeyConversationTakesNoPsk)
{
    const auto key = central.plant_key(device);
    central.start();
    ClientSettings settings = device.settings(key);
    settings.alpn = {"imprint-key/1"};
    DeviceClient client(central.address, std::move(settings));
    ASSERT_EQ(client.handshake(), "");
    ASSERT_TRUE(client.by_psk());
    const auto answer = protocol::parse_key_message(client.receive()).or_throw();
    EXPECT_EQ(answer.refused().reason(), static_cast<std::uint32_t>(Reason::not_authorized));
}

TEST_F(Access, KeysAreListed)
{
    const auto key = central.plant_key(device);
    const auto text = central.command({"keys", "list"});
    EXPECT_EQ(text.status, 0) << text.err;
    EXPECT_NE(text.out.find(device.chip), std::string::npos);
    const auto listed = json::parse(central.command({"keys", "list", "--json"}).out);
    ASSERT_EQ(listed.size(), 1U);
    EXPECT_EQ(listed[0]["key"], hex(key.row.id));
    EXPECT_EQ(listed[0]["identity"], "SN-1");
    EXPECT_EQ(text.out.find(hex(key.key.view())), std::string::npos);
}

TEST_F(Access, AnotherStorageKeyIsNoticedAtTheStart)
{
    central.start();
    central.stop();
    write_file(central.state() / "storage.key", random_bytes(32));
    EXPECT_FALSE(central.try_start());
    EXPECT_TRUE(central.logged("another storage key"));
}

} // namespace
} // namespace imprint::central
