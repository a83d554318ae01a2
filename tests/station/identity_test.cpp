// SPDX-License-Identifier: Apache-2.0
// Which device a chip is: ranges, lists, what devices ask for, and chips in the place of others.
#include "tests/station/fixture.h"

#include "provisioning/station/commands.h"
#include "provisioning/station/identity_lists.h"
#include "tests/support/reason.h"

#include <nlohmann/json.hpp>

namespace imprint::test {

namespace {

using namespace imprint::station;
using pki::DeviceIdentity;
using ::testing::HasSubstr;

std::string chip(char c) { return std::string(64, c); }
std::string imei(const IdentityRange& range, std::uint64_t number) { return identity_at(range, number).value; }

TEST(Ranges, B8_AnImeiRangeComputesTheCheckDigits)
{
    const auto range = range_between("imei", "49015420323751", "49-015420-323752-6").or_throw();
    EXPECT_EQ(range.prefix, "49015420");
    EXPECT_EQ(imei(range, range.first), "490154203237518");
    EXPECT_EQ(imei(range, range.last), "490154203237526");
    EXPECT_EQ(range.last - range.first, 1U);
    for (std::uint64_t i = 0; i < 200; ++i)
        EXPECT_TRUE(pki::check({"imei", imei(range, i)})) << i;
}

TEST(Ranges, B16_EuisFollowWithinOneOrganization)
{
    const auto small = range_between("eui48", "00-1B-44-00-00-FE", "001b.4400.0101").or_throw();
    EXPECT_EQ(imei(small, small.first), "00:1b:44:00:00:fe");
    EXPECT_EQ(imei(small, small.first + 2), "00:1b:44:00:01:00");
    const auto large = range_between("eui64", "00:1b:44:00:00:00:00:00", "00:1b:44:ff:ff:ff:ff:ff").or_throw();
    EXPECT_EQ(imei(large, 0x123456789a), "00:1b:44:12:34:56:78:9a");
}

TEST(Ranges, WhatIsNoneIsRefused)
{
    const auto refused = [](const char* kind, const char* first, const char* last) {
        return !range_between(kind, first, last);
    };
    EXPECT_TRUE(refused("imei", "490154203237518", "350154203237518")) << "two type allocation codes";
    EXPECT_TRUE(refused("imei", "490154203237517", "490154203237526")) << "a wrong check digit";
    EXPECT_TRUE(refused("imei", "49015420323752", "49015420323751")) << "backwards";
    EXPECT_TRUE(refused("eui48", "00:1b:44:00:00:00", "00:1b:45:00:00:00"));
    EXPECT_TRUE(refused("eui48", "01:1b:44:00:00:00", "01:1b:44:00:00:01")) << "group addresses";
    EXPECT_TRUE(refused("uuid", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "f81d4fae-7dec-11d0-a765-00a0c91e6bf7"));
    EXPECT_TRUE(refused("serial", "1", "2"));
    EXPECT_FALSE(check(IdentityRange{.prefix = "SN", .width = 2, .first = 1, .last = 100})) << "three digits";
}

TEST(Ranges, OverlapsAreSeenWhereverThePrefixEnds)
{
    const IdentityRange hundreds{.prefix = "SN", .width = 4, .first = 100, .last = 199};
    EXPECT_TRUE(overlap(hundreds, {.prefix = "SN", .width = 4, .first = 199, .last = 300}));
    EXPECT_TRUE(overlap(hundreds, {.prefix = "SN01", .width = 2, .first = 50, .last = 60}));
    EXPECT_TRUE(overlap({.prefix = "SN0", .width = 3, .first = 0, .last = 999}, hundreds));
    EXPECT_FALSE(overlap(hundreds, {.prefix = "SN", .width = 4, .first = 200, .last = 300}));
    EXPECT_FALSE(overlap(hundreds, {.prefix = "SN", .width = 5, .first = 100, .last = 199}));
    EXPECT_FALSE(overlap(hundreds, {.prefix = "SM", .width = 4, .first = 100, .last = 199}));
    EXPECT_FALSE(overlap(hundreds, {.prefix = "SN0x", .width = 2, .first = 0, .last = 99}));
    const auto imeis = range_between("imei", "49015420000000", "49015420000099").or_throw();
    EXPECT_TRUE(overlap(imeis, range_between("imei", "49015420000099", "49015420000100").or_throw()));
    EXPECT_FALSE(overlap(imeis, range_between("imei", "49015420000100", "49015420000199").or_throw()));
}

TEST(Lists, B24_EveryKindComesFromCsvAndFromJsonLines)
{
    const auto csv = parse_identities(chip('a') + ",imei,49-015420-323751-8\n" + chip('b') + ",SN 1\n" + chip('c') +
                                      ",eui48,00-1B-44-11-3A-B7\n");
    ASSERT_TRUE(csv.errors.empty());
    EXPECT_EQ(csv.entries.at(0).value.identity, (DeviceIdentity{"imei", "490154203237518"}));
    EXPECT_EQ(csv.entries.at(1).value.identity, (DeviceIdentity{"serial", "SN 1"}));
    EXPECT_EQ(csv.entries.at(2).value.identity, (DeviceIdentity{"eui48", "00:1b:44:11:3a:b7"}));
    const auto lines =
        parse_identity_lines(R"({"chip": ")" + chip('a') + R"(", "kind": "imei", "value": "490154203237518"})" +
                             "\r\n\n" + R"({"value":"a\u0062","kind":"serial","chip":")" + chip('b') + "\"}");
    ASSERT_TRUE(lines.errors.empty());
    EXPECT_EQ(lines.entries.at(0).value.identity.value, "490154203237518");
    EXPECT_EQ(lines.entries.at(1).value.identity.value, "ab");
    EXPECT_EQ(lines.entries.at(1).line, 3U);
}

TEST(Lists, ErrorsTellLineAndColumn)
{
    const std::string good = R"({"chip": ")" + chip('a') + R"(", "kind": "serial", "value": "1"})";
    const std::vector<std::pair<std::string, std::size_t>> wrong{
        {R"({"chip": "x", "kind": "serial", "value": "2"})", 2},
        {R"({"chip": ")" + chip('b') + R"(", "kind": "imei", "value": "490154203237517"})", 94},
        {R"({"chip": ")" + chip('c') + R"(", "kind": "serial", "value": 3})", 96},
        {R"({"chip": ")" + chip('d') + R"(", "kind": "serial", "value": "4", "note": ""})", 110},
        {R"({"chip": ")" + chip('e') + R"(", "kind": "serial"})", 1},
        {R"({"chip": ")" + chip('f') + R"(", "kind": "serial", "value": "5", "value": "6"})", 96},
        {R"({"chip": ")" + chip('a') + R"(", "kind": "serial", "value": "7"})", 2},
        {R"({"chip": ")" + chip('b') + R"(", "kind": "serial", "value": "1"})", 96},
        {R"({"chip": )", 10},
        {"[]", 1},
        {"\"text\"", 1},
        {"{\"chip\": \"\xff\"}", 11},
        {std::string(2000, ' '), 1024}};
    std::string text = good + "\n";
    for (const auto& [line, column] : wrong)
        text += line + "\n";
    const auto content = parse_identity_lines(text);
    EXPECT_EQ(content.entries.size(), 1U);
    ASSERT_EQ(content.errors.size(), wrong.size());
    for (std::size_t i = 0; i < wrong.size(); ++i) {
        EXPECT_EQ(content.errors[i].line, i + 2) << wrong[i].first;
        EXPECT_EQ(content.errors[i].column, wrong[i].second) << wrong[i].first << content.errors[i].text;
    }
}

using IdentityStore = StationTest;

TEST_F(IdentityStore, B8_ImeisOfARangeAreGivenInTheirOrder)
{
    Store terminals(directory / "terminals.db");
    terminals.add_range(range_between("imei", "49015420323750", "49015420323752").or_throw());
    EXPECT_EQ(terminals.assign_identity(chip('a')).or_throw(), (DeviceIdentity{"imei", "490154203237500"}));
    ASSERT_TRUE(terminals.list_identity({chip('b'), {"imei", "490154203237518"}}).or_throw());
    EXPECT_EQ(terminals.assign_identity(chip('c')).or_throw(), (DeviceIdentity{"imei", "490154203237526"}));
    EXPECT_EQ(terminals.assign_identity(chip('d')).refusal().reason, Reason::no_identity_left);
    EXPECT_EQ(terminals.ranges().at(0).next, terminals.ranges().at(0).range.last + 1);
}

TEST_F(IdentityStore, OverlappingRangesAreRefused)
{
    EXPECT_EQ(reason_of([&] { store.add_range({.prefix = "SN00", .width = 4, .first = 5, .last = 6}); }),
              Reason::identity_taken);
    EXPECT_EQ(rows("identity_ranges"), 1);
}

TEST_F(IdentityStore, AListIsAppliedWholeOrNotAtAll)
{
    const auto file = directory / "list.jsonl";
    const auto line = [](char c, const std::string& value) {
        return R"({"chip": ")" + chip(c) + R"(", "kind": "imei", "value": ")" + value + "\"}\n";
    };
    write_file(file, to_bytes(line('a', "490154203237518") + line('b', "1")));
    EXPECT_EQ(import_identities(store, file, "", false), exit_failed);
    EXPECT_EQ(rows("identity_list"), 0);
    write_file(file, to_bytes(line('a', "490154203237518") + line('b', "356938035643809")));
    EXPECT_EQ(import_identities(store, file, "", true), exit_ok);
    EXPECT_EQ(rows("identity_list"), 0) << "a dry run";
    EXPECT_EQ(import_identities(store, file, "csv", false), exit_failed);
    EXPECT_EQ(import_identities(store, file, "", false), exit_ok);
    EXPECT_EQ(import_identities(store, file, "", false), exit_ok) << "once more";
    EXPECT_EQ(rows("identity_list"), 2);
    EXPECT_EQ(rows("audit", "event = 'identities-imported'"), 1);
    write_file(file, to_bytes(line('c', "490154203237526") + line('d', "490154203237518")));
    EXPECT_EQ(import_identities(store, file, "", false), exit_failed) << "it is kept for another chip";
    EXPECT_EQ(rows("identity_list"), 2);
}

