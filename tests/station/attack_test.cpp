// SPDX-License-Identifier: Apache-2.0
// What an attacker does with whole conversations and devices: none of it gets a certificate.
#include "provisioning/station/commands.h"
#include "tests/station/attack.h"

#include <gmock/gmock.h>

namespace imprint::test {

namespace {

using namespace imprint::station;

using Attack02 = Attack;
using Attack27 = Attack;
using Attack39 = Attack;

TEST_F(Attack02, A29_AReplayedProofIsRefused)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    granted = 1;
    device.move_on();
    DeviceSide side(device, binding);
    const Bytes hello = side.send_hello(side.hello());
    auto first = session();
    const Bytes proof = bytes_of(side.proof(first.receive(hello, now).message));
    auto second = session();
    ASSERT_FALSE(second.receive(hello, now).last);
    EXPECT_EQ(refusal(second.receive(proof, now)), Reason::attestation_invalid);
}

TEST_F(Attack27, ARelayToAnotherConnectionIsRefused)
{
    DeviceSide side(device, Bytes(32, 0x01)); // the device talks to the relay
    auto conversation = session(Bytes(32, 0x02)); // the relay talks to the station
    const auto challenge = conversation.receive(side.send_hello(side.hello()), now);
    const auto answer = conversation.receive(bytes_of(side.proof(challenge.message)), now);
    EXPECT_EQ(refusal(answer), Reason::attestation_invalid);
}

TEST_F(Attack, AWrongBackupIsRefused)
{
    using protocol::Message;
    const std::vector<std::pair<Change, Reason>> cases{
        {[](Message& m) { m.mutable_backup()->mutable_record()->back() ^= 1; }, Reason::signature_invalid},
        {[](Message& m) { m.mutable_backup()->clear_record(); }, Reason::record_invalid},
        {[](Message& m) { m.mutable_backup()->mutable_keys()->RemoveLast(); }, Reason::package_invalid},
        {[](Message& m) { *m.mutable_backup()->add_keys() = m.backup().keys(0); }, Reason::package_invalid},
        {[](Message& m) { m.mutable_backup()->mutable_keys(0)->set_label("other"); }, Reason::package_invalid},
        {[](Message& m) {
             m.mutable_backup()->mutable_keys()->SwapElements(0, 1);
             m.mutable_backup()->mutable_keys(0)->mutable_label()->swap(
                 *m.mutable_backup()->mutable_keys(1)->mutable_label());
         },
         Reason::attestation_invalid},
        {[](Message& m) { m.mutable_backup()->mutable_keys(0)->mutable_certified()->mutable_attest()->back() ^= 1; },
         Reason::attestation_invalid},
    };
    for (std::size_t i = 0; i < cases.size(); ++i) {
        device.identity_certificate.clear();
        EXPECT_TRUE(refusal(send_backup(device, cases[i].first))) << "case " << i;
        EXPECT_EQ(store.audit_log().back().reason, name(cases[i].second)) << "case " << i;
    }
    granted = static_cast<std::int64_t>(cases.size());
    EXPECT_EQ(rows("records"), 0);
}

// The first one was here; what comes now has proven the same endorsement key, and another identity key.
TEST_F(Attack39, OfTwoWithOneEndorsementKeyTheSecondIsRefusedAndBothAreListed)
{
    const auto first = pki.identity("SN000001", device.chip());
    ASSERT_TRUE(store.add_chip({.id = device.chip(),
                                .identity = {"serial", "SN000001"},
                                .identity_certificate = first.certificate.der(),
                                .first_granted = now},
                               first.certificate.spki()));
    send_hello(device, [](auto&) {});
    EXPECT_FALSE(store.quarantined(device.chip())) << "a mere claim stops nobody";
    EXPECT_EQ(refusal(send_proof(device, [](auto&) {})), Reason::key_mismatch);
    EXPECT_TRUE(store.quarantined(device.chip()));
    EXPECT_EQ(rows("audit", "event = 'quarantined' AND chip = '" + device.chip() + "'"), 1);
    testing::internal::CaptureStdout();
    station::list_chips(store, false);
    EXPECT_THAT(testing::internal::GetCapturedStdout(),
                testing::HasSubstr(device.chip() + " SN000001 sequence 0 quarantined"));

    EXPECT_EQ(refusal(send_proof(device, [](auto&) {})), Reason::chip_quarantined) << "whichever of them it is";
    EXPECT_TRUE(store.release(device.chip())) << "until the operator has looked";
}

// With the same seeds the identity key is the same as well.
TEST_F(Attack39, ACopyOfATpmIsRefusedAndNamedInTheAuditLog)
{
    HonestDevice one(SoftwareTpm::Kind::manufactured), copy(SoftwareTpm::Kind::manufactured);
    ASSERT_EQ(one.chip(), copy.chip());
    trust(one);
    ASSERT_TRUE(is_receipt(personalize(one)));
    granted = 1;
    EXPECT_EQ(refusal(send_proof(copy, [](auto&) {})), Reason::chip_already_known);
    copy.identity_certificate = one.identity_certificate;
    EXPECT_EQ(refusal(send_proof(copy, [](auto&) {})), Reason::sequence_taken) << "also with the other's files";
    EXPECT_EQ(rows("audit", "event = 'refused' AND chip = '" + one.chip() + "'"), 2);
}

} // namespace

} // namespace imprint::test
