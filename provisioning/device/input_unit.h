// SPDX-License-Identifier: Apache-2.0
// A keypad, a scanner or the like beside the device (claim A34): a program behind a Unix socket that hands over the
// transaction number its user gives it. imprintd.conf(5) has the few lines that it speaks.
#pragma once

#include "daemon/tls/stream.h"
#include "provisioning/device/progress.h"
#include "provisioning/protocol/introduction.h"

#include <chrono>
#include <string>

namespace imprint::device {

struct InputUnit {
    std::string address; // "unix:/path"; empty: there is none
    std::chrono::seconds timeout{120}; // for each number
};

// Asks for a number, and twice more if it is mistyped. Throws Error(transaction_number_required: none was given |
// transaction_number_mistyped | timed_out | cancelled | connection_refused | connection_lost | message_too_large).
protocol::IntroductionCode ask(const InputUnit& unit, const std::string& chip_identifier, const Progress& progress,
                               const tls::Cancel& cancel);

} // namespace imprint::device
