// SPDX-License-Identifier: Apache-2.0
#include "provisioning/protocol/sync_messages.h"

#include "daemon/base/ascii.h"
#include "daemon/structures/name.h"
#include "provisioning/protocol/introduction.h"
#include "provisioning/protocol/parse_as.h"

#include <algorithm>

namespace imprint::protocol {

namespace {

using protobuf::none_unknown;

constexpr std::size_t max_record = 256 * 1024;
constexpr std::size_t max_certificate = 64 * 1024;
constexpr std::size_t max_word = 256;
constexpr std::size_t max_text = 64 * 1024;
constexpr std::size_t digest_size = 32;
constexpr std::size_t max_proof = 256 * 1024;
constexpr std::size_t max_statement = 16 * 1024;
constexpr std::size_t max_list = 768 * 1024;
constexpr int max_key_certificates = 64; // a data package's entries
constexpr int max_certificates = 8;
constexpr std::size_t max_serial = 40; // hex digits of 20 bytes
constexpr std::size_t database_size = 32; // hex digits
constexpr std::int64_t latest = std::int64_t{1} << 33; // in the year 2242: what the clocks of computers can hold
constexpr std::uint64_t max_number = INT64_MAX;

bool is_time(std::int64_t seconds) { return seconds >= 0 && seconds < latest; }

bool is_number(std::uint64_t number) { return number > 0 && number <= max_number; }

// It goes into listings, where a newline would begin an entry that nobody made.
bool is_line(const std::string& text, std::size_t limit) { return text.size() <= limit && is_printable(text); }

bool is_database(const std::string& id)
{
    return id.size() == database_size &&
        std::ranges::all_of(id, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_serial(const std::string& serial)
{
    return !serial.empty() && serial.size() <= max_serial &&
        std::ranges::all_of(serial, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool all_serials(const auto& list, int limit) { return list.size() <= limit && std::ranges::all_of(list, is_serial); }

bool good(const RecordName& m)
{
    return none_unknown(m) && structures::is_chip_identifier(m.chip_identifier()) && is_number(m.sequence()) &&
        m.content_digest().size() == digest_size;
}

bool good(const UseName& m)
{
    return none_unknown(m) && is_selector(m.selector()) && structures::is_chip_identifier(m.chip_identifier()) &&
        is_number(m.sequence());
}

bool good(const ReplacementName& m)
{
    return none_unknown(m) && structures::is_chip_identifier(m.former()) && structures::is_chip_identifier(m.present());
}

bool good(const SyncRecord& m)
{
    return none_unknown(m) && !m.record().empty() && m.record().size() <= max_record &&
        m.module_certificate().size() <= max_certificate && is_time(m.time()) && m.proof().size() <= max_proof &&
        all_serials(m.key_certificates(), max_key_certificates);
}

bool good(const SyncReplacement& m)
{
    return none_unknown(m) && !m.statement().empty() && m.statement().size() <= max_statement;
}

bool good(const SyncRevocations& m)
{
    return none_unknown(m) && !m.list().empty() && m.list().size() <= max_list && !m.certificates().empty() &&
        m.certificates_size() <= max_certificates &&
        std::ranges::all_of(m.certificates(), [](const auto& der) { return der.size() <= max_certificate; });
}

bool good(const SyncUse& m)
{
    return none_unknown(m) && is_selector(m.selector()) && (m.kind() == "tan" || m.kind() == "ticket") &&
        structures::is_chip_identifier(m.chip_identifier()) && is_number(m.sequence()) && is_time(m.used()) &&
        is_time(m.issued()) && is_time(m.expires()) && is_line(m.issuer(), max_word) && is_line(m.reason(), max_text);
}

bool good(const SyncAudit& m)
{
    return none_unknown(m) && is_number(m.id()) && is_time(m.time()) && !m.event().empty() &&
        is_line(m.event(), max_word) && is_line(m.chip(), max_word) && is_line(m.peer(), max_word) &&
        is_line(m.reason(), max_word) && m.detail().size() <= max_text;
}

bool good(const SyncItem& m)
{
    if (!none_unknown(m))
        return false;
    switch (m.item_case()) {
    case SyncItem::kRecord:
        return good(m.record());
    case SyncItem::kUse:
        return good(m.use());
    case SyncItem::kAudit:
        return good(m.audit());
    case SyncItem::kReplacement:
        return good(m.replacement());
    case SyncItem::kRevocations:
        return good(m.revocations());
    case SyncItem::ITEM_NOT_SET:
        return false;
    }
    return false;
}

bool good(const SyncAnswer& m)
{
    return none_unknown(m) && m.outcome() >= static_cast<std::uint32_t>(SyncOutcome::taken) &&
        m.outcome() <= static_cast<std::uint32_t>(SyncOutcome::refused) && m.detail().size() <= max_text;
}

template <class List>
bool all_good(const List& list, int limit)
{
    return list.size() <= limit && std::ranges::all_of(list, [](const auto& m) { return good(m); });
}

bool good(const SyncMessage& m)
{
    if (!none_unknown(m))
        return false;
    switch (m.body_case()) {
    case SyncMessage::kOffer:
        return none_unknown(m.offer()) && is_database(m.offer().database()) &&
            all_good(m.offer().records(), max_offered) && all_good(m.offer().uses(), max_offered) &&
            all_good(m.offer().replacements(), max_offered);
    case SyncMessage::kWanted:
        return none_unknown(m.wanted()) && m.wanted().audit_known() <= max_number &&
            m.wanted().audit_digest().size() <= digest_size && m.wanted().records_size() <= max_offered &&
            m.wanted().uses_size() <= max_offered && m.wanted().replacements_size() <= max_offered &&
            all_serials(m.wanted().revoked(), max_revoked);
    case SyncMessage::kBatch:
        return none_unknown(m.batch()) && is_database(m.batch().database()) &&
            all_good(m.batch().items(), max_sync_items);
    case SyncMessage::kAnswers:
        return none_unknown(m.answers()) && all_good(m.answers().answers(), max_sync_items);
    case SyncMessage::kRefused:
        return none_unknown(m.refused());
    case SyncMessage::BODY_NOT_SET:
        return false;
    }
    return false;
}

} // namespace

Result<SyncMessage> parse_sync(BytesView body)
{
    SyncMessage message;
    if (const auto verdict =
            protobuf::parse_canonical(message, body, max_sync_message, Reason::malformed_message, "a message");
        !verdict)
        return verdict.refusal();
    if (message.has_batch() && message.batch().items_size() > max_sync_items)
        return Refusal{Reason::message_too_large,
                       std::to_string(message.batch().items_size()) + " items in one batch; " +
                           std::to_string(max_sync_items) + " are allowed"};
    if (!good(message))
        return Refusal{Reason::malformed_message,
                       "a message of a synchronization with something in it that is not allowed"};
    return message;
}

SyncMessage sync_refused(const Refusal& refusal) { return refused_as<SyncMessage>(refusal); }

} // namespace imprint::protocol
