// SPDX-License-Identifier: Apache-2.0
// Byte strings and their hexadecimal form.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace imprint {

using Bytes = std::vector<std::uint8_t>;
using BytesView = std::span<const std::uint8_t>;

inline BytesView as_bytes(std::string_view text)
{
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline std::string_view as_text(BytesView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

inline Bytes to_bytes(std::string_view text) { return {text.begin(), text.end()}; }

inline std::string to_string(BytesView bytes) { return {bytes.begin(), bytes.end()}; }

inline bool equal(BytesView a, BytesView b) { return std::ranges::equal(a, b); }

// Lower-case hexadecimal, two digits a byte.
std::string hex(BytesView bytes);

// The inverse of hex(): either case is read; nothing else (no spaces, no odd length).
std::optional<Bytes> unhex(std::string_view text);

} // namespace imprint
