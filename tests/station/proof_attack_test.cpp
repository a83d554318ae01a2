// SPDX-License-Identifier: Apache-2.0
// Proofs of keys, counters and conversations that are others: none of them gets a certificate.
#include "tests/station/attack.h"
#include "tests/station/raw_tpm.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/templates.h"

#include <set>

namespace imprint::test {

namespace {

using namespace imprint::station;

using Attack02 = Attack;
using Attack03 = Attack;
using Attack18 = Attack;
using Attack42 = Attack;

TEST_F(Attack02, ChallengesNeverRepeat)
{
    ASSERT_TRUE(is_receipt(personalize(device))); // with its certificate: no credential to make each time
    granted = 1;
    device.move_on();
    DeviceSide side(device, binding);
    const auto claim = check_hello(side.hello().hello(), *station.credentials.trust, now).or_throw();
    std::set<std::string> seen;
    constexpr std::size_t count = 100'000;
    for (std::size_t i = 0; i < count; ++i) {
        Asked asked;
        const auto challenge = make_challenge(station.credentials, claim, asked).or_throw();
        seen.insert(challenge.nonce());
        seen.insert(challenge.variation());
    }
    EXPECT_EQ(seen.size(), 2 * count);
}

TEST_F(Attack03, EveryByteOfTheProofCounts)
{
    Checked honest(device, station);
    ASSERT_TRUE(check_proof(honest.proof.proof(), honest.claim, honest.asked));
    using Field = std::string* (*)(protocol::Proof&);
    const std::array<Field, 9> fields{
        [](protocol::Proof& p) { return p.mutable_activated_secret(); },
        [](protocol::Proof& p) { return p.mutable_module_key(); },
        [](protocol::Proof& p) { return p.mutable_creation_data(); },
        [](protocol::Proof& p) { return p.mutable_creation()->mutable_attest(); },
        [](protocol::Proof& p) { return p.mutable_creation()->mutable_signature(); },
        [](protocol::Proof& p) { return p.mutable_storage_key()->mutable_attest(); },
        [](protocol::Proof& p) { return p.mutable_storage_key()->mutable_signature(); },
        [](protocol::Proof& p) { return p.mutable_epoch()->mutable_attest(); },
        [](protocol::Proof& p) { return p.mutable_epoch()->mutable_signature(); },
    };
    for (std::size_t i = 0; i < fields.size(); ++i) {
        protocol::Proof proof = honest.proof.proof();
        SCOPED_TRACE("field " + std::to_string(i));
        for_each_flip(*fields[i](proof), [&](const std::string& changed) {
            *fields[i](proof) = changed;
            EXPECT_FALSE(check_proof(proof, honest.claim, honest.asked));
        });
    }
}

// Made in this TPM under its storage key, and honestly attested: its template alone is not the right one.
TEST_F(Attack03, AKeyThatCouldLeaveTheTpmOrOutliveItsEpochGetsNoCertificate)
{
    Checked honest(device, station);
    RawTpm raw(device);
    const auto& index = honest.claim.epoch_index_name;
    const auto other_index = structures::name_of(structures::epoch_index(0x01805000, true));
    const auto sequence = honest.claim.sequence();
    const auto good = structures::module_key_template(index, sequence);
    const auto with = [&](TPMA_OBJECT set, TPMA_OBJECT clear) {
        auto area = good;
        area.objectAttributes = (area.objectAttributes | set) & ~clear;
        return area;
    };
    auto no_policy = good;
    no_policy.authPolicy.size = 0;
    const std::vector<std::pair<const char*, TPMT_PUBLIC>> cases{
        {"it can be duplicated", with(0, TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT)},
        {"the empty authorization serves", with(TPMA_OBJECT_USERWITHAUTH, 0)},
        {"the dictionary lock holds it", with(0, TPMA_OBJECT_NODA)},
        {"no policy", no_policy},
        {"of a later epoch", structures::module_key_template(index, sequence + 2)},
        {"of another index", structures::module_key_template(other_index, sequence)},
    };
    const auto proven = [&](const TPMT_PUBLIC& area, std::optional<ESYS_TR> hierarchy = {}) {
        const auto made = raw.create(area, honest.asked.variation, honest.asked.qualifying_data, hierarchy);
        protocol::Proof proof = honest.proof.proof();
        proof.set_module_key(to_string(structures::marshal(made.area)));
        proof.set_creation_data(to_string(made.creation_data));
        set(*proof.mutable_creation(), made.creation);
        return check_proof(proof, honest.claim, honest.asked);
    };
    for (const auto& [what, area] : cases) {
        const auto result = proven(area);
        ASSERT_FALSE(result) << what;
        EXPECT_EQ(result.refusal().reason, Reason::module_key_invalid) << what;
    }
    for (const ESYS_TR hierarchy : {ESYS_TR_RH_NULL, ESYS_TR_RH_OWNER}) {
        const auto result = proven(good, hierarchy);
        ASSERT_FALSE(result);
        EXPECT_EQ(result.refusal().reason, Reason::module_key_invalid) << "under a clone of the storage key";
    }
    EXPECT_TRUE(proven(good)) << "made in the same way, with the right template";
}

TEST_F(Attack03, AMutatedModuleKeyGetsNoCertificate)
{
    for (const std::size_t byte : {0U, 3U, 7U, 12U, 60U, 100U})
        EXPECT_TRUE(refusal(send_proof(
            device, [byte](protocol::Message& m) { (*m.mutable_proof()->mutable_module_key())[byte] ^= 1; })));
}

// A key of the attacker's own, made in software, in the template of the identity key.
TEST(Attack04, APublicOnlyKeyCannotBeActivated)
{
    HonestDevice device(SoftwareTpm::Kind::manufactured);
    const auto software = pki::generate_key("P-256");
    TPMT_PUBLIC area = structures::identity_key_template();
    const Bytes spki = pki::spki(software.get());
    std::ranges::copy_n(spki.end() - 64, 32, area.unique.ecc.x.buffer);
    std::ranges::copy_n(spki.end() - 32, 32, area.unique.ecc.y.buffer);
    area.unique.ecc.x.size = area.unique.ecc.y.size = 32;
    ASSERT_TRUE(structures::is_identity_key(area));

    const TestPki pki;
    const TemporaryDirectory directory;
    const Station station = make_station(pki);
    Store store(directory / "station.db");
    DeviceSide side(device, binding);
    auto hello = side.hello();
    hello.mutable_hello()->set_identity_key(to_string(structures::marshal(area)));
    Introductions introductions;
    StationSession session(station, store, introductions, {binding, "test"});
    const auto challenge = session.receive(side.send_hello(hello), now);
    ASSERT_FALSE(challenge.last);
    const auto credential = protocol::parse(challenge.message).or_throw().challenge().credential();
    RawTpm raw(device);
    EXPECT_EQ(raw.activate_public_only(area, {to_bytes(credential.id_object()), to_bytes(credential.secret())}),
              TSS2_RC(TPM2_RC_AUTH_UNAVAILABLE));

    protocol::Message guess;
    guess.mutable_proof()->set_activated_secret(std::string(32, 'x'));
    EXPECT_EQ(refusal(session.receive(bytes_of(guess), now)), Reason::activation_failed);
}

TEST_F(Attack18, NoAttestationPassesForAnother)
{
    using Slot = protocol::Attestation* (*)(protocol::Proof&);
    const std::array<Slot, 3> slots{[](protocol::Proof& p) { return p.mutable_creation(); },
                                    [](protocol::Proof& p) { return p.mutable_storage_key(); },
                                    [](protocol::Proof& p) { return p.mutable_epoch(); }};
    Checked honest(device, station);
    RawTpm raw(device);
    protocol::Attestation quote;
    set(quote, raw.quote(honest.asked.qualifying_data));
    for (const auto& to : slots) {
        protocol::Proof proof = honest.proof.proof();
        std::vector<protocol::Attestation> others{quote};
        for (const auto& from : slots)
            if (from(proof)->attest() != to(proof)->attest())
                others.push_back(*from(proof));
        ASSERT_EQ(others.size(), 3U);
        for (const auto& other : others) {
            *to(proof) = other;
            const auto result = check_proof(proof, honest.claim, honest.asked);
            ASSERT_FALSE(result);
            EXPECT_EQ(result.refusal().reason, Reason::attestation_invalid);
        }
    }
}

TEST_F(Attack, A31_AnotherVariationValueIsRefused)
{
    Checked honest(device, station);
    honest.asked.variation.front() ^= 1;
    const auto result = check_proof(honest.proof.proof(), honest.claim, honest.asked);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.refusal().reason, Reason::module_key_invalid);
}

TEST_F(Attack42, AStorageKeyOfAnotherHierarchyIsRefused)
{
    RawTpm raw(device);
    for (const ESYS_TR hierarchy : {ESYS_TR_RH_NULL, ESYS_TR_RH_OWNER}) {
        DeviceSide side(device, binding);
        auto hello = side.hello();
        const auto area = raw.clone(structures::storage_key_template(), hierarchy, {}).area;
        hello.mutable_hello()->set_storage_key(to_string(structures::marshal(area)));
        auto conversation = session();
        const auto challenge = conversation.receive(side.send_hello(hello), now);
        ASSERT_FALSE(challenge.last);
        auto proof = side.proof(challenge.message);
        set(*proof.mutable_proof()->mutable_storage_key(),
            raw.clone(structures::storage_key_template(), hierarchy, side.qualifying_data()).certified);
        EXPECT_EQ(refusal(conversation.receive(bytes_of(proof), now)), Reason::attestation_invalid);
    }
}

} // namespace

} // namespace imprint::test
