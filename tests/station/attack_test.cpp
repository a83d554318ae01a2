// SPDX-License-Identifier: Apache-2.0
// The catalogue's attacks on Hello, Proof and Backup. None of them gets a certificate.
#include "tests/station/fixture.h"
#include "tests/station/raw_tpm.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/policy.h"
#include "daemon/structures/templates.h"
#include "provisioning/protocol/transcript.h"
#include "provisioning/station/commands.h"

#include <gmock/gmock.h>

#include <set>

namespace imprint::test {

namespace {

using namespace imprint::station;

class Attack : public OneDevice {
protected:
    ~Attack() override { EXPECT_EQ(rows("grants"), granted) << "certificates"; }
    std::int64_t granted = 0; // by honest conversations of the test
};
using Attack02 = Attack;
using Attack03 = Attack;
using Attack18 = Attack;
using Attack27 = Attack;
using Attack39 = Attack;
using Attack41 = Attack;
using Attack42 = Attack;

// A Hello and the honest Proof for it, with what the station knows when it checks them.
struct Checked {
    Checked(HonestDevice& device, const Station& station)
        : side(device, binding)
        , hello(side.hello())
    {
        const Bytes bytes = side.send_hello(hello);
        claim = check_hello(hello.hello(), *station.credentials.trust, now).or_throw();
        protocol::Message challenge;
        *challenge.mutable_challenge() = make_challenge(station.credentials, claim, asked).or_throw();
        asked.qualifying_data = protocol::qualifying_data(binding, bytes, bytes_of(challenge));
        proof = side.proof(bytes_of(challenge));
    }

