// SPDX-License-Identifier: Apache-2.0
// What a device from the field needs at home: its proofs, its replacements, and an end to what it was granted.
#include "provisioning/station/commands.h"
#include "tests/station/sync_fixture.h"

#include <gmock/gmock.h>

namespace imprint::test {
namespace {

const std::string unit = "Station 1"; // the name in the test's signing certificate

class Statements : public Sync {
protected:
    Statements() { station.profile.entries = {{"tls", station::PairKey{.certificate = true}}}; }

    static std::vector<std::string> serials_of(const std::vector<pki::Revoked>& revoked)
    {
        std::vector<std::string> serials;
        for (const auto& entry : revoked)
            serials.push_back(entry.serial);
        return serials;
    }
    // What was granted with the record: module certificate and the pair's.
    static std::vector<std::string> granted(station::Store& at, const std::string& chip, std::uint64_t sequence)
    {
        const auto grant = at.received_grant(chip, sequence).value();
        auto serials = at.key_certificates(grant.serial);
        serials.push_back(grant.serial);
        return serials;
    }
    void replace(station::Store& at, const std::string& former, const std::string& present)
    {
        station::replace_chip(at, station.credentials, directory.path(), {former, present, "broken board"});
    }
    std::vector<std::string> listed_at_main()
    {
        const auto list = main.revocation_list(unit);
        return list ? serials_of(pki::revoked_by(pki::Crl::from_pem(list->pem).or_throw()))
                    : std::vector<std::string>();
    }
    protocol::SyncBatch batch_of(const protocol::SyncRevocations& list)
    {
        protocol::SyncBatch batch;
        batch.set_database(store.database_id());
        *batch.add_items()->mutable_revocations() = list;
        return batch;
    }
    protocol::SyncBatch batch_of(const Bytes& statement)
    {
        protocol::SyncBatch batch;
        batch.set_database(store.database_id());
        batch.add_items()->mutable_replacement()->set_statement(to_string(statement));
        return batch;
    }
};

TEST_F(Statements, A33_B18_TheProofAndTheKeysCertificatesComeWithTheRecord)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    const auto sequence = device.epoch() + 1;
    sync(unit);
    EXPECT_EQ(main.proof(device.chip(), sequence), store.proof(device.chip(), sequence));
    EXPECT_TRUE(main.proof(device.chip(), sequence));
    const auto certificates = granted(main, device.chip(), sequence);
    EXPECT_EQ(certificates, granted(store, device.chip(), sequence));
    EXPECT_EQ(certificates.size(), 2U);
}

TEST_F(Statements, Attack44_AProofOfSomethingElseIsRefused)
{
    auto batch = batch_of_one_record();
    auto& item = *batch.mutable_items(0)->mutable_record();
    const auto proof = store.proof(device.chip(), device.epoch() + 1).value();
    item.set_proof(to_string(proof));
    item.mutable_proof()->back() ^= 1;
    EXPECT_EQ(judged(batch).first, SyncOutcome::refused);
    EXPECT_EQ(rows_at_main("records"), 0);
    item.set_proof(to_string(proof));
    EXPECT_EQ(judged(batch).first, SyncOutcome::taken);
    EXPECT_EQ(judged(batch).first, SyncOutcome::known);
}

TEST_F(Statements, A33_B26_AChipThatWasReplacedInTheFieldIsReplacedAtHome)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    HonestDevice second;
    trust(second);
    replace(store, device.chip(), second.chip());
    ASSERT_TRUE(is_receipt(personalize(second)));
    const auto total = sync(unit);
    EXPECT_EQ(total.replacements, 1U);
    EXPECT_EQ(total.records, 2U);
    EXPECT_TRUE(total.troubles.empty()) << "each in its turn";
    EXPECT_EQ(main.replacement_of(device.chip())->present, second.chip());
    EXPECT_EQ(main.chip_of_identity(main.chip(device.chip())->identity), second.chip());
    EXPECT_EQ(rows_at_main("replacements", "state = 'waiting'"), 1) << "the archive hears of it from here, too";
    EXPECT_EQ(sync(unit).missing(), 0U);
    EXPECT_EQ(rows_at_main("replacements"), 1);
}

TEST_F(Statements, Attack05_AReplacementThatDoesNotHoldOrIsInTheWayIsNotTaken)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    sync(unit);
    replace(store, device.chip(), std::string(64, 'b'));
    const Bytes statement = store.replacement_of(device.chip())->statement;
    Bytes changed = statement;
    changed.back() ^= 1;
    EXPECT_EQ(judged(batch_of(changed)).first, SyncOutcome::refused);
    EXPECT_EQ(rows_at_main("replacements"), 0);

    replace(main, device.chip(), std::string(64, 'c'));
    EXPECT_EQ(judged(batch_of(statement)), std::pair(SyncOutcome::conflict, Reason::chip_replaced));
    EXPECT_EQ(main.replacement_of(device.chip())->present, std::string(64, 'c'));
    EXPECT_EQ(main.conflicts().size(), 1U);
}

