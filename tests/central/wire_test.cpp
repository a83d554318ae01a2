// SPDX-License-Identifier: Apache-2.0
// The key conversation between a real TPM and the real program, and the connections that follow from it.
#include "provisioning/protocol/framing.h"
#include "provisioning/protocol/transaction_key.h"
#include "tests/central/key_device.h"
#include "tests/central/running_central.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace imprint::central {
namespace {

using nlohmann::json;
using test::ClientSettings;
using test::DeviceClient;

class Wire : public testing::Test {
protected:
    ClientSettings settings(std::vector<std::string> alpn) const
    {
        ClientSettings with;
        with.identity = &device.module;
        with.issuers = {device.issuer};
        with.alpn = std::move(alpn);
        return with;
    }
    protocol::KeyMessage ask(DeviceClient& client, const protocol::KeyMessage& message)
    {
        client.send(protocol::serialize(message));
        return protocol::parse_key_message(client.receive()).or_throw();
    }
    // The identifier of the key that the TPM has afterwards.
    Bytes fetch_key()
    {
        DeviceClient client(central.address, settings({"imprint-key/1"}));
        EXPECT_EQ(client.handshake(), "");
        const auto grant = ask(client, device.request()).grant();
        device.load(grant);
        EXPECT_TRUE(ask(client, device.confirm(client.channel_binding())).has_done());
        client.close_half();
        EXPECT_EQ(client.read_all(), "");
        central_set = grant.central_set();
        return to_bytes(grant.key_id());
    }
    // By what a device that offers a PSK of this key is let in.
    std::string by(const Bytes& key_id)
    {
        ClientSettings with = settings({});
        test::Psk psk;
        psk.identity = protocol::new_psk_identity(key_id);
        psk.key = Secret(device.hmac(protocol::psk_input(psk.identity)));
        with.psks.push_back(std::move(psk));
        DeviceClient client(central.address, std::move(with));
        EXPECT_EQ(client.handshake(), "");
        return json::parse(test::ask(client))["authenticated-by"];
    }

    test::RunningCentral central;
    test::KeyDevice device{central.pki, "SN-1"};
    std::string central_set;
};

TEST_F(Wire, A32_TheSecondConnectionRunsOnThePsk)
{
    central.start();
    const Bytes key = fetch_key();
    EXPECT_EQ(by(key), "psk");
    EXPECT_EQ(by(key), "psk");
    EXPECT_TRUE(central.logged("transaction key made"));
    EXPECT_EQ(central_set, "");
}

TEST_F(Wire, A32_AKeyThatWasAcknowledgedSurvivesAKill)
{
    central.start();
    const Bytes key = fetch_key();
    central.kill();
    central.start();
    EXPECT_EQ(by(key), "psk");
}

TEST_F(Wire, A32_ARotatedKeyLeavesTheOneBeforeInForce)
{
    central.start({"--key-lifetime", "1h", "--rotate-after", "1m"});
    const Bytes first = fetch_key();
    const Bytes second = fetch_key();
    EXPECT_NE(first, second);
    EXPECT_EQ(by(second), "psk");
    EXPECT_EQ(json::parse(central.command({"keys", "list", "--json"}).out).size(), 2U);
}

TEST_F(Wire, A25_TheCentralSetGoesAlongAndIsReplacedWithoutARestart)
{
    write_file(central.directory / "set", as_bytes("first"));
    central.start({"--central-set", central.directory / "set"});
    fetch_key();
    EXPECT_EQ(central_set, "first");
    std::filesystem::remove(central.directory / "set");
    EXPECT_TRUE(central.logged("the central set is not used"));
    fetch_key();
    EXPECT_EQ(central_set, "first");
    write_file(central.directory / "set", as_bytes("second"));
    EXPECT_TRUE(test::eventually([&] {
        fetch_key();
        return central_set == "second";
    }));
}

TEST_F(Wire, A32_AReplayedConfirmationIsRefused)
{
    central.start();
    DeviceClient first(central.address, settings({"imprint-key/1"}));
    ASSERT_EQ(first.handshake(), "");
    device.load(ask(first, device.request()).grant());
    const auto confirm = device.confirm(first.channel_binding());
    EXPECT_TRUE(ask(first, confirm).has_done());
    DeviceClient second(central.address, settings({"imprint-key/1"}));
    ASSERT_EQ(second.handshake(), "");
    ask(second, device.request());
    EXPECT_EQ(ask(second, confirm).refused().reason(), static_cast<std::uint32_t>(Reason::transaction_key_invalid));
    EXPECT_EQ(json::parse(central.command({"keys", "list", "--json"}).out).size(), 1U);
}

TEST_F(Wire, Attack01_AnOutdatedCertificateIsToldSo)
{
    central.start();
    {
        Store store(central.state() / "central.db");
        store.admit(device.chip, device.binding.epoch + 2).or_throw();
    }
    DeviceClient client(central.address, settings({"imprint-key/1"}));
    ASSERT_EQ(client.handshake(), "");
    const auto answer = protocol::parse_key_message(client.receive()).or_throw();
    EXPECT_EQ(answer.refused().reason(), static_cast<std::uint32_t>(Reason::certificate_outdated));
}

} // namespace
} // namespace imprint::central
