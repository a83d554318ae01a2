// SPDX-License-Identifier: Apache-2.0
// The conversation as it should be, and out of its order.
#include "tests/station/fixture.h"

#include "backup/package/record.h"
#include "daemon/structures/name.h"
#include "provisioning/station/channel_key.h"
#include "provisioning/station/crl.h"

namespace imprint::test {

namespace {

using station::Answer;
using Conversation = OneDevice;

protocol::Grant grant_in(const Answer& answer) { return protocol::parse(answer.message).or_throw().grant(); }

pki::Certificate certificate(const std::string& der) { return pki::Certificate::from_der(as_bytes(der)).or_throw(); }

TEST_F(Conversation, B1_ARecordWithBothSignaturesIsKeptAndQueued)
{
    const auto answer = personalize(device);
    ASSERT_TRUE(is_receipt(answer));
    EXPECT_TRUE(answer.last);
    EXPECT_TRUE(answer.record_stored);

    const Bytes record = to_bytes(protocol::parse(answer.message).or_throw().receipt().record());
    const auto opened = package::open_record(record, pki.trust(), now).or_throw();
    EXPECT_EQ(opened.content.chip_identifier(), device.chip());
    EXPECT_EQ(opened.content.sequence(), device.epoch() + 1);
    EXPECT_EQ(store.record(device.chip(), device.epoch() + 1)->record, record);
    ASSERT_EQ(store.outbox(false).size(), 1U);
    EXPECT_EQ(store.outbox(false).front().state, station::Delivery::waiting);
}

TEST_F(Conversation, A29_TheSecondPersonalizationNeedsNoActivation)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    device.move_on();
    DeviceSide side(device, binding);
    auto second = session();
    const auto challenge = second.receive(side.send_hello(side.hello()), now);
    EXPECT_FALSE(protocol::parse(challenge.message).or_throw().challenge().has_credential());
    const auto grant = second.receive(bytes_of(side.proof(challenge.message)), now);
    ASSERT_TRUE(is_grant(grant));
    EXPECT_EQ(to_bytes(grant_in(grant).identity_certificate()), device.identity_certificate);
    EXPECT_TRUE(is_receipt(second.receive(bytes_of(side.backup(grant.message)), now)));
    EXPECT_EQ(store.chip(device.chip())->newest_sequence, device.epoch() + 1);
}

TEST_F(Conversation, A30_B2_TheCertificatesBindNonceEpochChipAndIdentity)
{
    DeviceSide side(device, binding);
    auto conversation = session();
    const auto challenge = conversation.receive(side.send_hello(side.hello()), now);
    const auto grant = grant_in(conversation.receive(bytes_of(side.proof(challenge.message)), now));
    const auto module = certificate(grant.module_certificate());
    const auto bound = pki::module_binding(module).value();
    EXPECT_EQ(bound.nonce, side.nonce());
    EXPECT_EQ(bound.epoch, device.epoch() + 1);
    EXPECT_EQ(bound.epoch_index_name, device.module.epoch_index_name());
    EXPECT_EQ(bound.storage_key_name, structures::name_of(device.module.storage_key()));
    EXPECT_EQ(bound.chip_identifier, device.chip());
    EXPECT_TRUE(pki::verify(module, {pki.station_signing.certificate}, pki.trust(), pki::Role::module, now));

    const auto identity = certificate(grant.identity_certificate());
    EXPECT_TRUE(structures::same_key(device.module.identity_key(), identity.spki()));
    EXPECT_EQ(pki::device_identity(identity), (pki::DeviceIdentity{"serial", "SN000001"}));
    EXPECT_EQ(pki::chip_identifier(identity), device.chip());
    EXPECT_TRUE(pki::verify(identity, {}, pki.trust(), pki::Role::device_identity, now));
}

TEST_F(Conversation, B5_BothEndsDeriveTheSameChannelKey)
{
    const Secret master(Bytes(32, 1));
    const pki::DeviceIdentity identity{"serial", "SN1"};
    const auto derive = [&](const Secret& key, std::string_view label, std::uint32_t version,
                            const pki::DeviceIdentity& of) {
        return hex(station::derive_channel_key(key, label, version, of).view());
    };
    const auto key = derive(master, "manufacturer-channel", 1, identity);
    // Computed by `openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt hexkey:0101... -kdfopt hexinfo:... HKDF`.
    EXPECT_EQ(key, "594ccca9835e347755de2e691efaea06e2c9f3bc2d81147fcd4a049a9446de65");
    EXPECT_NE(key, derive(Secret(Bytes(32, 2)), "manufacturer-channel", 1, identity));
    EXPECT_NE(key, derive(master, "another-channel", 1, identity));
    EXPECT_NE(key, derive(master, "manufacturer-channel", 2, identity));
    EXPECT_NE(key, derive(master, "manufacturer-channel", 1, {"serial", "SN2"}));
}

TEST_F(Conversation, AReceiptIsGivenAgain)
{
    DeviceSide side(device, binding);
    auto conversation = session();
    const auto challenge = conversation.receive(side.send_hello(side.hello()), now);
    const auto grant = conversation.receive(bytes_of(side.proof(challenge.message)), now);
    const auto receipt = conversation.receive(bytes_of(side.backup(grant.message)), now);
    ASSERT_TRUE(is_receipt(receipt));
    EXPECT_EQ(resume(side).message, receipt.message);

    auto other = side.resume();
    other.mutable_resume()->set_content_digest(std::string(32, 'x'));
    EXPECT_EQ(refusal(session().receive(bytes_of(other), now)), Reason::record_not_found);
    other = side.resume();
    other.mutable_resume()->set_sequence(device.epoch() + 3);
    EXPECT_EQ(refusal(session().receive(bytes_of(other), now)), Reason::record_not_found);
    other.mutable_resume()->set_chip_identifier(std::string(64, '0'));
    EXPECT_EQ(refusal(session().receive(bytes_of(other), now)), Reason::unknown_chip);
    other.mutable_resume()->set_version(2);
    EXPECT_EQ(refusal(session().receive(bytes_of(other), now)), Reason::unsupported_version);
}

TEST_F(Conversation, OneRecordAnEpoch)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    EXPECT_EQ(refusal(personalize(device)), Reason::sequence_taken);
    EXPECT_EQ(rows("records"), 1);
    device.move_on();
    EXPECT_TRUE(is_receipt(personalize(device)));
}

