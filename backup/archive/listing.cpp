// SPDX-License-Identifier: Apache-2.0
#include "backup/archive/listing.h"

#include "daemon/structures/name.h"

#include <nlohmann/json.hpp>

namespace imprint::archive {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view records = "/v1/records";
constexpr std::string_view replacements = "/v1/replacements";
constexpr std::string_view receipts_prefix = "/v1/receipts/";
constexpr std::string_view records_prefix = "/v1/records/";
constexpr std::string_view after_name = "?after=";
constexpr std::string_view limit_name = "&limit=";

Answer json(const Json& body)
{
    return {
        200, {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}}, to_bytes(body.dump() + "\n"), {}};
}

Refusal malformed() { return {Reason::malformed_message, "the archive's list is none"}; }

// A member that is an unsigned number, or a text; anything else throws.
std::uint64_t number(const Json& item, const char* name)
{
    const Json& member = item.at(name);
    if (!member.is_number_unsigned())
        throw Error(malformed());
    return member.get<std::uint64_t>();
}

std::string chip(const Json& item, const char* name)
{
    std::string text = item.at(name).get<std::string>();
    if (!structures::is_chip_identifier(text))
        throw Error(malformed());
    return text;
}

Listed read_record(const Json& item)
{
    auto digest = unhex(item.at("sha256").get<std::string>());
    if (!digest)
        throw Error(malformed());
    return {number(item, "number"), chip(item, "chip"), number(item, "sequence"), *std::move(digest)};
}

ListedStatement read_replacement(const Json& item) { return {number(item, "number"), chip(item, "present")}; }

template <class Item>
Result<std::vector<Item>> read_list(BytesView list, const char* name, const ListQuestion& question,
                                    Item (*read)(const Json&))
try {
    std::vector<Item> items;
    std::uint64_t last = question.after;
    const Json document = Json::parse(list);
    for (const Json& item : document.at(name)) {
        items.push_back(read(item));
        if (items.back().number <= last || items.size() > question.limit)
            return malformed();
        last = items.back().number;
    }
    return items;
} catch (const Json::exception&) {
    return malformed();
} catch (const Error& error) {
    return error.refusal();
}

} // namespace

std::optional<ListQuestion> parse_list(std::string_view target)
{
    ListQuestion question;
    const auto mark = target.find('?');
    const auto name = target.substr(0, mark);
    if (mark == std::string_view::npos || (name != records && name != replacements))
        return std::nullopt;
    question.replacements = name == replacements;
    target.remove_prefix(mark);
    const auto limit_at = target.find(limit_name);
    if (!target.starts_with(after_name) || limit_at == std::string_view::npos)
        return std::nullopt;
    const auto after = parse_sequence(target.substr(after_name.size(), limit_at - after_name.size()));
    const auto limit = parse_sequence(target.substr(limit_at + limit_name.size()));
    if (!after || !limit || *limit == 0 || *limit > max_listed)
        return std::nullopt;
    question.after = *after;
    question.limit = *limit;
    return question;
}

std::string list_target(const ListQuestion& question)
{
    return std::string(question.replacements ? replacements : records) + std::string(after_name) +
        std::to_string(question.after) + std::string(limit_name) + std::to_string(question.limit);
}

std::optional<RecordPath> parse_receipt_path(std::string_view target)
{
    if (!target.starts_with(receipts_prefix))
        return std::nullopt;
    auto path = parse_path(std::string(records_prefix) + std::string(target.substr(receipts_prefix.size())));
    return path && path->sequence ? path : std::nullopt;
}

std::string receipt_target(const std::string& chip_identifier, std::uint64_t sequence)
{
    return std::string(receipts_prefix) + chip_identifier + '/' + std::to_string(sequence);
}

Answer answer_list(Store& store, const ListQuestion& question)
{
    auto list = Json::array();
    if (question.replacements) {
        for (const auto& [number, one] : store.list_replacements(question.after, question.limit))
            list.push_back({{"number", number}, {"former", one.former}, {"present", one.present}});
        return json({{"replacements", std::move(list)}});
    }
    for (const auto& one : store.list(question.after, question.limit))
        list.push_back(
            {{"number", one.number}, {"chip", one.chip}, {"sequence", one.sequence}, {"sha256", hex(one.digest)}});
    return json({{"records", std::move(list)}});
}

Result<std::vector<Listed>> read_records(BytesView list, const ListQuestion& question)
{
    return read_list<Listed>(list, "records", question, read_record);
}

Result<std::vector<ListedStatement>> read_replacements(BytesView list, const ListQuestion& question)
{
    return read_list<ListedStatement>(list, "replacements", question, read_replacement);
}

} // namespace imprint::archive