TEST_F(IdentityStore, TheTableOfRequestsIsBounded)
{
    auto transaction = store.begin();
    for (std::size_t i = 0; i < max_requests + 10; ++i) {
        std::string id = std::to_string(i);
        id.insert(0, 64 - id.size(), '0');
        store.enter_request({id, {"serial", "S" + id.substr(50)}, now});
    }
    transaction.commit();
    const auto requests = store.requests();
    ASSERT_EQ(requests.size(), max_requests);
    EXPECT_TRUE(requests.front().chip.ends_with("10")) << "the oldest went out";
}

TEST_F(IdentityStore, Attack35_ADatabaseOfTheFirstReleaseIsTakenOver)
{
    const auto path = directory / "old.db";
    {
        Store made(path);
        made.add_chip({.id = chip('a'), .identity = {"serial", "S1"}, .identity_certificate = {1}}, Bytes{1})
            .or_throw();
        made.add_grant({.serial = "01", .chip = chip('a'), .sequence = 1, .module_certificate = {1}});
    }
    SQLite::Database old(path, SQLite::OPEN_READWRITE);
    old.exec(R"(PRAGMA foreign_keys = OFF;
        DROP TABLE proofs; DROP TABLE replacements; DROP TABLE identity_ranges; DROP TABLE identity_requests;
        DROP TABLE key_certificates; DROP TABLE pool; DROP TABLE revocation_lists; DROP INDEX grants_of_others;
        ALTER TABLE grants DROP COLUMN origin; DROP TRIGGER audit_stays; DROP TABLE audit_leaving;
        DROP TABLE audit_synchronized;
        CREATE TRIGGER audit_stays BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'append-only'); END;
        CREATE TABLE serial_ranges (id INTEGER PRIMARY KEY, prefix TEXT NOT NULL, width INTEGER NOT NULL,
          next INTEGER NOT NULL, last INTEGER NOT NULL) STRICT;
        INSERT INTO serial_ranges VALUES (1, 'SN', 4, 17, 99);
        CREATE TABLE old_chips (chip TEXT PRIMARY KEY, identity_kind TEXT NOT NULL, identity_value TEXT NOT NULL,
          identity_certificate BLOB NOT NULL, identity_spki BLOB NOT NULL UNIQUE, first_granted INTEGER NOT NULL,
          readmitted INTEGER NOT NULL DEFAULT 0, identity_issuers BLOB NOT NULL DEFAULT x'',
          UNIQUE (identity_kind, identity_value)) STRICT;
        INSERT INTO old_chips SELECT chip, identity_kind, identity_value, identity_certificate, identity_spki,
          first_granted, readmitted, identity_issuers FROM chips;
        DROP TABLE chips; ALTER TABLE old_chips RENAME TO chips; PRAGMA user_version = 6;)");
    Store taken(path);
    EXPECT_EQ(taken.chip(chip('a')).value().identity.value, "S1");
    EXPECT_EQ(taken.assign_identity(chip('b')).or_throw().value, "SN0017");
    EXPECT_EQ(reason_of([&] { taken.add_range({.prefix = "SN", .width = 4, .first = 99, .last = 100}); }),
              Reason::identity_taken);
    EXPECT_EQ(old.execAndGet("SELECT count(*) FROM pragma_foreign_key_check").getInt(), 0);
}

