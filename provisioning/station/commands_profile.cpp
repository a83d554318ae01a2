// SPDX-License-Identifier: Apache-2.0
#include "backup/package/data_package.h"
#include "provisioning/station/commands.h"

#include <iostream>
#include <nlohmann/json.hpp>

namespace imprint::station {

namespace {

using Json = nlohmann::ordered_json;

void describe(Json& out, const DerivedKey& key)
{
    out["source"] = "derived";
    out["derived-as"] = key.derived_as;
    out["key-version"] = key.version;
}

void describe(Json& out, const PairKey& pair)
{
    const char* other = is_rsa(pair.kind) ? "decrypt" : "agree";
    out["source"] = pair.from_pool ? "pool" : "assembly";
    out["use"] = pair.use == structures::KeyUse::sign ? "sign" : other;
    out["certificate"] = pair.certificate;
}

void describe(Json& out, const OpaqueSecret& opaque)
{
    if (opaque.content)
        out["bytes"] = opaque.content->size();
    else
        out["directory"] = opaque.directory.string();
}

Json describe(const ProfileEntry& entry)
{
    Json out{{"label", entry.label}, {"type", type_of(entry)}};
    std::visit([&](const auto& what) { describe(out, what); }, entry.what);
    if (!std::holds_alternative<OpaqueSecret>(entry.what))
        out["key-file"] = entry.key_file;
    return out;
}

std::string sentence(const ProfileEntry&, const DerivedKey& key)
{
    return "for HMAC, derived from the master key as " + key.derived_as + " version " + std::to_string(key.version);
}

std::string sentence(const ProfileEntry& entry, const PairKey& pair)
{
    const auto json = describe(entry);
    return "to " + json["use"].get<std::string>() + ", " +
        (pair.from_pool ? "taken from the pool" : "made for the device") +
        (pair.certificate ? ", with a certificate" : "");
}

std::string sentence(const ProfileEntry&, const OpaqueSecret& opaque)
{
    return opaque.content ? std::to_string(opaque.content->size()) + " bytes, the same for all devices"
                          : "each device's own, from " + opaque.directory.string();
}

void show(const PackageProfile& profile, std::size_t size)
{
    for (const auto& entry : profile.entries)
        std::cout << entry.label << '\t' << type_of(entry) << '\t'
                  << std::visit([&](const auto& what) { return sentence(entry, what); }, entry.what)
                  << (entry.key_file ? ", may leave as a key file" : "") << '\n';
    std::cout << "a package has at most " << size << " bytes of " << package::max_data_package << '\n';
}

} // namespace

int check_profile(const std::filesystem::path& file, bool json)
{
    const auto profile = read_profile(file);
    const auto size = largest_package(profile);
    if (!json) {
        show(profile, size);
        return exit_ok;
    }
    Json entries = Json::array();
    for (const auto& entry : profile.entries)
        entries.push_back(describe(entry));
    std::cout << Json{{"entries", std::move(entries)}, {"largest-package", size}}.dump(2) << '\n';
    return exit_ok;
}

} // namespace imprint::station
