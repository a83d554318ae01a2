// SPDX-License-Identifier: Apache-2.0
// Who may come: trusted endorsement keys, known chips, identities, and the operators' lists.
#include "tests/station/fixture.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/templates.h"
#include "provisioning/station/commands.h"
#include "provisioning/station/csv.h"
#include "tests/support/faulty_modulus.h"

#include <numeric>
#include <thread>

namespace imprint::test {

namespace {

using namespace imprint::station;

class EndorsementTrust : public StationTest {
protected:
    HonestDevice device{SoftwareTpm::Kind::manufactured};
};

TEST_F(EndorsementTrust, AVendorsCertificateIsEnough) { EXPECT_TRUE(is_receipt(personalize(device))); }

TEST_F(EndorsementTrust, Attack06_WithoutVendorAndListThereIsNoThirdWay)
{
    station.vendors.anchors.clear();
    EXPECT_EQ(refusal(personalize(device)), Reason::untrusted_endorsement_key);
    station.vendors.anchors = {pki.root.certificate};
    EXPECT_EQ(refusal(personalize(device)), Reason::untrusted_endorsement_key);
    HonestDevice bare;
    EXPECT_EQ(refusal(personalize(bare)), Reason::untrusted_endorsement_key);
    EXPECT_EQ(rows("chips"), 0);

    trust(device);
    EXPECT_TRUE(is_receipt(personalize(device)));
    EXPECT_EQ(refusal(personalize(bare)), Reason::untrusted_endorsement_key);
}

TEST_F(EndorsementTrust, Attack06_ACertificateForAnotherKeyIsRefused)
{
    HonestDevice other(SoftwareTpm::Kind::manufactured, 1);
    const auto& stolen = other.endorsement_key();
    const auto answer = send_hello(device, [&](protocol::Message& m) {
        m.mutable_hello()->mutable_endorsement_keys(0)->set_certificate(to_string(stolen.certificate));
    });
    EXPECT_EQ(refusal(answer), Reason::untrusted_endorsement_key);
    for (const auto* garbage : {"", "x"})
        EXPECT_EQ(refusal(send_hello(device,
                                     [&](protocol::Message& m) {
                                         m.mutable_hello()->mutable_endorsement_keys(0)->set_certificate(garbage);
                                     })),
                  Reason::untrusted_endorsement_key);
}

// The operator's list does not make it better.
TEST_F(EndorsementTrust, Attack31_AKeyThatCanBeFactoredIsRefused)
{
    const auto judged = [](const Bytes& modulus) {
        const auto templates = structures::ek_templates();
        Endorsement endorsement{std::ranges::find(templates, "L-1", &structures::EkTemplate::name)->area, {}};
        auto& unique = endorsement.area.unique.rsa;
        unique.size = static_cast<UINT16>(modulus.size());
        std::ranges::copy(modulus, unique.buffer);
        return check_endorsement({}, endorsement, {}, true);
    };
    Bytes modulus = unhex(faulty_modulus).value();
    const auto refused = judged(modulus);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.refusal().reason, Reason::untrusted_endorsement_key);
    modulus.back() ^= 2U;
    EXPECT_TRUE(judged(modulus));
}

TEST_F(EndorsementTrust, OneTpmIsOneChip)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    device.move_on();
    // The same TPM by its other endorsement key.
    const auto& second = device.module.endorsement_keys().at(1);
    store.allow({second.chip_identifier, ""});
    DeviceSide side(device, binding);
    device.identity_certificate.clear();
    auto hello = side.hello();
    auto& key = *hello.mutable_hello()->mutable_endorsement_keys(0);
    key.set_area(to_string(structures::marshal(second.area)));
    key.set_certificate(to_string(second.certificate));
    hello.mutable_hello()->set_chip_identifier(second.chip_identifier);
    auto conversation = session();
    const auto challenge = conversation.receive(side.send_hello(hello), now);
    ASSERT_FALSE(challenge.last);
    const auto proof = side.proof(challenge.message, second);
    EXPECT_EQ(refusal(conversation.receive(bytes_of(proof), now)), Reason::chip_already_known);
}

using KnownChip = OneDevice;

