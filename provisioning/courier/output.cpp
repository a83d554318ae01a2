// SPDX-License-Identifier: Apache-2.0
#include "provisioning/courier/output.h"

#include "provisioning/server/output.h"
#include "provisioning/server/qr.h"

#include <nlohmann/json.hpp>

#include <iostream>
#include <unistd.h>

namespace imprint::courier {

namespace {

using Json = nlohmann::ordered_json;
using server::utc;

} // namespace

bool confirmed(const std::string& link, const std::string& chip)
{
    return server::confirmed("The device on " + link + " has the chip\n  " + chip + "\nIntroduce it?");
}

void print_introduced(const std::string& chip, const Introduction& introduction, bool json)
{
    if (json) {
        const Json document{
            {"chip", chip}, {"station", introduction.station_address}, {"expires", utc(introduction.expires)}};
        std::cout << document.dump(2) << std::endl;
        return;
    }
    std::cout << "Chip " << chip << " is introduced, and its device has begun to personalize itself at "
              << (introduction.station_address.empty() ? "the station that it is configured for"
                                                       : introduction.station_address)
              << ". The courier is not needed any more." << std::endl;
}

void print_number(const std::string& chip, const Introduction& introduction, bool json, bool qr)
{
    if (json) {
        const Json document{{"number", as_text(introduction.text.view())},
                            {"chip", chip},
                            {"station", introduction.station_address},
                            {"expires", utc(introduction.expires)}};
        std::cout << document.dump(2) << std::endl;
        return;
    }
    std::cout << as_text(introduction.text.view()) << '\n';
    if (qr)
        std::cout << as_text(server::qr_text(as_text(introduction.text.view()), isatty(STDOUT_FILENO) != 0).view());
    if (!std::cout.flush())
        throw Error(Reason::storage_failed, "standard output took no number: ask for another one");
    std::cerr << "Good once, until " << utc(introduction.expires) << (chip.empty() ? "" : ", for chip " + chip)
              << ".\n";
    if (!introduction.station_address.empty())
        std::cerr << "At the device: imprintctl personalize " << introduction.station_address << "\n";
}

} // namespace imprint::courier
