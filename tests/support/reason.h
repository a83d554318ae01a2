// SPDX-License-Identifier: Apache-2.0
// Reasons, as tests expect them.
#pragma once

#include "daemon/base/error.h"

#include <optional>
#include <ostream>

namespace imprint {

// For GoogleTest's messages.
inline void PrintTo(Reason reason, std::ostream* out) { *out << name(reason); }

} // namespace imprint

namespace imprint::test {

// The reason of the Error that `work` throws; nothing if it throws none.
template <class F>
std::optional<Reason> reason_of(F work)
{
    try {
        work();
        return std::nullopt;
    } catch (const Error& error) {
        return error.reason();
    }
}

} // namespace imprint::test
