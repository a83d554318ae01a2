// SPDX-License-Identifier: Apache-2.0
// Why imprintctl ends: in words for people, in numbers for scripts.
#pragma once

#include "daemon/base/error.h"

#include <systemd/sd-bus.h>

#include <string>

namespace imprint::ctl {

// Exit codes; imprintctl(1) documents them.
enum class Exit {
    done = 0,
    failed = 1,
    usage = 2,
    refused = 3, // by the station, the archive, or the device's own checks of what they sent
    wrong_state = 4,
    not_authorized = 5,
    busy = 6,
    unreachable = 7, // bus, daemon or TPM
    peer_unreachable = 8, // station or archive
    cancelled = 9,
};

struct Failure {
    Exit exit = Exit::failed;
    std::string reason; // "wrong-state", or the bus's own name of the error
    std::string what, why, advice; // a sentence, a detail (may be empty), a sentence
};

Failure failure_of(const Refusal& refusal);
// An error of the bus or of the daemon.
Failure failure_of(const sd_bus_error& error);
// The bus itself could not be used; `result` is libsystemd's.
Failure bus_failure(int result);

} // namespace imprint::ctl
