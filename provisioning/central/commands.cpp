// SPDX-License-Identifier: Apache-2.0
#include "provisioning/central/commands.h"

#include "daemon/structures/name.h"
#include "provisioning/central/server.h"
#include "provisioning/server/log.h"
#include "provisioning/server/output.h"
#include "provisioning/server/owner.h"
#include "provisioning/server/symmetric_key.h"

#include <nlohmann/json.hpp>

#include <iostream>

namespace imprint::central {

using server::utc;

namespace {

nlohmann::ordered_json describe(const StoredKey& key)
{
    return {{"key", hex(key.id)},
            {"chip", key.chip},
            {"identity-kind", key.identity.kind},
            {"identity", key.identity.value},
            {"epoch", key.epoch},
            {"made", utc(key.made)},
            {"rotate-after", utc(key.rotate_after)},
            {"not-after", utc(key.not_after)},
            {"certificate", key.module.serial}};
}

} // namespace

int init(const std::filesystem::path& state)
{
    std::filesystem::create_directories(state);
    std::filesystem::permissions(state, std::filesystem::perms::owner_all);
    const auto key = state / "storage.key";
    server::give_to_owner(key);
    if (!std::filesystem::exists(key)) {
        server::make_symmetric_key(key, "the stored transaction keys hang on it");
        std::cout << "made the storage key " << key.string() << '\n';
    }
    const Store store(database_path(state));
    std::cout << "the central system's state is in " << state.string() << '\n';
    return exit_ok;
}

Secret load_storage_key(const std::string& source)
{
    return server::load_symmetric_key(source, "storage key of 32 bytes; imprint-central init makes one");
}

int list_keys(Store& store, bool json)
{
    auto all = nlohmann::ordered_json::array();
    for (const auto& key : store.keys())
        all.push_back(describe(key));
    if (json)
        std::cout << all.dump(2) << '\n';
    else
        for (const auto& key : all)
            std::cout << key["key"].get<std::string>() << ' ' << key["chip"].get<std::string>() << ' '
                      << server::printable(key["identity"].get<std::string>()) << " epoch " << key["epoch"] << " until "
                      << key["not-after"].get<std::string>() << '\n';
    return exit_ok;
}

int revoke_keys(Store& store, const std::string& chip)
{
    if (!structures::is_chip_identifier(chip))
        throw Error(Reason::invalid_argument, "a chip identifier is 64 hexadecimal digits in lower case");
    std::cout << store.remove_keys(chip) << " keys revoked\n";
    return exit_ok;
}

} // namespace imprint::central
