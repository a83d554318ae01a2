// SPDX-License-Identifier: Apache-2.0
// Stations and lines that are not what they should be: the device refuses by name and stays as it was.
#include "tests/device/refusal.h"

namespace imprint::test {
namespace {

Mischief show(const Certified& signing)
{
    return in_challenge(
        [&](protocol::Challenge& challenge) { challenge.set_certificates(0, to_string(signing.certificate.der())); });
}

Mischief in_package(std::function<void(package::DataPackage&)> change)
{
    return in_grant([change](protocol::Grant& grant) {
        package::DataPackage data;
        data.ParseFromString(grant.data_package());
        change(data);
        grant.set_data_package(data.SerializeAsString());
    });
}

TEST_F(Refusal, ACredentialForAKeyThatHasItsCertificate)
{
    box.wire.reset();
    expect_refused(in_challenge([](protocol::Challenge& challenge) {
                       challenge.mutable_credential()->set_id_object("?");
                       challenge.mutable_credential()->set_secret("?");
                   }),
                   Reason::malformed_message, "an activation");
    EXPECT_EQ(box.wire.count(TPM2_CC_ActivateCredential), 0U);
    expect_honest_station_still_welcome();
}

TEST_F(Refusal, A24_AStationWithAForeignOrUnfitCertificate)
{
    const TestPki twin;
    const auto& pki = manufacturer();
    const auto expired_tls = pki.server(pki::Role::station_tls, "Station 1", expired);
    const auto early_tls = pki.server(pki::Role::station_tls, "Station 1", not_yet_valid);
    expect_refused({.tls = &twin.station_tls}, Reason::untrusted_certificate, "another manufacturer");
    expect_refused({.tls = &pki.archive}, Reason::wrong_role, "an archive");
    expect_refused({.tls = &expired_tls}, Reason::certificate_expired, "expired");
    expect_refused({.tls = &early_tls}, Reason::certificate_not_yet_valid, "not yet valid");
    EXPECT_TRUE(station.messages().size() == 6) << "no message went out";
    expect_honest_station_still_welcome();
}

TEST_F(Refusal, A28_EachLinkOfTheChainBrokenInTurn)
{
    const TestPki twin;
    const auto& pki = manufacturer();
    const auto other_station = pki.ca(pki::Role::station_signing, "Station 2");
    const auto expired_signing = pki.ca(pki::Role::station_signing, "Station 1", expired);
    const auto early_signing = pki.ca(pki::Role::station_signing, "Station 1", not_yet_valid);
    expect_refused(show(twin.station_signing), Reason::untrusted_certificate, "checking key");
    expect_refused(show(pki.identity_ca), Reason::wrong_role, "role of the signing key");
    expect_refused(show(expired_signing), Reason::certificate_expired, "time of the signing key");
    expect_refused(show(early_signing), Reason::certificate_not_yet_valid, "time of the signing key");
    expect_refused(show(other_station), Reason::key_mismatch, "the name of the connection");
    expect_refused(in_challenge([](auto& challenge) { challenge.clear_certificates(); }), Reason::untrusted_certificate,
                   "no signing certificate");
    expect_refused(in_grant([&](auto& grant) {
                       const auto other = pki.module("SN-000001");
                       grant.set_module_certificate(to_string(other.certificate.der()));
                   }),
                   Reason::key_mismatch, "the module certificate's key");
    expect_refused(in_grant([&](auto& grant) {
                       const auto other = pki.identity("SN-000001", box.chip());
                       grant.set_identity_certificate(to_string(other.certificate.der()));
                   }),
                   Reason::key_mismatch, "the identity certificate's key");
    expect_honest_station_still_welcome();
}

// Certificates for the device's own keys, by every wrong issuer and with every wrong content.
TEST_F(Refusal, A28_CertificatesForTheRightKeysWithAnythingElseWrong)
{
    const TestPki twin;
    const auto& pki = manufacturer();
    const auto second = pki.ca(pki::Role::station_signing, "Station 1");
    const auto module = [&](const pki::Issuer& issuer, std::function<void(pki::ModuleBinding&)> change,
                            pki::Validity validity = valid, std::string serial = "SN-000001") {
        return in_grant([=](protocol::Grant& grant) {
            const auto granted = pki::Certificate::from_der(as_bytes(grant.module_certificate())).or_throw();
            auto binding = *pki::module_binding(granted);
            change(binding);
            const auto made = pki::issue_module(issuer, granted.spki(), {"serial", serial}, binding, validity);
            grant.set_module_certificate(to_string(made.der()));
        });
    };
    const auto same = [](pki::ModuleBinding&) {};
    const auto signing = pki.station_signing.issuer();
    expect_refused(module(twin.station_signing.issuer(), same), Reason::untrusted_certificate, "foreign issuer");
    expect_refused(module(second.issuer(), same), Reason::untrusted_certificate, "a twin of the signing key");
    expect_refused(module(signing, same, expired), Reason::certificate_expired, "expired");
    expect_refused(module(signing, same, not_yet_valid), Reason::certificate_not_yet_valid, "not yet valid");
    expect_refused(module(signing, same, valid, "SN-000002"), Reason::module_key_invalid, "another identity");
    expect_refused(module(signing, [](auto& b) { b.nonce[0] ^= 1; }), Reason::nonce_mismatch, "nonce");
    expect_refused(module(signing, [](auto& b) { b.epoch += 2; }), Reason::epoch_mismatch, "epoch");
    expect_refused(module(signing, [](auto& b) { b.epoch_index_name[5] ^= 1; }), Reason::epoch_index_invalid, "index");
    expect_refused(module(signing, [](auto& b) { b.storage_key_name[5] ^= 1; }), Reason::storage_key_invalid,
                   "storage key");
    expect_refused(module(signing, [](auto& b) { b.chip_identifier = std::string(64, 'f'); }), Reason::key_mismatch,
                   "chip");
    expect_honest_station_still_welcome();
}

TEST_F(Refusal, B2_AnIdentityThatIsNotThisDevices)
{
    const TestPki twin;
    const auto& pki = manufacturer();
    const auto identity = [&](const pki::Issuer& issuer, const std::string& serial, const std::string& chip) {
        return in_grant([=](protocol::Grant& grant) {
            const auto granted = pki::Certificate::from_der(as_bytes(grant.identity_certificate())).or_throw();
            const auto made = pki::issue_identity(issuer, granted.spki(), {"serial", serial}, chip);
            grant.set_identity_certificate(to_string(made.der()));
        });
    };
    expect_refused(identity(twin.identity_ca.issuer(), "SN-000001", box.chip()), Reason::untrusted_certificate,
                   "foreign CA");
    expect_refused(identity(pki.identity_ca.issuer(), "SN-000001", std::string(64, 'f')), Reason::key_mismatch,
                   "another chip");
    expect_refused(identity(pki.identity_ca.issuer(), "SN-000002", box.chip()), Reason::identity_taken,
                   "another identity");
    expect_honest_station_still_welcome();
}

TEST_F(Refusal, A28_AnIdentityThatItsCaMayNotGive)
{
    const auto scoped = manufacturer().ca(pki::Role::identity_ca, "Station 2 Identity CA", valid,
                                          {{"serial", "SN-500000", "SN-599999"}});
    expect_refused(
        in_grant([&](protocol::Grant& grant) {
            const auto granted = pki::Certificate::from_der(as_bytes(grant.identity_certificate())).or_throw();
            const auto made = pki::issue_identity(scoped.issuer(), granted.spki(), {"serial", "SN-000001"}, box.chip());
            grant.set_identity_certificate(to_string(made.der()));
            grant.add_certificates(to_string(scoped.certificate.der()));
        }),
        Reason::identity_out_of_scope, "out of scope");
    expect_honest_station_still_welcome();
}

TEST_F(Refusal, A28_EveryCertificateOfAStolenStation)
{
    const auto& pki = manufacturer();
    const auto revoke = [&](const Certified& certified) {
        auto bundle = pki.trust_pem();
        const auto crl = pki.crl(certified.certificate).pem();
        bundle.insert(bundle.end(), crl.begin(), crl.end());
        write_file(box.settings.trust_bundle, bundle);
    };
    revoke(pki.station_tls);
    expect_refused({}, Reason::certificate_revoked, "the connection");
    revoke(pki.station_signing);
    expect_refused({}, Reason::certificate_revoked, "the signing key");
    revoke(pki.identity_ca);
    expect_refused({}, Reason::chip_already_known, "it leaves its certificate away, and nobody has readmitted it");
    write_file(box.settings.trust_bundle, pki.trust_pem());
    expect_honest_station_still_welcome();
}

TEST_F(Refusal, A30_AnOldCertificateReplayed)
{
    const auto old = protocol::parse(station.messages().at(3)).or_throw();
    ASSERT_TRUE(old.has_grant());
    expect_refused(in_grant([&](auto& grant) { grant.set_module_certificate(old.grant().module_certificate()); }),
                   Reason::key_mismatch, "the old key's certificate");
    expect_refused({.replace =
                        [&](Bytes bytes) {
                            return protocol::parse(bytes).or_throw().has_grant() ? station.messages().at(3) : bytes;
                        }},
                   Reason::key_mismatch, "the whole old grant");
}

TEST_F(Refusal, PackagesForAnybodyElse)
{
    expect_refused(in_package([](auto& d) { d.set_sequence(d.sequence() + 2); }), Reason::package_invalid, "sequence");
    expect_refused(in_package([](auto& d) { d.set_chip_identifier(std::string(64, 'f')); }), Reason::package_invalid,
                   "chip");
    expect_refused(in_package([](auto& d) { d.set_identity_value("SN-000009"); }), Reason::package_invalid, "identity");
    expect_refused(in_package([](auto& d) { *d.add_entries() = d.entries(0); }), Reason::package_invalid, "labels");
    expect_refused(in_package([](auto& d) {
                       auto& duplicate = *d.mutable_entries(0)->mutable_duplicate();
                       duplicate[duplicate.size() - 1] ^= 1;
                   }),
                   Reason::tpm_refused, "a wrap that does not open");
    expect_honest_station_still_welcome();
}

// Before the station acknowledges anything.
TEST_F(Refusal, B17_ASecretThatTheDeviceCouldNotOpen)
{
    const auto content = std::make_shared<const Secret>(as_bytes("correct horse"));
    station.give({{{"wifi", station::OpaqueSecret{content, {}}}, {"vpn", station::OpaqueSecret{content, {}}}}});
    expect_refused(in_package([](auto& d) { d.mutable_entries(1)->mutable_enveloped()->back() ^= 1; }),
                   Reason::package_invalid, "a flipped bit");
    expect_refused(in_package([](auto& d) {
                       std::swap(*d.mutable_entries(0)->mutable_enveloped(),
                                 *d.mutable_entries(1)->mutable_enveloped());
                   }),
                   Reason::package_invalid, "one secret in the place of the other");
    EXPECT_FALSE(station.store().record(box.chip(), epoch_ + 1));
    expect_honest_station_still_welcome();
}

TEST_F(Refusal, Attack17_MessagesOutOfFormOrOrder)
{
    const auto reply = [](Bytes bytes) { return Mischief{.replace = [bytes](const Bytes&) { return bytes; }}; };
    expect_refused({.replace =
                        [](Bytes bytes) {
                            bytes.push_back(0);
                            return bytes;
                        }},
                   Reason::malformed_message, "trailing byte");
    expect_refused({.replace =
                        [](Bytes bytes) {
                            bytes.resize(bytes.size() / 2);
                            return bytes;
                        }},
                   Reason::malformed_message, "truncated");
    expect_refused({.replace =
                        [](Bytes bytes) {
                            bytes.insert(bytes.end(), {0xfa, 0x07, 0x00});
                            return bytes;
                        }},
                   Reason::malformed_message, "unknown field");
    protocol::Message grant;
    grant.mutable_grant();
    expect_refused(reply(protocol::serialize(grant)), Reason::unexpected_message, "Grant first");
    protocol::Message hello_again;
    hello_again.mutable_hello();
    expect_refused(reply(protocol::serialize(hello_again)), Reason::unexpected_message, "our own kind of message");
    expect_refused(in_challenge([](auto& c) { c.set_nonce("short"); }), Reason::malformed_message, "nonce");
    expect_refused(in_challenge([](auto& c) { c.clear_variation(); }), Reason::malformed_message, "variation");
    expect_refused(in_challenge([](auto& c) {
                       for (int i = 0; i < 8; ++i)
                           *c.add_certificates() = c.certificates(0);
                   }),
                   Reason::malformed_message, "too many certificates");
    expect_honest_station_still_welcome();
}

TEST_F(Refusal, TheStationsReasonComesThrough)
{
    expect_refused({.replace =
                        [](const Bytes&) {
                            return protocol::serialize(protocol::refused({Reason::chip_quarantined, "seen twice"}));
                        }},
                   Reason::chip_quarantined, "refused");
    EXPECT_EQ(reason_of([&] { box.personalize("unix:/nowhere", false); }), Reason::connection_refused);
    EXPECT_EQ(reason_of([&] { box.personalize("[:", false); }), Reason::invalid_argument);
    expect_unchanged("no station");
}

TEST_F(Refusal, ALineThatDropsBeforeTheBackup)
{
    for (const int step : {hello, challenge, proof, grant})
        expect_refused({.drop_before = step}, Reason::connection_lost, "dropped before " + std::to_string(step));
    expect_refused({.drop_after = proof}, Reason::connection_lost, "dropped after the proof");
    expect_honest_station_still_welcome();
}

TEST_F(Refusal, A24_AFlippedByteAnywhereInWhatTheStationSends)
{
    // As long as it takes to know how much there is; the relay's end is a lost connection.
    for (std::size_t at = 0; at < 3000; at += 211) {
        const Relay relay(station.address(), 3001, at);
        EXPECT_TRUE(reason_of([&] { box.personalize(relay.address(), true); })) << at;
        expect_unchanged("flipped at " + std::to_string(at));
    }
    expect_honest_station_still_welcome();
}

TEST_F(Refusal, ALineThatDropsAtAnyByteBeforeTheReceipt)
{
    for (std::size_t limit = 1; limit < 4000; limit += 389) {
        const Relay relay(station.address(), limit);
        EXPECT_TRUE(reason_of([&] { box.personalize(relay.address(), true); })) << limit;
        EXPECT_EQ(box.state(), State::personalization) << limit;
        EXPECT_FALSE(box.device().status().ready_to_switch) << limit;
    }
    expect_honest_station_still_welcome();
}

TEST_F(Refusal, Attack28_AStationThatHangs)
{
    box.settings.message_timeout = std::chrono::seconds(1);
    box.boot();
    expect_refused({.hang_before = challenge}, Reason::timed_out, "at the first message");
    expect_refused({.hang_before = grant}, Reason::timed_out, "at the grant");
}

TEST_F(Refusal, ACancelledCallEndsAtOnce)
{
    station.set({.hang_before = challenge});
    std::jthread user([&] {
        while (station.connections() < 2)
            std::this_thread::yield();
        box.cancel.cancel();
    });
    EXPECT_EQ(reason_of([&] { box.personalize(station, true); }), Reason::cancelled);
    expect_unchanged("cancelled");
}

// Every attestation is bound to the TLS connection and to the challenge made on it.
TEST_F(Refusal, Attack27_AProofForAnotherConnectionIsRefused)
{
    expect_refused({.drop_before = proof}, Reason::connection_lost, "another conversation");
    const Bytes recorded = station.messages().at(7);
    expect_refused(
        {.replace = [&](Bytes bytes) { return protocol::parse(bytes).or_throw().has_challenge() ? recorded : bytes; }},
        Reason::attestation_invalid, "the challenge of another connection");
}

TEST_F(Refusal, Attack34_ADiskThatTakesNoMoreFiles)
{
    const auto blocked = box.file("personalization-" + std::to_string(epoch_ + 1) + ".pb.new");
    std::filesystem::create_directory(blocked);
    EXPECT_EQ(reason_of([&] { box.personalize(station, true); }), Reason::storage_failed);
    std::filesystem::remove(blocked);
    expect_unchanged("the write failed");
    EXPECT_FALSE(station.store().record(box.chip(), epoch_ + 1)) << "nothing went out";
    expect_honest_station_still_welcome();
}

} // namespace
} // namespace imprint::test
