// SPDX-License-Identifier: Apache-2.0
// Lists of device identities as operators write them, in any form that pki::normalize() takes.
#pragma once

#include "provisioning/station/csv.h"

#include <map>

namespace imprint::station {

// A part of an entry, and where it begins in its line.
struct Place {
    std::size_t column = 1;
    std::string text;
};

// Takes entry after entry. Neither a chip nor an identity may stand there twice.
class IdentityCollector {
public:
    void take(std::size_t line, const Place& chip, const Place& kind, const Place& value);
    void wrong(std::size_t line, std::size_t column, const std::string& what);

    CsvContent<ListedIdentity> content;

private:
    std::map<std::string, std::size_t> seen_; // in which line
};

// One object a line, {"chip": "...", "kind": "imei", "value": "..."}, with exactly these members. Empty lines are
// skipped.
CsvContent<ListedIdentity> parse_identity_lines(std::string_view text);

} // namespace imprint::station