    DeviceSide side;
    protocol::Message hello;
    Claim claim;
    Asked asked;
    protocol::Message proof;
};

// Every byte of `field` changed in turn.
template <class F>
void for_each_flip(const std::string& field, F visit)
{
    for (std::size_t i = 0; i < field.size(); ++i)
        for (const unsigned mask : {0x01U, 0x80U}) {
            std::string changed = field;
            changed[i] = static_cast<char>(static_cast<unsigned char>(changed[i]) ^ mask);
            SCOPED_TRACE("byte " + std::to_string(i));
            visit(changed);
        }
}

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

TEST_F(Attack03, EveryByteOfThePublicAreasInHelloCounts)
{
    Checked honest(device, station);
    using Field = std::string* (*)(protocol::Hello&);
    const std::array<Field, 4> fields{
        [](protocol::Hello& h) { return h.mutable_endorsement_keys(0)->mutable_area(); },
        [](protocol::Hello& h) { return h.mutable_identity_key(); },
        [](protocol::Hello& h) { return h.mutable_storage_key(); },
        [](protocol::Hello& h) { return h.mutable_epoch_index(); },
    };
    for (std::size_t i = 0; i < fields.size(); ++i) {
        protocol::Hello hello = honest.hello.hello();
        SCOPED_TRACE("field " + std::to_string(i));
        for_each_flip(*fields[i](hello), [&](const std::string& changed) {
            *fields[i](hello) = changed;
            const auto claim = check_hello(hello, *station.credentials.trust, now);
            // What still looks right does not fit to what the TPM attests, even for the same conversation.
            EXPECT_FALSE(claim && check_proof(honest.proof.proof(), *claim, honest.asked));
        });
    }
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
    EXPECT_NE(raw.activate_public_only(area, {to_bytes(credential.id_object()), to_bytes(credential.secret())}),
              TSS2_RC_SUCCESS);

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

TEST_F(Attack27, ARelayToAnotherConnectionIsRefused)
{
    DeviceSide side(device, Bytes(32, 0x01)); // the device talks to the relay
    auto conversation = session(Bytes(32, 0x02)); // the relay talks to the station
    const auto challenge = conversation.receive(side.send_hello(side.hello()), now);
    const auto answer = conversation.receive(bytes_of(side.proof(challenge.message)), now);
    EXPECT_EQ(refusal(answer), Reason::attestation_invalid);
}

TEST_F(Attack, A31_AnotherVariationValueIsRefused)
{
    Checked honest(device, station);
    honest.asked.variation.front() ^= 1;
    const auto result = check_proof(honest.proof.proof(), honest.claim, honest.asked);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.refusal().reason, Reason::module_key_invalid);
}

constexpr TPMI_RH_NV_INDEX elsewhere = 0x01805000;
constexpr TPMA_NV counter = TPM2_NT_COUNTER << TPMA_NV_TPM2_NT_SHIFT;
constexpr TPMA_NV readable = TPMA_NV_OWNERWRITE | TPMA_NV_AUTHREAD | TPMA_NV_OWNERREAD | TPMA_NV_NO_DA;

TEST_F(Attack41, AnyOtherIndexIsRefused)
{
    RawTpm raw(device);
    EXPECT_TRUE(structures::is_epoch_index(raw.define_index(elsewhere, counter | readable))) << "the honest one";
    TPMI_RH_NV_INDEX handle = elsewhere;
    for (const TPMA_NV attributes :
         {readable, counter | readable | TPMA_NV_AUTHWRITE, counter | readable | TPMA_NV_ORDERLY,
          counter | readable | TPMA_NV_POLICYWRITE, counter | (readable & ~TPMA_NV_NO_DA)}) {
        const auto index = raw.define_index(++handle, attributes);
        // As it is ...
        const auto shown = send_hello(device, [&](protocol::Message& m) {
            m.mutable_hello()->set_epoch_index(to_string(structures::marshal(index)));
            m.mutable_hello()->set_epoch(2);
        });
        EXPECT_EQ(refusal(shown), Reason::epoch_index_invalid);
        // ... and under the name of the right one.
        Checked honest(device, station);
        honest.claim.epoch_index_name = structures::name_of(structures::epoch_index(handle, true));
        set(*honest.proof.mutable_proof()->mutable_epoch(), raw.certify_index(index, honest.asked.qualifying_data));
        const auto result = check_proof(honest.proof.proof(), honest.claim, honest.asked);
        ASSERT_FALSE(result);
        EXPECT_EQ(result.refusal().reason, Reason::attestation_invalid);
    }
}

TEST_F(Attack41, AnotherCountThanAnnouncedIsRefused)
{
    const auto answer =
        send_hello(device, [](protocol::Message& m) { m.mutable_hello()->set_epoch(m.hello().epoch() + 1); });
    EXPECT_EQ(refusal(answer), Reason::epoch_mismatch);
    // The counter moves on between Hello and Proof.
    DeviceSide side(device, binding);
    auto conversation = session();
    const auto challenge = conversation.receive(side.send_hello(side.hello()), now);
    device.move_on();
    EXPECT_EQ(refusal(conversation.receive(bytes_of(side.proof(challenge.message)), now)), Reason::epoch_mismatch);
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

TEST_F(Attack, AForeignManufacturersIdentityIsRefused)
{
    const TestPki foreign;
    const auto spki = structures::to_spki(device.module.identity_key()).or_throw();
    device.identity_certificate =
        pki::issue_identity(foreign.identity_ca.issuer(), spki, {"serial", "SN1"}, device.chip()).der();
    EXPECT_EQ(refusal(personalize(device)), Reason::untrusted_certificate);
    device.identity_certificate = pki.identity("SN1", device.chip()).certificate.der();
    EXPECT_EQ(refusal(personalize(device)), Reason::key_mismatch);
    device.identity_certificate =
        pki::issue_identity(pki.identity_ca.issuer(), spki, {"serial", "SN1"}, std::string(64, 'a')).der();
    EXPECT_EQ(refusal(personalize(device)), Reason::key_mismatch);
    device.identity_certificate = pki.station_tls.certificate.der();
    EXPECT_EQ(refusal(personalize(device)), Reason::wrong_role);
}

TEST_F(Attack, AWrongHelloIsRefused)
{
    using protocol::Message;
    const std::vector<std::pair<Change, Reason>> cases{
        {[](Message& m) { m.mutable_hello()->set_version(2); }, Reason::unsupported_version},
        {[](Message& m) { m.mutable_hello()->clear_version(); }, Reason::unsupported_version},
        {[](Message& m) { m.mutable_hello()->set_nonce(std::string(31, 'n')); }, Reason::malformed_message},
        {[](Message& m) { m.mutable_hello()->set_chip_identifier(std::string(64, 'a')); }, Reason::malformed_message},
        {[](Message& m) { m.mutable_hello()->clear_endorsement_keys(); }, Reason::malformed_message},
        {[](Message& m) {
             for (int i = 0; i < 8; ++i)
                 m.mutable_hello()->add_endorsement_keys();
         },
         Reason::malformed_message},
        {[](Message& m) { m.mutable_hello()->set_identity_key(m.hello().storage_key()); },
         Reason::identity_key_invalid},
        {[](Message& m) { m.mutable_hello()->set_storage_key(m.hello().identity_key()); }, Reason::storage_key_invalid},
        {[](Message& m) { m.mutable_hello()->set_epoch_index("x"); }, Reason::epoch_index_invalid},
        {[](Message& m) { m.mutable_hello()->set_epoch(UINT64_MAX - 1); }, Reason::malformed_message},
        {[](Message& m) { m.mutable_hello()->clear_epoch(); }, Reason::malformed_message},
        {[](Message& m) { m.mutable_hello()->clear_capabilities(); }, Reason::capability_missing},
        {[](Message& m) { m.mutable_hello()->mutable_capabilities()->set_vendor("a\nb"); }, Reason::malformed_message},
        {[](Message& m) { m.mutable_hello()->mutable_introduction()->set_selector("t"); }, Reason::malformed_message},
    };
    for (std::size_t i = 0; i < cases.size(); ++i)
        EXPECT_EQ(refusal(send_hello(device, cases[i].first)), cases[i].second) << "case " << i;
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
