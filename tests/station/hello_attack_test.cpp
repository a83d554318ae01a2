// SPDX-License-Identifier: Apache-2.0
// Hellos that are not what they should be: none of them gets a certificate.
#include "tests/station/attack.h"
#include "tests/station/raw_tpm.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/templates.h"

namespace imprint::test {

namespace {

using namespace imprint::station;

using Attack03 = Attack;
using Attack41 = Attack;

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

} // namespace

} // namespace imprint::test
