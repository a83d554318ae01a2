// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/commands.h"

#include "daemon/structures/name.h"
#include "provisioning/station/commands_format.h"

#include <nlohmann/json.hpp>

namespace imprint::station {

namespace {

void check_identifier(const std::string& chip)
{
    if (!structures::is_chip_identifier(chip))
        throw Error(Reason::invalid_argument, "a chip identifier is 64 hexadecimal digits in lower case");
}

nlohmann::ordered_json describe(Store& store, const Chip& chip)
{
    const auto note = store.quarantined(chip.id);
    return {{"chip", chip.id},
            {"identity-kind", chip.identity.kind},
            {"identity", chip.identity.value},
            {"first-granted", utc(chip.first_granted)},
            {"newest-sequence", chip.newest_sequence},
            {"readmitted", chip.readmitted},
            {"quarantined", note.has_value()},
            {"note", note.value_or("")},
            {"replaced-by", chip.replaced_by}};
}

std::string flags(const nlohmann::ordered_json& chip)
{
    return std::string(chip["readmitted"] ? " readmitted" : "") + (chip["quarantined"] ? " quarantined" : "") +
        (chip["replaced-by"] == "" ? "" : " replaced");
}

} // namespace

int list_chips(Store& store, bool json)
{
    auto all = nlohmann::ordered_json::array();
    for (const auto& chip : store.chips())
        all.push_back(describe(store, chip));
    if (json)
        std::cout << all.dump(2) << '\n';
    else
        for (const auto& chip : all)
            std::cout << chip["chip"].get<std::string>() << ' ' << chip["identity"].get<std::string>() << " sequence "
                      << chip["newest-sequence"] << flags(chip) << '\n';
    return exit_ok;
}

int show_chip(Store& store, const std::string& id, bool json)
{
    check_identifier(id);
    const auto chip = store.chip(id);
    if (!chip)
        throw Error(Reason::unknown_chip, "chip " + id);
    const auto described = describe(store, *chip);
    if (json) {
        std::cout << described.dump(2) << '\n';
        return exit_ok;
    }
    for (const auto& [key, value] : described.items())
        std::cout << key << ": " << (value.is_string() ? value.get<std::string>() : value.dump()) << '\n';
    return exit_ok;
}

int readmit_chip(Store& store, const std::string& chip)
{
    check_identifier(chip);
    auto transaction = store.begin();
    if (!store.set_readmitted(chip, true))
        throw Error(Reason::unknown_chip, "chip " + chip);
    audit(store, "readmitted", chip, "it may come once without its identity certificate");
    transaction.commit();
    return exit_ok;
}

int quarantine_chip(Store& store, const std::string& chip, const std::string& note)
{
    check_identifier(chip);
    auto transaction = store.begin();
    store.quarantine(chip, note);
    audit(store, "quarantined", chip, note);
    transaction.commit();
    return exit_ok;
}

int release_chip(Store& store, const std::string& chip)
{
    check_identifier(chip);
    auto transaction = store.begin();
    if (!store.release(chip))
        throw Error(Reason::invalid_argument, "the chip is not quarantined");
    audit(store, "released", chip, "");
    transaction.commit();
    return exit_ok;
}

} // namespace imprint::station
