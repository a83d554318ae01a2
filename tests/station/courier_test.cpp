// SPDX-License-Identifier: Apache-2.0
// Operators and their couriers: who gets an introduction, and what the audit log tells of it.
#include "provisioning/station/courier_session.h"

#include "provisioning/protocol/courier_messages.h"
#include "provisioning/protocol/framing.h"
#include "provisioning/protocol/introduction.h"
#include "provisioning/station/operators.h"
#include "tests/station/fixture.h"
#include "tests/support/reason.h"

namespace imprint::test {
namespace {

using protocol::CourierMessage;

const std::string some_chip(64, 'c');

class Courier : public StationTest {
protected:
    void permit(const Certified& who, const std::vector<station::Permission>& permissions)
    {
        station::Operator entry{.fingerprint = station::fingerprint_of(who.certificate),
                                .name = who.certificate.common_name(),
                                .added = now,
                                .revoked = {}};
        for (const auto permission : permissions)
            station::allow(entry, permission);
        store.put_operator(entry);
    }
    static CourierMessage request(bool ticket, const std::string& chip = some_chip)
    {
        CourierMessage message;
        auto& body = *message.mutable_request();
        body.set_version(1);
        body.set_ticket(ticket);
        body.set_chip_identifier(chip);
        body.set_reason("new board");
        body.set_validity(60);
        return message;
    }
    CourierMessage ask(const Certified& who, const CourierMessage& message)
    {
        station::CourierSession session(store, who.certificate, "test", "127.0.0.1:7443");
        return protocol::parse_courier_message(session.receive(protocol::serialize(message), now).message).or_throw();
    }
    // The reason of a refusal; nothing for an answer.
    std::optional<Reason> refusal(const Certified& who, const CourierMessage& message)
    {
        const auto answer = ask(who, message);
        if (!answer.has_refused())
            return std::nullopt;
        return protocol::refusal_of(answer.refused()).reason;
    }

