// SPDX-License-Identifier: Apache-2.0
#include "provisioning/server/output.h"

#include "provisioning/server/printable.h"

#include <nlohmann/json.hpp>

#include <array>
#include <ctime>
#include <iostream>
#include <unistd.h>

namespace imprint::server {

std::string utc(pki::Time time)
{
    const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    std::array<char, 32> text{};
    return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

void print_failure(std::string_view program, const Refusal& failure, bool json)
{
    if (json) {
        const nlohmann::ordered_json error{{"reason", name(failure.reason)},
                                           {"what", sentence(failure.reason)},
                                           {"why", printable(failure.detail)},
                                           {"advice", hint(failure.reason)}};
        std::cout << nlohmann::ordered_json{{"error", error}}.dump(2) << std::endl;
        return;
    }
    std::cerr << program << ": " << sentence(failure.reason) << " (" << name(failure.reason) << ")\n";
    if (!failure.detail.empty())
        std::cerr << "  Why:        " << printable(failure.detail) << "\n";
    std::cerr << "  What to do: " << hint(failure.reason) << std::endl;
}

bool confirmed(const std::string& question)
{
    if (isatty(STDIN_FILENO) == 0)
        throw Error(Reason::invalid_argument, "there is no terminal to ask on: give --yes if you are sure");
    std::cerr << question << " [y/N] " << std::flush;
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "Y" || answer == "yes";
}

} // namespace imprint::server