TEST_F(KnownChip, ComesBackOnlyWithItsIdentity)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    const Bytes identity = std::exchange(device.identity_certificate, {});
    device.move_on();
    EXPECT_EQ(refusal(personalize(device)), Reason::chip_already_known);
    device.identity_certificate = identity;
    EXPECT_TRUE(is_receipt(personalize(device)));
    EXPECT_EQ(rows("chips"), 1);
}

TEST_F(KnownChip, IsReadmittedOnce)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    const Bytes identity = std::exchange(device.identity_certificate, {});
    device.move_on();
    EXPECT_EQ(readmit_chip(store, device.chip()), exit_ok);
    EXPECT_EQ(rows("audit", "event = 'readmitted'"), 1);
    ASSERT_TRUE(is_receipt(personalize(device)));
    EXPECT_EQ(device.identity_certificate, identity) << "its identity is kept for ever";
    device.move_on();
    device.identity_certificate.clear();
    EXPECT_EQ(refusal(personalize(device)), Reason::chip_already_known);
    EXPECT_THROW(readmit_chip(store, std::string(64, '0')), Error);
}

TEST_F(KnownChip, IsRefusedInQuarantine)
{
    EXPECT_EQ(quarantine_chip(store, device.chip(), "seen twice"), exit_ok);
    const auto refused = personalize(device);
    EXPECT_EQ(refusal(refused), Reason::chip_quarantined);
    EXPECT_EQ(to_string(refused.message).find("seen twice"), std::string::npos) << "the note is the operator's";
    EXPECT_EQ(rows("audit", "event = 'refused' AND detail = 'seen twice'"), 1);
    EXPECT_EQ(release_chip(store, device.chip()), exit_ok);

    DeviceSide side(device, binding);
    auto conversation = session();
    const auto challenge = conversation.receive(side.send_hello(side.hello()), now);
    const auto grant = conversation.receive(bytes_of(side.proof(challenge.message)), now);
    const auto backup = bytes_of(side.backup(grant.message));
    quarantine_chip(store, device.chip(), "in the middle");
    EXPECT_EQ(refusal(conversation.receive(backup, now)), Reason::chip_quarantined);
    EXPECT_EQ(rows("records"), 0);
}

TEST_F(KnownChip, OfAnotherStationKeepsItsIdentity)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    device.move_on();
    Store other(directory / "other.db");
    other.allow({device.chip(), ""});
    DeviceSide side(device, binding);
    StationSession conversation(station, other, introductions, {binding, "test"});
    const auto challenge = conversation.receive(side.send_hello(side.hello()), now);
    ASSERT_TRUE(is_grant(conversation.receive(bytes_of(side.proof(challenge.message)), now)));
    EXPECT_EQ(other.chip(device.chip())->identity, (pki::DeviceIdentity{"serial", "SN000001"}));
}

using Identities = OneDevice;

TEST_F(Identities, TheListComesBeforeTheRange)
{
    ASSERT_TRUE(store.list_identity({device.chip(), {"serial", "LISTED-1"}}).or_throw());
    ASSERT_TRUE(is_receipt(personalize(device)));
    EXPECT_EQ(store.chip(device.chip())->identity.value, "LISTED-1");
}

TEST_F(Identities, WithoutOneNothingIsGranted)
{
    Store empty(directory / "empty.db");
    empty.allow({device.chip(), ""});
    DeviceSide side(device, binding);
    StationSession conversation(station, empty, introductions, {binding, "test"});
    const auto challenge = conversation.receive(side.send_hello(side.hello()), now);
    EXPECT_EQ(refusal(conversation.receive(bytes_of(side.proof(challenge.message)), now)), Reason::no_identity_left);
    EXPECT_FALSE(empty.chip(device.chip()));
}

TEST_F(Identities, ATakenOneIsRefused)
{
    ASSERT_TRUE(is_receipt(personalize(device))); // SN000001
    HonestDevice second;
    trust(second);
    const auto listed = store.list_identity({second.chip(), {"serial", "SN000001"}});
    ASSERT_FALSE(listed);
    EXPECT_EQ(listed.refusal().reason, Reason::identity_taken);
    // Entered all the same, by hand.
    SQLite::Database(database().string(), SQLite::OPEN_READWRITE)
        .exec("INSERT INTO identity_list VALUES ('" + second.chip() + "', 'serial', 'SN000001')");
    EXPECT_EQ(refusal(personalize(second)), Reason::identity_taken);
    EXPECT_EQ(rows("grants"), 1);
}

