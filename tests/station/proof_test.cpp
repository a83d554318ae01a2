// SPDX-License-Identifier: Apache-2.0
// The proof of recoverability: without it there is no receipt, and it is kept so that it can be verified again.
#include "tests/station/fixture.h"

#include "daemon/structures/name.h"
#include "provisioning/station/proof.h"

namespace imprint::test {

namespace {

class Proof : public OneDevice {
protected:
    // What the station says to a Backup that was changed; nothing is kept of a refused one.
    std::optional<Reason> refused(const std::function<void(protocol::Backup&)>& change)
    {
        const auto answer = send_backup(device, [&](protocol::Message& message) { change(*message.mutable_backup()); });
        EXPECT_FALSE(is_receipt(answer));
        EXPECT_FALSE(store.record(device.chip(), device.epoch() + 1));
        EXPECT_FALSE(store.proof(device.chip(), device.epoch() + 1));
        return refusal(answer);
    }
    Result<station::Proven> verify(BytesView proof)
    {
        const auto sequence = device.epoch() + 1;
        return station::verify_proof(proof, store.record(device.chip(), sequence).value().record,
                                     store.received_grant(device.chip(), sequence).value().module_certificate,
                                     pki.trust());
    }
};

TEST_F(Proof, B18_ItIsKeptWithTheRecordAndVerifiedAgain)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    const Bytes proof = store.proof(device.chip(), device.epoch() + 1).value();
    const auto proven = verify(proof);
    ASSERT_TRUE(proven) << proven.refusal().detail;
    EXPECT_EQ(proven->keys, std::vector<std::string>{"manufacturer-channel"});
    for (std::size_t at = 0; at < proof.size(); at += 7) {
        Bytes flipped = proof;
        flipped[at] ^= 1;
        const auto changed = verify(flipped);
        EXPECT_TRUE(!changed || changed->keys != proven->keys) << at;
    }
    EXPECT_FALSE(verify(BytesView(proof).first(proof.size() - 1)));
}

TEST_F(Proof, B18_TheOneOfAnotherEpochDoesNotPass)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    const Bytes old = store.proof(device.chip(), device.epoch() + 1).value();
    device.move_on();
    ASSERT_TRUE(is_receipt(personalize(device)));
    const auto verified = verify(old);
    ASSERT_FALSE(verified);
    EXPECT_EQ(verified.refusal().reason, Reason::key_mismatch) << "a former module key";
}

TEST_F(Proof, B25_ABackupThatWasNotOpenedAgainGetsNoReceipt)
{
    EXPECT_EQ(refused([](auto& backup) { backup.mutable_keys()->RemoveLast(); }), Reason::package_invalid);
}

TEST_F(Proof, B25_AKeyThatWasLoadedFromElsewhereGetsNoReceipt)
{
    EXPECT_EQ(refused([](auto& backup) {
                  backup.mutable_keys(0)->mutable_certified()->Swap(backup.mutable_keys(1)->mutable_certified());
              }),
              Reason::attestation_invalid)
        << "certified is another key than the granted one";
}

TEST_F(Proof, B25_AnEarlierConversationsProofGetsNoReceipt)
{
    protocol::Backup earlier;
    ASSERT_TRUE(is_receipt(send_backup(device, [&](protocol::Message& message) { earlier = message.backup(); })));
    device.move_on();
    EXPECT_EQ(refused([&](auto& backup) { *backup.mutable_keys() = earlier.keys(); }), Reason::attestation_invalid);
}

} // namespace

} // namespace imprint::test
