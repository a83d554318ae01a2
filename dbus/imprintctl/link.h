// SPDX-License-Identifier: Apache-2.0
// The device's end of a courier's link (provisioning/courier/link.md), on standard input and output.
#pragma once

#include "provisioning/protocol/link.h"

namespace imprint::ctl {

// Answers requests until the other end closes. Throws Error(timed_out) if no valid one comes for five minutes,
// Error(connection_lost).
void serve_link(protocol::Introducible& device);

} // namespace imprint::ctl
