// SPDX-License-Identifier: Apache-2.0
// The key conversation with a real TPM at the device's end, and with what no device would say.
#include "tests/central/key_device.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/templates.h"
#include "provisioning/protocol/framing.h"
#include "provisioning/protocol/transaction_key.h"
#include "tests/package/software_device.h"

#include <gtest/gtest.h>

namespace imprint::central {
namespace {

using protocol::KeyMessage;
using test::KeyDevice;

class Conversation : public testing::Test {
protected:
    KeySession session(const KeyDevice& from) const
    {
        return {office, from.chain(), binding, to_bytes("a set of keys")};
    }
    static KeyMessage parse(const KeyAnswer& answer) { return protocol::parse_key_message(answer.message).or_throw(); }
    // The reason that stands in the answer, which is the conversation's last.
    static std::optional<Reason> refused(const KeyAnswer& answer)
    {
        EXPECT_TRUE(answer.last);
        EXPECT_TRUE(answer.refused);
        const auto message = parse(answer);
        return message.has_refused() ? reason_from_wire(message.refused().reason()) : std::nullopt;
    }
    KeyAnswer ask(KeySession& session, const KeyMessage& message) const
    {
        return session.receive(protocol::serialize(message), test::now);
    }

    test::TestPki pki;
    KeyDevice device{pki, "SN-1"};
    test::TemporaryDirectory directory;
    Store store{directory / "central.db"};
    Sealer sealer{random_secret(32)};
    KeyOffice office{store, sealer, {std::chrono::days(7), std::chrono::days(30)}};
    Bytes binding = random_bytes(32);
};

TEST_F(Conversation, A32_TheTpmGetsAKeyWhosePsksTheCentralKnows)
{
    auto talk = session(device);
    const auto offer = ask(talk, device.request());
    EXPECT_FALSE(offer.last);
    const auto grant = parse(offer).grant();
    EXPECT_EQ(grant.rotate_after(), (test::now + std::chrono::days(7)).time_since_epoch().count());
    EXPECT_EQ(grant.not_after(), (test::now + std::chrono::days(30)).time_since_epoch().count());
    EXPECT_EQ(grant.central_set(), "a set of keys");
    EXPECT_TRUE(store.keys().empty()) << "nothing is kept before the device has confirmed";
    device.load(grant);
    const auto done = ask(talk, device.confirm(binding));
    EXPECT_TRUE(parse(done).has_done());
    EXPECT_TRUE(done.last);
    EXPECT_EQ(done.made, to_bytes(grant.key_id()));

    const Bytes identity = protocol::new_psk_identity(to_bytes(grant.key_id()));
    const auto found = find_key(store, identity, pki.trust(), test::now);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->peer.identity.value, "SN-1");
    EXPECT_EQ(found->peer.chip, device.chip);
    const auto psk = psk_of(sealer, *found, identity);
    ASSERT_TRUE(psk);
    EXPECT_EQ(to_bytes(as_text(psk->view())), device.hmac(protocol::psk_input(identity)));
}

TEST_F(Conversation, A32_TheKeyDiesWithTheEpoch)
{
    auto talk = session(device);
    device.load(parse(ask(talk, device.request())).grant());
    EXPECT_FALSE(device.hmac(Bytes(3)).empty());
    device.next_epoch();
    EXPECT_ANY_THROW(device.hmac(Bytes(3)));
}

TEST_F(Conversation, A32_NoKeyOutlivesItsCertificate)
{
    const auto soon = test::now + std::chrono::days(1);
    KeyDevice brief(pki, "SN-2", {test::at(2020), soon});
    auto talk = session(brief);
    const auto grant = parse(ask(talk, brief.request())).grant();
    EXPECT_EQ(grant.not_after(), soon.time_since_epoch().count());
    EXPECT_EQ(grant.rotate_after(), soon.time_since_epoch().count());
}

TEST_F(Conversation, Attack43_OnlyTheCertifiedStorageKeyIsWrappedFor)
{
    auto request = device.request();
    const auto with = [&](const TPMT_PUBLIC& area) {
        request.mutable_request()->set_storage_key(to_string(structures::marshal(area)));
        auto talk = session(device);
        return refused(ask(talk, request));
    };
    EXPECT_EQ(with(test::software_storage_key()), Reason::storage_key_invalid) << "one of another chip";
    TPMT_PUBLIC area = device.storage_key;
    area.objectAttributes |= TPMA_OBJECT_USERWITHAUTH;
    EXPECT_EQ(with(area), Reason::storage_key_invalid);
    area = device.storage_key;
    area.authPolicy.size = 0;
    EXPECT_EQ(with(area), Reason::storage_key_invalid);
    EXPECT_EQ(with(structures::identity_key_template()), Reason::storage_key_invalid);
    request.mutable_request()->set_storage_key("nothing");
    auto talk = session(device);
    EXPECT_EQ(refused(ask(talk, request)), Reason::malformed_message);
    EXPECT_TRUE(store.keys().empty());
}

TEST_F(Conversation, A32_AWrongConfirmationKeepsNothing)
{
    const std::vector<std::function<void(Bytes&)>> changes{
        [](Bytes& proof) { proof[0] ^= 1; }, [](Bytes& proof) { proof[31] ^= 0x80; },
        [](Bytes& proof) { proof.pop_back(); }, [](Bytes& proof) { proof.push_back(0); },
        [](Bytes& proof) { proof.clear(); }};
    for (const auto& change : changes) {
        auto talk = session(device);
        device.load(parse(ask(talk, device.request())).grant());
        KeyMessage confirm = device.confirm(binding);
        Bytes proof = to_bytes(confirm.confirm().proof());
        change(proof);
        confirm.mutable_confirm()->set_proof(to_string(proof));
        EXPECT_EQ(refused(ask(talk, confirm)), Reason::transaction_key_invalid);
        EXPECT_EQ(refused(ask(talk, device.confirm(binding))), Reason::unexpected_message) << "it was the only try";
    }
    EXPECT_TRUE(store.keys().empty());
}

TEST_F(Conversation, A32_AConfirmationForAnotherConnectionIsRefused)
{
    auto first = session(device);
    const auto grant = parse(ask(first, device.request())).grant();
    device.load(grant);
    EXPECT_EQ(refused(ask(first, device.confirm(random_bytes(32)))), Reason::transaction_key_invalid);

    auto second = session(device);
    ask(second, device.request());
    EXPECT_EQ(refused(ask(second, device.confirm(binding))), Reason::transaction_key_invalid) << "the first one's key";
}

TEST_F(Conversation, Attack17_WhatIsOutOfOrderOrMalformedEndsTheConversation)
{
    const auto bytes = protocol::serialize(device.request());
    Bytes unknown_field = bytes, twice = bytes;
    unknown_field.insert(unknown_field.end(), {0x7A, 0x01, 0x00});
    twice.insert(twice.end(), bytes.begin(), bytes.end());
    KeyMessage version_2 = device.request(), grant, done;
    version_2.mutable_request()->set_version(2);
    grant.mutable_grant();
    done.mutable_done();
    const std::vector<std::pair<Bytes, Reason>> cases{
        {{}, Reason::malformed_message},
        {unknown_field, Reason::malformed_message},
        {twice, Reason::malformed_message},
        {Bytes(100, 0xFF), Reason::malformed_message},
        {Bytes(300 * 1024, 0x0A), Reason::malformed_message},
        {protocol::serialize(version_2), Reason::unsupported_version},
        {protocol::serialize(grant), Reason::unexpected_message},
        {protocol::serialize(done), Reason::unexpected_message},
        {protocol::serialize(device.confirm_unloaded()), Reason::unexpected_message}};
    for (const auto& [message, reason] : cases) {
        auto talk = session(device);
        EXPECT_EQ(refused(talk.receive(message, test::now)), reason);
        EXPECT_EQ(refused(talk.receive(bytes, test::now)), Reason::unexpected_message) << "it is over";
    }
    auto talk = session(device);
    ask(talk, device.request());
    EXPECT_EQ(refused(ask(talk, device.request())), Reason::unexpected_message) << "a replayed request";
}

TEST_F(Conversation, A32_ARefusalIsNotAnswered)
{
    auto talk = session(device);
    ask(talk, device.request());
    const auto answer = ask(talk, protocol::key_refused({Reason::tpm_full, "no room"}));
    EXPECT_TRUE(answer.message.empty());
    EXPECT_TRUE(answer.last);
    ASSERT_TRUE(answer.refused);
    EXPECT_EQ(answer.refused->reason, Reason::tpm_full);
}

TEST_F(Conversation, A32_ADeviceThatWasPersonalizedAgainInBetweenGetsNoKey)
{
    auto talk = session(device);
    device.load(parse(ask(talk, device.request())).grant());
    store.admit(device.chip, device.binding.epoch + 2).or_throw();
    EXPECT_EQ(refused(ask(talk, device.confirm(binding))), Reason::certificate_outdated);
    EXPECT_TRUE(store.keys().empty());
}

} // namespace
} // namespace imprint::central
