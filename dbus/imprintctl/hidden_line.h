// SPDX-License-Identifier: Apache-2.0
// A line typed on the terminal that is stdin, and not shown.
#pragma once

#include "daemon/base/secret.h"

#include <string>

namespace imprint::ctl {

// The terminal is as it was before when this returns, throws, or the process is stopped (Ctrl-Z) and goes on.
// Throws Error(cancelled) at a signal that would end the process, Error(transaction_number_required) at the end of the
// input.
Secret read_hidden_line(const std::string& prompt);

} // namespace imprint::ctl
