// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/error.h"

#include <openssl/err.h>

namespace imprint {

Error openssl_error(Reason reason, const std::string& context)
{
    const char* data = nullptr;
    int flags = 0;
    const unsigned long code = ERR_get_error_all(nullptr, nullptr, nullptr, &data, &flags);
    std::string text = context;
    if (const char* words = ERR_reason_error_string(code))
        text += std::string(": ") + words;
    if (data != nullptr && *data != '\0' && (flags & ERR_TXT_STRING) != 0)
        text += std::string(" (") + data + ")";
    ERR_clear_error();
    return {reason, text};
}

} // namespace imprint