// A certificate can be revoked by whoever made it alone: what home decides goes out, and the list comes back.
TEST_F(Statements, A33_Attack46_WhatIsRevokedAtHomeIsRevokedByTheUnitThatGrantedIt)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    const auto certificates = granted(store, device.chip(), device.epoch() + 1);
    sync(unit);
    EXPECT_FALSE(main.revocation_list(unit)) << "nothing was revoked yet";
    replace(main, device.chip(), std::string(64, 'b'));
    EXPECT_TRUE(main.revoked().empty()) << "not by this station";

    EXPECT_EQ(sync(unit, true).revoked, 0U) << "a dry run changes nothing";
    EXPECT_EQ(sync(unit).revoked, 1U);
    EXPECT_THAT(serials_of(store.revoked()), testing::UnorderedElementsAreArray(certificates));
    EXPECT_THAT(listed_at_main(), testing::UnorderedElementsAreArray(certificates));
    EXPECT_EQ(sync(unit).revoked, 0U);
    EXPECT_EQ(rows("audit", "event = 'revoked'"), 1);

    station::write_crl(directory / "main.pem", station.credentials, main, now);
    const auto lists = pki::crls_from_pem(read_file(directory / "main.pem", 1 << 20).value());
    ASSERT_EQ(lists.size(), 2U);
    EXPECT_TRUE(pki::revoked_by(lists[0]).empty());
    EXPECT_EQ(pki::revoked_by(lists[1]).size(), 2U);
}

TEST_F(Statements, A33_Attack46_ADeviceThatIsPersonalizedAgainAtHomeLosesWhatTheUnitGaveIt)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    const auto certificates = granted(store, device.chip(), device.epoch() + 1);
    sync(unit);
    device.move_on();
    personalize_at_main(device);
    EXPECT_TRUE(store.revoked().empty());
    EXPECT_EQ(sync(unit).revoked, 1U);
    EXPECT_THAT(listed_at_main(), testing::UnorderedElementsAreArray(certificates));
}

TEST_F(Statements, Attack44_AListIsTakenFromItsOwnStationAndNeverAnOlderOne)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    replace(store, device.chip(), std::string(64, 'b'));
    const auto older = list()();
    const auto newer = list()();
    const auto judged_of = [&](const protocol::SyncRevocations& brought, const std::string& bearer = unit) {
        protocol::SyncMessage message;
        *message.mutable_batch() = batch_of(brought);
        const auto answer =
            protocol::parse_sync(receiver(bearer).receive(protocol::serialize(message), now).message).or_throw();
        return std::pair(static_cast<SyncOutcome>(answer.answers().answers(0).outcome()),
                         reason_from_wire(answer.answers().answers(0).reason()));
    };
    EXPECT_EQ(judged_of(newer, "laptop"), std::pair(SyncOutcome::refused, std::optional(Reason::not_authorized)));
    auto changed = newer;
    changed.mutable_list()->back() ^= 1;
    EXPECT_EQ(judged_of(changed), std::pair(SyncOutcome::refused, std::optional(Reason::signature_invalid)));
    const TestPki twin;
    auto foreign = station::message_of(pki::issue_crl(twin.station_signing.issuer(), 99, {}, valid),
                                       {twin.station_signing.certificate});
    EXPECT_EQ(judged_of(foreign), std::pair(SyncOutcome::refused, std::optional(Reason::untrusted_certificate)));
    EXPECT_FALSE(main.revocation_list(unit));

    EXPECT_EQ(judged_of(newer).first, SyncOutcome::taken);
    EXPECT_EQ(judged_of(older).first, SyncOutcome::known);
    EXPECT_EQ(listed_at_main().size(), 2U);
    EXPECT_EQ(main.revocation_list(unit)->number,
              pki::number_of(pki::Crl::from_der(as_bytes(newer.list())).or_throw()));
}

TEST_F(Statements, Attack17_StatementsAreBounded)
{
    const auto expect_refused = [&](const std::function<void(protocol::SyncItem&)>& change) {
        auto batch = batch_of(Bytes(1, 0));
        change(*batch.mutable_items(0));
        EXPECT_TRUE(send(batch).or_throw().has_refused());
    };
    expect_refused([](auto& item) { item.mutable_replacement()->clear_statement(); });
    expect_refused([](auto& item) { item.mutable_replacement()->set_statement(std::string(16 * 1024 + 1, 'x')); });
    expect_refused([](auto& item) { item.mutable_revocations()->set_list("x"); });
    expect_refused([](auto& item) { item.mutable_revocations()->add_certificates("x"); });
    expect_refused([](auto& item) {
        item.mutable_revocations()->set_list("x");
        for (int i = 0; i < 9; ++i)
            item.mutable_revocations()->add_certificates("x");
    });
    expect_refused([](auto& item) {
        item.mutable_record()->set_record("x");
        item.mutable_record()->add_key_certificates("NOT-HEX");
    });
}

} // namespace
} // namespace imprint::test