TEST_F(Identities, ARangeSkipsWhatIsListedAndEnds)
{
    Store small(directory / "small.db");
    small.add_range({.prefix = "A", .width = 3, .first = 9, .last = 11});
    ASSERT_TRUE(small.list_identity({std::string(64, 'f'), {"serial", "A010"}}).or_throw());
    EXPECT_EQ(small.assign_identity(std::string(64, 'a')).or_throw().value, "A009");
    EXPECT_EQ(small.assign_identity(std::string(64, 'b')).or_throw().value, "A011");
    EXPECT_FALSE(small.assign_identity(std::string(64, 'c')));
    EXPECT_EQ(small.assign_identity(std::string(64, 'f')).or_throw().value, "A010");
    EXPECT_THROW(small.add_range({.prefix = "A", .width = 3, .first = 2, .last = 1}), Error);
    EXPECT_THROW(small.add_range({.prefix = "\n", .width = 3, .first = 1, .last = 2}), Error);
    EXPECT_THROW(small.add_range({.prefix = std::string(62, 'A'), .width = 3, .first = 1, .last = 2}), Error);
}

// A device as the station knows it after Proof, made in software: the race is about the database.
Claim software_claim(const std::string& chip)
{
    const auto point = [](TPMT_PUBLIC area) {
        const Bytes spki = pki::spki(pki::generate_key("P-256").get());
        area.unique.ecc.x = structures::to_tpm2b<TPM2B_ECC_PARAMETER>(BytesView(spki).last(64).first(32));
        area.unique.ecc.y = structures::to_tpm2b<TPM2B_ECC_PARAMETER>(BytesView(spki).last(32));
        return area;
    };
    Claim claim;
    claim.chip = chip;
    claim.identity_key = point(structures::identity_key_template());
    claim.identity_key_spki = structures::to_spki(claim.identity_key).or_throw();
    claim.storage_key = point(structures::storage_key_template());
    claim.storage_key_name = structures::name_of(claim.storage_key);
    claim.epoch_index_name = structures::name_of(structures::epoch_index(0x01800000, true));
    claim.nonce = Bytes(32, 1);
    return claim;
}

TEST(Attack05, OfAHundredRacingPersonalizationsOfOneIdentityOneWins)
{
    const TestPki pki;
    const TemporaryDirectory directory;
    const auto station = make_station(pki);
    Store(directory / "station.db").add_range({.prefix = "ONLY", .width = 1, .first = 7, .last = 7});
    constexpr std::size_t devices = 100;
    constexpr std::size_t stations = 4;
    std::array<int, stations> won{};
    {
        std::vector<std::jthread> threads;
        for (std::size_t t = 0; t < stations; ++t)
            threads.emplace_back([&, t] {
                Store store(directory / "station.db");
                for (std::size_t i = t; i < devices; i += stations) {
                    const Claim claim = software_claim(hex(structures::digest(TPM2_ALG_SHA256, Bytes(i + 1))));
                    const ProvenKey key{{}, {}, pki::spki(pki::generate_key("P-256").get())};
                    auto transaction = store.begin();
                    if (grant(station, store, claim, key, now)) {
                        transaction.commit();
                        ++won[t];
                    }
                }
            });
    }
    EXPECT_EQ(std::accumulate(won.begin(), won.end(), 0), 1);
    Store store(directory / "station.db");
    ASSERT_EQ(store.chips().size(), 1U);
    EXPECT_EQ(store.chips().front().identity.value, "ONLY7");
}

