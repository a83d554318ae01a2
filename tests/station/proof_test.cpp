// SPDX-License-Identifier: Apache-2.0
// The proof of recoverability: without it there is no receipt, and it is kept so that it can be verified again.
#include "tests/station/fixture.h"

#include "backup/package/data_package.h"
#include "daemon/structures/marshal.h"
#include "provisioning/station/proof.h"
#include "provisioning/station/proof.pb.h"
#include "tests/package/software_parent.h"

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

// Keys under the package's parent, one of them a pair that the test knows.
class ChildProof : public Proof {
protected:
    ChildProof()
    {
        station.pool = std::make_shared<OnePair>(pair);
        station.profile.entries = {{"channel", station::DerivedKey{"channel", 1}},
                                   {"file", station::PairKey{.from_pool = true}, true},
                                   {"file.hmac", station::DerivedKey{"file.hmac", 1}, true}};
    }
    std::optional<Reason> refused_proof(const std::function<void(station::KeptProof&)>& change)
    {
        station::KeptProof proof;
        proof.ParseFromString(to_string(store.proof(device.chip(), device.epoch() + 1).value()));
        change(proof);
        const auto verified = verify(protobuf::serialize(proof));
        return verified ? std::nullopt : std::optional(verified.refusal().reason);
    }
    // The answer to the Backup of a device that took this package for the granted one.
    station::Answer loaded_instead(const std::function<void(package::DataPackage&)>& change)
    {
        DeviceSide side(device, binding);
        auto conversation = session();
        const auto challenge = conversation.receive(side.send_hello(side.hello()), now);
        const auto answer = conversation.receive(bytes_of(side.proof(challenge.message)), now);
        auto message = protocol::parse(answer.message).or_throw();
        package::DataPackage data;
        data.ParseFromString(message.grant().data_package());
        change(data);
        message.mutable_grant()->set_data_package(to_string(package::serialize(data)));
        return conversation.receive(bytes_of(side.backup(bytes_of(message))), now);
    }

    class OnePair : public station::PairSource {
    public:
        explicit OnePair(const pki::Key& pair)
            : pair_(pair)
        {
        }
        Result<pki::Key> take(station::Store&, station::PairKind, const std::string&, std::uint64_t) const override
        {
            EVP_PKEY_up_ref(pair_.get());
            return pki::Key(pair_.get());
        }

    private:
        const pki::Key& pair_;
    };
    const pki::Key pair = station::make_pair(station::PairKind::p256);
};

TEST_F(ChildProof, B18_GoesThroughTheParentAndIsVerifiedAgain)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    const Bytes proof = store.proof(device.chip(), device.epoch() + 1).value();
    const auto proven = verify(proof);
    ASSERT_TRUE(proven) << proven.refusal().detail;
    EXPECT_EQ(proven->keys, (std::vector<std::string>{"channel", "file", "file.hmac"}));
    for (std::size_t at = 0; at < proof.size(); at += 7) {
        Bytes flipped = proof;
        flipped[at] ^= 1;
        const auto changed = verify(flipped);
        EXPECT_TRUE(!changed || changed->keys != proven->keys) << at;
    }
}

TEST_F(ChildProof, B18_IsNotVerifiedUnderAnotherParent)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    EXPECT_EQ(refused_proof([](auto&) {}), std::nullopt);
    EXPECT_EQ(refused_proof([](auto& proof) { proof.clear_parent(); }), Reason::record_invalid);
    EXPECT_EQ(refused_proof([](auto& proof) { proof.set_parent(proof.keys(0).object()); }), Reason::record_invalid)
        << "no parent at all";
    EXPECT_EQ(
        refused_proof([](auto& proof) { proof.set_parent(to_string(structures::marshal(SoftwareParent().area()))); }),
        Reason::attestation_invalid);
}

// The very key that was granted, in this TPM, but under a parent that the station did not make.
TEST_F(ChildProof, B25_TheRightKeyUnderAnotherParentGetsNoReceipt)
{
    station.profile.entries = {{"file", station::PairKey{.from_pool = true}, true}};
    const SoftwareParent other;
    const auto answer = loaded_instead([&](package::DataPackage& data) {
        *data.mutable_parent() = other.wrapped_for(device.module.storage_key());
        *data.mutable_entries(0) = other.child("file", station::public_area(pair.get(), structures::KeyUse::sign),
                                               station::private_value(pair.get()));
    });
    EXPECT_EQ(refusal(answer), Reason::attestation_invalid);
    EXPECT_FALSE(store.record(device.chip(), device.epoch() + 1));
}

TEST_F(ChildProof, B25_AChildThatWasNotLoadedGetsNoReceipt)
{
    EXPECT_EQ(refusal(loaded_instead([](auto& data) { data.mutable_entries()->RemoveLast(); })),
              Reason::package_invalid);
}

} // namespace

} // namespace imprint::test
