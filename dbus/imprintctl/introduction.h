// SPDX-License-Identifier: Apache-2.0
// What a station is shown: a transaction number from the terminal or a file, or a ticket from a file. Never from the
// command line, which every user can read in /proc.
#pragma once

#include "provisioning/protocol/introduction.h"

#include <optional>
#include <string>

namespace imprint::ctl {

// As an option of Personalize.
struct GivenIntroduction {
    const char* option; // "transaction-number", "ticket"
    Secret text; // ends with NUL

    const char* c_str() const { return reinterpret_cast<const char*>(text.data()); }
};

// From the file that is named; nothing if none is. "-" is stdin; a terminal there is prompted on.
// Throws Error(transaction_number_mistyped | invalid_argument | cancelled).
std::optional<GivenIntroduction> read_introduction(const std::string& number_file, const std::string& ticket_file);

// Prompts on the terminal without showing what is typed, and again as long as it is mistyped.
// Throws Error(cancelled | transaction_number_required: nothing was typed).
GivenIntroduction prompt_for_number();

} // namespace imprint::ctl
