// SPDX-License-Identifier: Apache-2.0
// What an archive gives to mirrors alone: lists of its records and replacements by their numbers, and receipts. Both
// sides of the wire stand here.
#pragma once

#include "backup/archive/api.h"

namespace imprint::archive {

inline constexpr std::size_t max_listed = 500; // of one list
inline constexpr std::size_t max_list = 256 * 1024; // bytes of one

// "/v1/records?after=<number>&limit=<1 to 500>", and of replacements
struct ListQuestion {
    bool replacements = false;
    std::uint64_t after = 0;
    std::size_t limit = 0;
};
std::optional<ListQuestion> parse_list(std::string_view target);
std::string list_target(const ListQuestion& question);

// "/v1/receipts/<chip identifier>/<sequence>"
std::optional<RecordPath> parse_receipt_path(std::string_view target);
std::string receipt_target(const std::string& chip_identifier, std::uint64_t sequence);

Answer answer_list(Store& store, const ListQuestion& question);

// What a list says: numbers that rise from `after` on. Refusal(malformed_message) for anything else.
struct ListedStatement {
    std::uint64_t number = 0;
    std::string present; // the chip under which it is found
};
Result<std::vector<Listed>> read_records(BytesView list, const ListQuestion& question);
Result<std::vector<ListedStatement>> read_replacements(BytesView list, const ListQuestion& question);

} // namespace imprint::archive