TEST_F(Conversation, Attack07_MessagesOutOfOrderEndIt)
{
    DeviceSide side(device, binding);
    const Bytes hello = side.send_hello(side.hello());
    auto first = session();
    const Bytes challenge = first.receive(hello, now).message;
    const Bytes proof = bytes_of(side.proof(challenge));
    const Bytes grant = first.receive(proof, now).message;
    const Bytes backup = bytes_of(side.backup(grant));
    const Bytes receipt = first.receive(backup, now).message;
    ASSERT_TRUE(protocol::parse(receipt)->has_receipt());

    for (const auto& wrong : {challenge, proof, grant, backup, receipt}) {
        auto conversation = session();
        EXPECT_EQ(refusal(conversation.receive(wrong, now)), Reason::unexpected_message);
        EXPECT_EQ(refusal(conversation.receive(hello, now)), Reason::unexpected_message) << "it was over";
    }
    EXPECT_EQ(refusal(first.receive(backup, now)), Reason::unexpected_message) << "twice";
    device.move_on();
    for (const auto& wrong : {hello, challenge, grant, backup, bytes_of(side.resume())}) {
        DeviceSide fresh(device, binding);
        auto conversation = session();
        ASSERT_FALSE(conversation.receive(fresh.send_hello(fresh.hello()), now).last);
        EXPECT_EQ(refusal(conversation.receive(wrong, now)), Reason::unexpected_message);
    }
    EXPECT_EQ(rows("grants"), 1);
}

