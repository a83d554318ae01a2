// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string_view>

namespace imprint {

// Printable ASCII alone, spaces included, or nothing at all: it begins no other line, and tells a terminal to do
// nothing.
inline bool is_printable(std::string_view text)
{
    return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

} // namespace imprint
