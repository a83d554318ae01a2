// SPDX-License-Identifier: Apache-2.0
// The operators' lists: comma-separated values, one entry a line, without quotes. Empty lines and lines that start
// with '#' are skipped, line ends may be CRLF, a byte order mark may come first.
#pragma once

#include "provisioning/station/store.h"

#include <string>
#include <string_view>
#include <vector>

namespace imprint::station {

// Line and column count from 1; columns in bytes.
struct CsvError {
    std::size_t line = 0, column = 0;
    std::string text;
};

template <class T>
struct CsvContent {
    struct Entry {
        std::size_t line = 0;
        T value;
    };
    std::vector<Entry> entries;
    std::vector<CsvError> errors; // all of them; the entries are good only if there is none
};

// "digest" or "digest,note": the lower-case SHA-256 of an endorsement key's SubjectPublicKeyInfo, a printable note of
// at most 128 characters. A digest may stand there twice only with the same note.
CsvContent<AllowedKey> parse_allow_list(std::string_view text);

// "chip identifier,serial number" or "chip identifier,kind,identity". Neither chip nor identity may stand there twice.
CsvContent<ListedIdentity> parse_identities(std::string_view text);

} // namespace imprint::station