TEST_F(Conversation, BrokenBytesEndIt)
{
    DeviceSide side(device, binding);
    const Bytes hello = side.send_hello(side.hello());
    for (std::size_t size : {std::size_t{0}, std::size_t{1}, hello.size() / 2, hello.size() - 1})
        EXPECT_EQ(refusal(session().receive(BytesView(hello).first(size), now)), Reason::malformed_message);
    Bytes unknown = hello;
    unknown.insert(unknown.end(), {0xf8, 0x07, 0x01});
    EXPECT_EQ(refusal(session().receive(unknown, now)), Reason::malformed_message);
    EXPECT_EQ(refusal(session().receive(Bytes(protocol::max_message + 1), now)), Reason::malformed_message);
    EXPECT_EQ(refusal(session().reject({Reason::message_too_large, ""}, now)), Reason::message_too_large);
    EXPECT_EQ(rows("audit", "event = 'refused'"), 7) << "each is audited: 6 here and one for the length";
}

TEST_F(Conversation, ADeviceThatRefusesIsAuditedAndNotAnswered)
{
    DeviceSide side(device, binding);
    auto conversation = session();
    conversation.receive(side.send_hello(side.hello()), now);
    const auto answer =
        conversation.receive(bytes_of(protocol::refused({Reason::untrusted_certificate, "not mine"})), now);
    EXPECT_TRUE(answer.message.empty());
    EXPECT_TRUE(answer.last);
    EXPECT_EQ(rows("audit", "event = 'refused-by-device' AND reason = 'untrusted-certificate'"), 1);
}

TEST_F(Conversation, EveryGrantAndRefusalIsAudited)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    personalize(device);
    const auto log = store.audit_log();
    ASSERT_EQ(log.size(), 3U);
    EXPECT_EQ(log[0].event, "granted");
    EXPECT_EQ(log[1].event, "recorded");
    EXPECT_EQ(log[2].event, "refused");
    EXPECT_EQ(log[2].reason, "sequence-taken");
    for (const auto& entry : log) {
        EXPECT_EQ(entry.chip, device.chip());
        EXPECT_EQ(entry.peer, "test");
        EXPECT_EQ(entry.time, now);
    }
}

TEST_F(Conversation, Attack46_AnAbandonedGrantIsRevokedWhenTheChipComesBack)
{
    DeviceSide side(device, binding);
    auto lost = session();
    const auto challenge = lost.receive(side.send_hello(side.hello()), now);
    const auto grant = lost.receive(bytes_of(side.proof(challenge.message)), now);
    const auto twin = certificate(grant_in(grant).module_certificate());
    EXPECT_TRUE(lost.abandon({Reason::connection_lost, ""}, now));
    EXPECT_TRUE(store.revoked().empty());

    device.identity_certificate.clear(); // it never arrived
    const auto again = send_proof(device, [](protocol::Message&) {});
    ASSERT_TRUE(is_grant(again));
    EXPECT_TRUE(again.revoked);
    ASSERT_EQ(store.revoked().size(), 1U);
    EXPECT_EQ(store.revoked().front().serial, twin.serial());

    const auto path = directory / "crl.pem";
    station::write_crl(path, station.credentials, store, now);
    auto trust = pki.trust();
    trust.crls = {pki::Crl::from_pem(read_file(path, 1 << 20).value()).or_throw()};
    const auto verdict = pki::verify(twin, {pki.station_signing.certificate}, trust, pki::Role::module, now);
    ASSERT_FALSE(verdict);
    EXPECT_EQ(verdict.refusal().reason, Reason::certificate_revoked);
    EXPECT_TRUE(pki::verify(certificate(grant_in(again).module_certificate()), {pki.station_signing.certificate}, trust,
                            pki::Role::module, now));
}

TEST_F(Conversation, Attack46_ABackupForARevokedGrantIsRefused)
{
    DeviceSide slow(device, binding);
    auto first = session();
    const auto challenge = first.receive(slow.send_hello(slow.hello()), now);
    const auto grant = first.receive(bytes_of(slow.proof(challenge.message)), now);
    const Bytes backup = bytes_of(slow.backup(grant.message));
    ASSERT_TRUE(is_grant(send_proof(device, [](protocol::Message&) {})));
    EXPECT_EQ(refusal(first.receive(backup, now)), Reason::certificate_revoked);
    EXPECT_EQ(rows("records"), 0);
}

} // namespace

} // namespace imprint::test
