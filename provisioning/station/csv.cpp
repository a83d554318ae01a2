// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/csv.h"

#include "daemon/base/ascii.h"
#include "daemon/pki/identity.h"
#include "daemon/structures/name.h"
#include "provisioning/station/identity_lists.h"

#include <functional>
#include <map>

namespace imprint::station {

namespace {

constexpr std::size_t max_note = 128;

struct Line {
    std::size_t number = 0;
    std::vector<Place> fields;
};

std::vector<Place> split(std::string_view line)
{
    std::vector<Place> fields;
    for (std::size_t begin = 0;;) {
        const auto comma = line.find(',', begin);
        fields.push_back({begin + 1, std::string(line.substr(begin, comma - begin))});
        if (comma == std::string_view::npos)
            return fields;
        begin = comma + 1;
    }
}

void for_each_line(std::string_view text, const std::function<void(const Line&)>& visit)
{
    constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
    if (text.starts_with(byte_order_mark))
        text.remove_prefix(byte_order_mark.size());
    for (std::size_t number = 1; !text.empty(); ++number) {
        const auto end = text.find('\n');
        std::string_view line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (line.ends_with('\r'))
            line.remove_suffix(1);
        if (!line.empty() && line.front() != '#')
            visit({number, split(line)});
    }
}

} // namespace

CsvContent<AllowedKey> parse_allow_list(std::string_view text)
{
    CsvContent<AllowedKey> content;
    std::map<std::string, std::string> seen;
    for_each_line(text, [&](const Line& line) {
        const auto wrong = [&](std::size_t column, const std::string& what) {
            content.errors.push_back({line.number, column, what});
        };
        const Place& digest = line.fields.front();
        const Place note = line.fields.size() > 1 ? line.fields[1] : Place{};
        if (line.fields.size() > 2)
            return wrong(line.fields[2].column, "a third field");
        if (!structures::is_chip_identifier(digest.text))
            return wrong(digest.column, "not a digest: 64 hexadecimal digits in lower case");
        if (note.text.size() > max_note || !is_printable(note.text))
            return wrong(note.column, "not a note: at most 128 printable ASCII characters");
        const auto [place, fresh] = seen.emplace(digest.text, note.text);
        if (!fresh && place->second != note.text)
            return wrong(digest.column, "the same digest with another note");
        if (fresh)
            content.entries.push_back({line.number, {digest.text, note.text}});
    });
    return content;
}

CsvContent<ListedIdentity> parse_identities(std::string_view text)
{
    IdentityCollector collector;
    for_each_line(text, [&](const Line& line) {
        const auto& fields = line.fields;
        if (fields.size() != 2 && fields.size() != 3)
            return collector.wrong(line.number, fields.size() > 3 ? fields[3].column : 1,
                                   "not chip identifier and serial number, or chip identifier, kind and identity");
        const bool serial = fields.size() == 2;
        collector.take(line.number, fields[0],
                       serial ? Place{fields[1].column, std::string(pki::serial_kind)} : fields[1], fields.back());
    });
    return std::move(collector.content);
}

} // namespace imprint::station