TEST_F(StationTest, TheAuditLogAndIdentitiesAreAppendOnly)
{
    store.audit({.time = now, .event = "test", .chip = "", .peer = "", .reason = "", .detail = ""});
    Chip chip{.id = "c", .identity = {"serial", "S"}, .identity_certificate = {1}, .first_granted = now};
    ASSERT_TRUE(store.add_chip(chip, Bytes{1}));
    SQLite::Database raw(database().string(), SQLite::OPEN_READWRITE);
    for (const auto* change : {"UPDATE audit SET detail = 'x'", "DELETE FROM audit", "DELETE FROM chips",
                               "UPDATE chips SET identity_value = 'T'"})
        EXPECT_THROW(raw.exec(change), SQLite::Exception) << change;
}

std::string digest(char c) { return std::string(64, c); }

TEST(AllowList, ErrorsTellLineAndColumn)
{
    const auto content = parse_allow_list("# comment\n" + digest('a') + "\n" + digest('A') + "\n" + digest('b') +
                                          ",note,third\n\n" + digest('c') + ",\x01\n" + digest('a') + ",other");
    ASSERT_EQ(content.errors.size(), 4U);
    const std::array<std::pair<std::size_t, std::size_t>, 4> places{{{3, 1}, {4, 71}, {6, 66}, {7, 1}}};
    for (std::size_t i = 0; i < places.size(); ++i) {
        EXPECT_EQ(content.errors[i].line, places[i].first);
        EXPECT_EQ(content.errors[i].column, places[i].second);
    }
}

TEST(AllowList, LineEndsMarksAndRepetitionsAreTaken)
{
    const auto content =
        parse_allow_list("\xEF\xBB\xBF" + digest('a') + ",x\r\n\r\n" + digest('b') + "\n" + digest('a') + ",x");
    EXPECT_TRUE(content.errors.empty());
    ASSERT_EQ(content.entries.size(), 2U);
    EXPECT_EQ(content.entries[0].value.note, "x");
    EXPECT_EQ(content.entries[1].line, 3U);
}

TEST(IdentityList, ErrorsTellLineAndColumn)
{
    const auto content = parse_identities(digest('a') + ",S1\n" + digest('b') + ",S1\n" + digest('a') + ",S2\n" +
                                          digest('c') + "\n" + digest('d') + ",\nx,S3");
    ASSERT_EQ(content.errors.size(), 5U);
    EXPECT_EQ(content.errors[0].column, 66U);
    EXPECT_EQ(content.errors[1].column, 1U);
    EXPECT_EQ(content.errors[4].line, 6U);
}

TEST_F(StationTest, AnImportIsWholeOrNothingAndIdempotent)
{
    const auto file = directory / "keys.csv";
    const auto import = [&](const std::string& text, bool dry_run = false) {
        write_file(file, as_bytes(text));
        return import_allow_list(store, file, dry_run);
    };
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    EXPECT_EQ(import(digest('a') + "\nbad\n"), exit_failed);
    EXPECT_FALSE(store.allowed(digest('a')));
    EXPECT_EQ(import(digest('a') + "\n", true), exit_ok);
    EXPECT_FALSE(store.allowed(digest('a')));
    EXPECT_EQ(import(digest('a') + "\n"), exit_ok);
    EXPECT_EQ(import(digest('a') + "\n"), exit_ok);
    EXPECT_TRUE(store.allowed(digest('a')));
    EXPECT_EQ(rows("audit", "event = 'ek-imported'"), 1);

    write_file(file, as_bytes(digest('b') + ",S1\n" + digest('c') + ",S2\n"));
    EXPECT_EQ(import_identities(store, file, "csv", false), exit_ok);
    write_file(file, as_bytes(digest('d') + ",S3\n" + digest('e') + ",S2\n"));
    EXPECT_EQ(import_identities(store, file, "csv", false), exit_failed);
    EXPECT_EQ(rows("identity_list"), 2);
    EXPECT_EQ(testing::internal::GetCapturedStdout(),
              "1 new, 0 known already; nothing was changed\n1 new, 0 known already\n0 new, 1 known already\n"
              "2 new, 0 known already\n");
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              file.string() + ":2:1: not a digest: 64 hexadecimal digits in lower case\nnothing was imported\n" +
                  file.string() + ":2:1: chip " + digest('c') + " is listed with S2\nnothing was imported\n");
}

} // namespace

} // namespace imprint::test