class Asking : public OneDevice {
protected:
    Answer ask_for(HonestDevice& by, const DeviceIdentity& identity)
    {
        DeviceSide side(by, binding);
        auto conversation = session();
        auto hello = side.hello();
        hello.mutable_hello()->mutable_requested_identity()->set_kind(identity.kind);
        hello.mutable_hello()->mutable_requested_identity()->set_value(identity.value);
        auto answer = conversation.receive(side.send_hello(hello), now);
        if (!answer.last)
            answer = conversation.receive(bytes_of(side.proof(answer.message)), now);
        return answer.last ? answer : conversation.receive(bytes_of(side.backup(answer.message)), now);
    }
    const DeviceIdentity terminal{"imei", "490154203237518"};
};

TEST_F(Asking, B16_WaitsForTheOperatorsWord)
{
    EXPECT_EQ(refusal(ask_for(device, terminal)), Reason::identity_unconfirmed);
    EXPECT_EQ(refusal(ask_for(device, terminal)), Reason::identity_unconfirmed);
    EXPECT_EQ(rows("chips"), 0);
    ASSERT_EQ(store.requests().size(), 1U);
    EXPECT_EQ(store.requests().front().identity, terminal);

    EXPECT_EQ(confirm_request(store, device.chip()), exit_ok);
    EXPECT_TRUE(store.requests().empty());
    EXPECT_TRUE(is_receipt(ask_for(device, terminal)));
    EXPECT_EQ(store.chip(device.chip())->identity, terminal);
    EXPECT_EQ(rows("audit", "event = 'identity-confirmed'"), 1);

    device.move_on();
    EXPECT_EQ(refusal(ask_for(device, {"serial", "OTHER"})), Reason::identity_taken) << "it is somebody already";
    EXPECT_TRUE(is_receipt(ask_for(device, terminal)));
}

