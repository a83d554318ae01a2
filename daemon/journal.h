// SPDX-License-Identifier: Apache-2.0
// Where imprintd's edge logs: structured to the journal where stderr leads there, plain lines to stderr otherwise.
#pragma once

#include <string>
#include <vector>

namespace imprint::journal {

// Message identifiers, for journalctl MESSAGE_ID= and catalogues (imprintd(8) lists them).
inline constexpr auto* started = "371642d7ca1249fba03aeba076fbb0d7";
inline constexpr auto* state_changed = "281ff452f23f406da8674a152097e6c1";
inline constexpr auto* call_began = "38a9f7d50e4747eca14f4cd965effafd";
inline constexpr auto* call_ended = "4936db5ac9b9495fbf2840609029e56d";
inline constexpr auto* failed = "9cce2567060241d99267416d79e211ed";

struct Field {
    std::string name; // "IMPRINT_STATE"
    std::string value; // left out where it is empty
};

// `priority` as in syslog(3). Control characters of the message have to be gone (dbus/boundary.h).
void write(int priority, const char* id, const std::string& message, std::vector<Field> fields = {});

} // namespace imprint::journal
