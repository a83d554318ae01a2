// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/identity_lists.h"

#include "daemon/pki/identity.h"
#include "daemon/structures/name.h"

#include <nlohmann/json.hpp>

#include <array>
#include <set>

namespace imprint::station {

namespace {

constexpr std::size_t max_line = 1024;
constexpr std::array members{"chip", "kind", "value"};

// Where the member's name begins: a line is checked to hold each name once.
std::size_t column_of(std::string_view line, const std::string& member)
{
    const auto position = line.find('"' + member + '"');
    return position == std::string_view::npos ? 1 : position + 1;
}

struct Member {
    std::string name;
    std::string problem;
};

// What is wrong with an object that can be read.
std::optional<Member> problem_of(const nlohmann::json& object, const std::multiset<std::string>& names)
{
    for (const auto& name : names)
        if (std::ranges::find(members, name) == members.end())
            return Member{name, "there is no member \"" + name + "\", but chip, kind and value"};
    for (const std::string name : members) {
        if (names.count(name) != 1)
            return Member{name, names.contains(name) ? "\"" + name + "\" stands there twice" : "no \"" + name + "\""};
        if (!object.at(name).is_string())
            return Member{name, "\"" + name + "\" is no text"};
    }
    return std::nullopt;
}

void take_line(IdentityCollector& collector, std::size_t number, const std::string& line)
{
    if (line.size() > max_line)
        return collector.wrong(number, max_line, "a line of more than " + std::to_string(max_line) + " bytes");
    std::multiset<std::string> names;
    const auto note = [&names](int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
        if (event == nlohmann::json::parse_event_t::key && depth == 1)
            names.insert(parsed.get<std::string>());
        return true;
    };
    nlohmann::json object;
    try {
        object = nlohmann::json::parse(line, note);
    } catch (const nlohmann::json::parse_error& error) {
        return collector.wrong(number, error.byte, "not JSON");
    }
    if (!object.is_object())
        return collector.wrong(number, 1, "not an object");
    if (const auto problem = problem_of(object, names))
        return collector.wrong(number, column_of(line, problem->name), problem->problem);
    const auto place = [&](const char* member) {
        return Place{column_of(line, member), object.at(member).get<std::string>()};
    };
    collector.take(number, place("chip"), place("kind"), place("value"));
}

} // namespace

void IdentityCollector::wrong(std::size_t line, std::size_t column, const std::string& what)
{
    content.errors.push_back({line, column, what});
}

void IdentityCollector::take(std::size_t line, const Place& chip, const Place& kind, const Place& value)
{
    if (!structures::is_chip_identifier(chip.text))
        return wrong(line, chip.column, "not a chip identifier: 64 hexadecimal digits in lower case");
    const auto identity = pki::normalize({kind.text, value.text});
    if (!identity)
        return wrong(line, value.column, identity.refusal().detail);
    if (const auto [place, fresh] = seen_.emplace("chip " + chip.text, line); !fresh)
        return wrong(line, chip.column, "the chip stands in line " + std::to_string(place->second) + " already");
    if (const auto [place, fresh] = seen_.emplace(identity->kind + ' ' + identity->value, line); !fresh)
        return wrong(line, value.column, "the identity stands in line " + std::to_string(place->second) + " already");
    content.entries.push_back({line, {chip.text, *identity}});
}

CsvContent<ListedIdentity> parse_identity_lines(std::string_view text)
{
    IdentityCollector collector;
    for (std::size_t number = 1; !text.empty(); ++number) {
        const auto end = text.find('\n');
        std::string line(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (line.ends_with('\r'))
            line.pop_back();
        if (!line.empty())
            take_line(collector, number, line);
    }
    return std::move(collector.content);
}

} // namespace imprint::station
