// SPDX-License-Identifier: Apache-2.0
// The servers' log: journal fields where stderr is the journal, otherwise lines with sd-daemon(3) priorities.
// Called at the edge only.
#pragma once

#include "daemon/base/error.h"
#include "provisioning/server/printable.h"

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace imprint::server {

enum class Priority { error = 3, warning = 4, notice = 5, info = 6, debug = 7 };

// Names in upper case without a prefix: {"CHIP", id} becomes the field IMPRINT_CHIP, or " chip=id" in a line.
using Fields = std::vector<std::pair<std::string, std::string>>;

// Whatever the values hold, it stays one entry: control characters are escaped in lines.
void log(Priority priority, std::string_view message, const Fields& fields = {}) noexcept;

// What a program could not do, why and what to do about it: one entry in the journal, three lines elsewhere.
void report(std::string_view program, const Refusal& refusal) noexcept;

// The whole of a main(): what `run` throws is reported, and the exit status is 1.
int run_program(std::string_view program, const std::function<int()>& run) noexcept;

} // namespace imprint::server
