// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/bytes.h"

#include <openssl/crypto.h>

namespace imprint {

std::string hex(BytesView bytes)
{
    if (bytes.empty())
        return {};
    std::string text(bytes.size() * 2 + 1, '\0');
    std::size_t length = 0;
    OPENSSL_buf2hexstr_ex(text.data(), text.size(), &length, bytes.data(), bytes.size(), '\0');
    text.resize(bytes.size() * 2);
    std::ranges::transform(text, text.begin(),
                           [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c; });
    return text;
}

std::optional<Bytes> unhex(std::string_view text)
{
    const auto is_digit = [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    };
    if (text.size() % 2 != 0 || !std::ranges::all_of(text, is_digit))
        return std::nullopt;
    Bytes bytes(text.size() / 2);
    std::size_t length = 0;
    const std::string terminated(text);
    if (!bytes.empty() && OPENSSL_hexstr2buf_ex(bytes.data(), bytes.size(), &length, terminated.c_str(), '\0') != 1)
        return std::nullopt;
    return bytes;
}

} // namespace imprint
