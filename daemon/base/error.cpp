// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/error.h"

#include <openssl/err.h>

namespace imprint {

namespace {

// OpenSSL's number for the "library" that Imprint's own errors come from. Taken when the process starts: numbers go by
// in order, every provider takes one, and above 255 they no longer fit into an error code.
const int error_library = ERR_get_next_error_library();

std::string words_for(unsigned long code, const char* data, int flags)
{
    std::string text;
    if (const char* words = ERR_reason_error_string(code))
        text += std::string(": ") + words;
    if (data != nullptr && *data != '\0' && (flags & ERR_TXT_STRING) != 0)
        text += std::string(" (") + data + ")";
    return text;
}

} // namespace

void leave_in_openssl(Reason reason, const char* detail) noexcept
{
    ERR_raise_data(error_library, static_cast<int>(reason), "%s", detail);
}

Error openssl_error(Reason reason, const std::string& context)
{
    std::string words;
    const char* data = nullptr;
    int flags = 0;
    for (bool first = true; const auto code = ERR_get_error_all(nullptr, nullptr, nullptr, &data, &flags);
         first = false) {
        if (ERR_GET_LIB(code) == error_library) {
            Error carried(static_cast<Reason>(ERR_GET_REASON(code)), data);
            ERR_clear_error();
            return carried;
        }
        if (first)
            words = words_for(code, data, flags);
    }
    return {reason, context + words};
}

} // namespace imprint
