// SPDX-License-Identifier: Apache-2.0
#include "provisioning/server/printable.h"

namespace imprint::server {

std::string printable(std::string_view text)
{
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '\\')
            out += "\\\\";
        else if (byte >= 0x20 && byte <= 0x7e)
            out += c;
        else
            (out += "\\x") += {digits[byte >> 4U], digits[byte & 15U]};
    }
    return out;
}

} // namespace imprint::server
