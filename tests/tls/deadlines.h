// SPDX-License-Identifier: Apache-2.0
// Deadlines of the tests.
#pragma once

#include "daemon/tls/stream.h"

namespace imprint::test {

using namespace std::chrono_literals;

inline tls::Deadline in(std::chrono::milliseconds time) { return std::chrono::steady_clock::now() + time; }

inline constexpr auto ample = 20s; // never waited for unless a test fails
inline constexpr auto brief = 30ms;

} // namespace imprint::test
