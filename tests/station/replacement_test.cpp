// SPDX-License-Identifier: Apache-2.0
// B19, B26: a device that was repaired goes on with another chip.
#include "backup/package/replacement.h"
#include "provisioning/station/commands.h"
#include "tests/station/fixture.h"
#include "tests/support/reason.h"

namespace imprint::test {

namespace {

using namespace imprint::station;

std::string chip(char c) { return std::string(64, c); }

class Replaced : public OneDevice {
protected:
    Replaced() { trust(second); }
    void replace(const std::string& former, const std::string& present)
    {
        replace_chip(store, station.credentials, directory.path(), {former, present, "broken board"});
    }
    std::optional<Reason> refused(const std::string& former, const std::string& present)
    {
        return reason_of([&] { replace(former, present); });
    }
    HonestDevice second;
};

TEST_F(Replaced, B19_TheNewChipGetsTheIdentityAndTheOldOneIsRefused)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    const auto identity = store.chip(device.chip())->identity;
    replace(device.chip(), second.chip());
    device.move_on();
    const auto refused = personalize(device);
    EXPECT_EQ(refusal(refused), Reason::chip_replaced);
    EXPECT_EQ(to_string(refused.message).find(second.chip()), std::string::npos) << "that is the operator's";
    EXPECT_TRUE(is_receipt(personalize(second)));
    EXPECT_EQ(store.chip(second.chip())->identity, identity);
    EXPECT_EQ(store.chip_of_identity(identity), second.chip());
    EXPECT_EQ(store.chip(device.chip())->identity, identity) << "it stays known";
    EXPECT_EQ(rows("audit", "event = 'replaced'"), 1);
    second.move_on();
    EXPECT_TRUE(is_receipt(personalize(second)));
}

TEST_F(Replaced, B26_WhatTheOldChipWasGrantedIsRevoked)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    replace(device.chip(), second.chip());
    const auto lists = pki::crls_from_pem(read_file(directory.path() / "crl.pem", 1024 * 1024).value());
    ASSERT_EQ(lists.size(), 1U);
    EXPECT_EQ(pki::revoked_by(lists.front()).size(), 1U);
    EXPECT_EQ(rows("revoked"), 1);
}

TEST_F(Replaced, InTheMiddleOfAConversationTheOldChipGetsNoReceipt)
{
    DeviceSide side(device, binding);
    auto conversation = session();
    const auto challenge = conversation.receive(side.send_hello(side.hello()), now);
    const auto grant = conversation.receive(bytes_of(side.proof(challenge.message)), now);
    const auto backup = bytes_of(side.backup(grant.message));
    replace(device.chip(), second.chip());
    EXPECT_EQ(refusal(conversation.receive(backup, now)), Reason::chip_replaced);
    EXPECT_EQ(refusal(resume(side)), Reason::chip_replaced);
    EXPECT_EQ(rows("records"), 0);
}

TEST_F(Replaced, ANewChipThatBreaksBeforeItCameIsReplacedToo)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    replace(device.chip(), chip('b'));
    replace(chip('b'), second.chip());
    EXPECT_TRUE(is_receipt(personalize(second)));
    EXPECT_EQ(store.chip(second.chip())->identity, store.chip(device.chip())->identity);
}

TEST_F(Replaced, Attack05_NothingIsReplacedTwiceInACircleOrByASomebody)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    EXPECT_EQ(refused(chip('a'), chip('b')), Reason::unknown_chip);
    EXPECT_EQ(refused(device.chip(), device.chip()), Reason::chip_already_known);
    EXPECT_EQ(refused(device.chip(), "chip"), Reason::invalid_argument);
    ASSERT_TRUE(store.list_identity({chip('b'), {"serial", "LISTED"}}).or_throw());
    EXPECT_EQ(refused(device.chip(), chip('b')), Reason::identity_taken);
    replace(device.chip(), chip('c'));
    EXPECT_EQ(refused(device.chip(), chip('d')), Reason::chip_replaced);
    EXPECT_EQ(refused(chip('c'), device.chip()), Reason::chip_replaced);
    ASSERT_TRUE(is_receipt(personalize(second)));
    EXPECT_EQ(refused(second.chip(), chip('c')), Reason::identity_taken);
    EXPECT_EQ(refused(chip('c'), second.chip()), Reason::chip_already_known);
    EXPECT_EQ(rows("replacements"), 1);
}

TEST_F(Replaced, Attack05_AStationForOtherIdentitiesReplacesNothing)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    const auto narrow = pki.ca(pki::Role::station_signing, "Narrow", valid, {{"serial", "X1", "X9"}});
    station.credentials.signing = {narrow.certificate};
    station.credentials.signing_key = share(narrow.key);
    EXPECT_EQ(refused(device.chip(), second.chip()), Reason::identity_out_of_scope);
    EXPECT_EQ(rows("replacements"), 0);
}

TEST_F(Replaced, TheArchiveHearsOfEverythingInItsOrder)
{
    const auto next = [&]() -> std::string {
        const auto entry = store.next_delivery();
        return entry ? entry->chip.substr(0, 8) + " " + std::to_string(entry->sequence) : "";
    };
    const auto expect = [&](const std::string& chip_identifier, std::uint64_t sequence) {
        EXPECT_EQ(next(), chip_identifier.substr(0, 8) + " " + std::to_string(sequence));
    };
    ASSERT_TRUE(is_receipt(personalize(device)));
    replace(device.chip(), second.chip());
    ASSERT_TRUE(is_receipt(personalize(second)));
    const auto all = store.outbox(false);
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(all[1].sequence, 0U);

    expect(device.chip(), all[0].sequence);
    store.failed(all[0], Delivery::waiting, now + std::chrono::hours(1), "later");
    expect(device.chip(), all[0].sequence); // the others wait for it
    store.delivered(all[0], Bytes{1});
    expect(second.chip(), 0);
    store.failed(all[1], Delivery::waiting, now + std::chrono::hours(1), "later");
    expect(second.chip(), 0);
    store.delivered(all[1], {});
    expect(second.chip(), all[2].sequence);
    store.delivered(all[2], Bytes{1});
    EXPECT_EQ(next(), "");
    EXPECT_EQ(store.outbox(true).size(), 3U);
}

TEST_F(Replaced, TheDatabaseItselfKeepsTheRules)
{
    ASSERT_TRUE(is_receipt(personalize(device)));
    replace(device.chip(), second.chip());
    SQLite::Database raw(database().string(), SQLite::OPEN_READWRITE);
    for (const auto* change : {"DELETE FROM replacements", "UPDATE replacements SET reason = 'x'",
                               "UPDATE chips SET replaced_by = NULL", "UPDATE chips SET identity_value = 'T'"})
        EXPECT_THROW(raw.exec(change), SQLite::Exception) << change;
}

} // namespace

} // namespace imprint::test
