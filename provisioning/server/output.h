// SPDX-License-Identifier: Apache-2.0
// What the programs of the factory's side say alike: to people, or with --json to programs.
#pragma once

#include "daemon/base/error.h"
#include "daemon/pki/certificate.h"

#include <string>
#include <string_view>

namespace imprint::server {

std::string utc(pki::Time time); // "2026-01-31T12:00:00Z"

// What a program could not do, why and what to do about it: to stderr; as JSON to stdout.
void print_failure(std::string_view program, const Refusal& failure, bool json);

// Asks on the terminal; anything but a yes is a no. Error(invalid_argument) if there is nobody to ask: such a command
// has --yes.
bool confirmed(const std::string& question);

} // namespace imprint::server