TEST_F(Asking, ARefusedRequestIsForgotten)
{
    EXPECT_EQ(refusal(ask_for(device, terminal)), Reason::identity_unconfirmed);
    EXPECT_EQ(refuse_request(store, device.chip()), exit_ok);
    EXPECT_TRUE(store.requests().empty());
    EXPECT_EQ(reason_of([&] { confirm_request(store, device.chip()); }), Reason::invalid_argument);
    EXPECT_TRUE(is_receipt(personalize(device))) << "with the next one of the range";
}

TEST_F(Asking, AnIntroductionForTheDeviceIsAConfirmation)
{
    const auto code = issue_transaction_number(store, {.identity = terminal}, now);
    DeviceSide side(device, binding);
    auto hello = side.hello(code);
    hello.mutable_hello()->mutable_requested_identity()->set_kind("imei");
    hello.mutable_hello()->mutable_requested_identity()->set_value("356938035643809");
    auto conversation = session();
    auto answer = conversation.receive(side.send_hello(hello), now);
    EXPECT_EQ(refusal(conversation.receive(bytes_of(side.proof(answer.message)), now)),
              Reason::transaction_number_foreign);
    EXPECT_TRUE(store.requests().empty());

    DeviceSide again(device, binding);
    auto right = again.hello(code);
    right.mutable_hello()->mutable_requested_identity()->set_kind(terminal.kind);
    right.mutable_hello()->mutable_requested_identity()->set_value(terminal.value);
    auto second = session();
    answer = second.receive(again.send_hello(right), now);
    EXPECT_TRUE(is_grant(second.receive(bytes_of(again.proof(answer.message)), now)));
}

TEST_F(Asking, Attack05_NobodyGetsWhatIsAnothersOrKeptForAnother)
{
    ASSERT_TRUE(store.list_identity({chip('c'), terminal}).or_throw());
    EXPECT_EQ(refusal(ask_for(device, terminal)), Reason::identity_taken);
    ASSERT_TRUE(is_receipt(personalize(device)));
    HonestDevice second;
    trust(second);
    EXPECT_EQ(refusal(ask_for(second, store.chip(device.chip())->identity)), Reason::identity_taken);
    EXPECT_TRUE(store.requests().empty());
}

TEST_F(Asking, OnlyTheCanonicalFormIsRead)
{
    for (const auto& written :
         {DeviceIdentity{"imei", "49-015420-323751-8"}, DeviceIdentity{"imsi", "1"}, DeviceIdentity{"serial", ""}})
        EXPECT_EQ(refusal(ask_for(device, written)), Reason::malformed_message);
    EXPECT_EQ(rows("identity_requests"), 0);
}

TEST_F(Asking, OnlyProvenChipsAreListed)
{
    const auto answer = send_proof(device, [&](protocol::Message& m) { m.mutable_proof()->clear_creation_data(); });
    EXPECT_NE(refusal(answer), std::nullopt);
    DeviceSide side(device, binding);
    auto hello = side.hello();
    hello.mutable_hello()->mutable_requested_identity()->set_kind(terminal.kind);
    hello.mutable_hello()->mutable_requested_identity()->set_value(terminal.value);
    auto conversation = session();
    conversation.receive(side.send_hello(hello), now);
    EXPECT_EQ(rows("identity_requests"), 0);
}

} // namespace

} // namespace imprint::test