    Certified alice = pki.station_operator("Alice");
};

TEST_F(Courier, A35_A39_ARegisteredOperatorGetsATicketForTheChip)
{
    permit(alice, {station::Permission::introduce});
    const auto answer = ask(alice, request(true));
    ASSERT_TRUE(answer.has_answer());
    const auto ticket = protocol::read_ticket(answer.answer().introduction()).or_throw();
    EXPECT_EQ(answer.answer().station_address(), "127.0.0.1:7443");
    EXPECT_EQ(answer.answer().expires(), station::seconds(now) + 60);
    const auto entry = store.introduction(ticket.selector);
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->chip, some_chip);
    EXPECT_EQ(entry->issuer, "Alice " + station::fingerprint_of(alice.certificate).substr(0, 16));
    EXPECT_EQ(entry->reason, "new board");
}

TEST_F(Courier, A37_A39_ANumberForTypingMayBeForAnyChip)
{
    permit(alice, {station::Permission::issue_tan});
    const auto answer = ask(alice, request(false, ""));
    ASSERT_TRUE(answer.has_answer());
    const auto number = protocol::read_transaction_number(answer.answer().introduction()).or_throw();
    EXPECT_EQ(store.introduction(number.selector).value().chip, "");
    const auto bound = ask(alice, request(false));
    const auto other = protocol::read_transaction_number(bound.answer().introduction()).or_throw();
    EXPECT_EQ(store.introduction(other.selector).value().chip, some_chip);
}

TEST_F(Courier, TheAuditLogTellsWhoIntroducedWhichChipAndWhyButNoSecret)
{
    permit(alice, {station::Permission::introduce});
    const auto answer = ask(alice, request(true));
    const std::string secret = answer.answer().introduction().substr(32);
    bool told = false;
    for (const auto& entry : store.audit_log()) {
        EXPECT_EQ(entry.detail.find(secret), std::string::npos);
        told = told ||
            (entry.event == "introduction-issued" && entry.chip == some_chip &&
             (entry.peer + entry.detail).find("Alice") != std::string::npos &&
             entry.detail.find("new board") != std::string::npos);
    }
    EXPECT_TRUE(told);
}

TEST_F(Courier, A39_WhoIsNotRegisteredOrWasRevokedGetsNone)
{
    EXPECT_EQ(refusal(alice, request(true)), Reason::operator_unknown);
    EXPECT_EQ(refusal(alice, request(false)), Reason::operator_unknown);
    permit(alice, {station::Permission::introduce, station::Permission::issue_tan});
    EXPECT_EQ(refusal(alice, request(true)), std::nullopt);
    const auto namesake = pki.station_operator("Alice");
    EXPECT_EQ(refusal(namesake, request(true)), Reason::operator_unknown) << "the certificate counts, not the name";
    store.revoke_operator(station::fingerprint_of(alice.certificate), now);
    EXPECT_EQ(refusal(alice, request(true)), Reason::operator_revoked);
    EXPECT_EQ(refusal(alice, request(false)), Reason::operator_revoked);
    EXPECT_THROW(permit(alice, {station::Permission::introduce}), SQLite::Exception) << "revoked is for good";
    EXPECT_EQ(rows("introductions"), 1);
}

TEST_F(Courier, A39_EachPermissionIsForItself)
{
    permit(alice, {station::Permission::introduce});
    EXPECT_EQ(refusal(alice, request(false)), Reason::not_authorized);
    const auto bob = pki.station_operator("Bob");
    permit(bob, {station::Permission::issue_tan});
    EXPECT_EQ(refusal(bob, request(true)), Reason::not_authorized);
    permit(bob, {station::Permission::introduce});
    EXPECT_EQ(refusal(bob, request(true)), std::nullopt);
    EXPECT_EQ(refusal(bob, request(false)), Reason::not_authorized) << "permissions are as given last";
}

TEST_F(Courier, ARefusalIsAuditedWithTheOperator)
{
    ask(alice, request(true));
    const auto entry = store.audit_log().back();
    EXPECT_EQ(entry.event, "refused");
    EXPECT_EQ(entry.reason, "operator-unknown");
    EXPECT_EQ(entry.chip, some_chip);
    EXPECT_EQ(entry.peer, "test");
    EXPECT_EQ(entry.detail.find("operator Alice " + station::fingerprint_of(alice.certificate)), 0U) << entry.detail;
}

TEST_F(Courier, OddRequestsGetNothing)
{
    permit(alice, {station::Permission::introduce, station::Permission::issue_tan});
    const auto changed = [&](const auto& change) {
        auto message = request(true);
        change(*message.mutable_request());
        return refusal(alice, message);
    };
    EXPECT_EQ(changed([](auto& r) { r.set_version(2); }), Reason::unsupported_version);
    EXPECT_EQ(changed([](auto& r) { r.set_chip_identifier(""); }), Reason::malformed_message)
        << "a ticket is for a chip";
    EXPECT_EQ(changed([](auto& r) { r.set_chip_identifier(std::string(64, 'C')); }), Reason::malformed_message);
    EXPECT_EQ(changed([](auto& r) { r.set_reason(""); }), Reason::malformed_message);
    EXPECT_EQ(changed([](auto& r) { r.set_reason("two\nlines"); }), Reason::malformed_message);
    EXPECT_EQ(changed([](auto& r) { r.set_reason(std::string(129, 'x')); }), Reason::malformed_message);
    EXPECT_EQ(changed([](auto& r) { r.set_validity(367U * 86400U); }), Reason::invalid_argument);
    EXPECT_EQ(refusal(alice, protocol::courier_refused({Reason::busy, ""})), Reason::unexpected_message);
    EXPECT_EQ(rows("introductions"), 0);

    station::CourierSession session(store, alice.certificate, "test", "");
    const auto garbage = protocol::parse_courier_message(session.receive(to_bytes("garbage"), now).message).or_throw();
    EXPECT_EQ(protocol::refusal_of(garbage.refused()).reason, Reason::malformed_message);
}

// What a courier's ticket is worth to devices.
class Vouched : public Courier {
protected:
    Vouched()
    {
        permit(alice, {station::Permission::introduce});
        required = station::Required::always;
        trust(device);
        trust(other);
    }
    protocol::IntroductionCode ticket_for(HonestDevice& whom)
    {
        return protocol::read_ticket(ask(alice, request(true, whom.chip())).answer().introduction()).or_throw();
    }
    // The reason of a refusal; nothing for a whole personalization.
    std::optional<Reason> personalize_with(HonestDevice& by, const protocol::IntroductionCode& code, pki::Time at = now)
    {
        DeviceSide side(by, binding);
        auto line = session();
        auto last = line.receive(side.send_hello(side.hello(code)), at);
        if (!last.last)
            last = line.receive(bytes_of(side.proof(last.message)), at);
        if (!last.last)
            last = line.receive(bytes_of(side.backup(last.message)), at);
        return test::refusal(last);
    }

    HonestDevice device;
    HonestDevice other{SoftwareTpm::Kind::bare, 1};
};

TEST_F(Vouched, A35_TheGrantNamesTheOperatorWhoIntroducedTheDevice)
{
    ASSERT_EQ(personalize_with(device, ticket_for(device)), std::nullopt);
    bool named = false;
    for (const auto& entry : store.audit_log())
        named = named ||
            (entry.event == "granted" && entry.chip == device.chip() &&
             entry.detail.find("Alice") != std::string::npos);
    EXPECT_TRUE(named);
}

TEST_F(Vouched, Attack26_ATicketThatWasMovedToAnotherDeviceIsForeignAndStaysGood)
{
    const auto ticket = ticket_for(device);
    EXPECT_EQ(personalize_with(other, ticket), Reason::transaction_number_foreign);
    EXPECT_EQ(rows("chips"), 0);
    EXPECT_EQ(personalize_with(device, ticket), std::nullopt);
}

TEST_F(Vouched, Attack26_ATicketIsGoodOnceAndNotForEver)
{
    const auto late = ticket_for(device);
    EXPECT_EQ(personalize_with(device, late, now + std::chrono::seconds(60)), Reason::transaction_number_expired);
    const auto ticket = ticket_for(device);
    ASSERT_EQ(personalize_with(device, ticket), std::nullopt);
    device.move_on();
    EXPECT_EQ(personalize_with(device, ticket), Reason::transaction_number_used);
    EXPECT_EQ(personalize_with(other, ticket), Reason::transaction_number_foreign);
}

} // namespace
} // namespace imprint::test
