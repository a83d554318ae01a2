// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/commands.h"

#include "daemon/base/file.h"
#include "provisioning/server/log.h"
#include "provisioning/station/commands_format.h"
#include "provisioning/station/operators.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace imprint::station {

namespace {

constexpr std::size_t max_certificate = 64 * 1024;

pki::Certificate read_certificate(const std::filesystem::path& path)
{
    const auto pem = read_file(path, max_certificate);
    if (!pem)
        throw Error(Reason::invalid_argument, path.string() + " does not exist");
    const auto chain = pki::certificates_from_pem(*pem);
    if (chain.empty())
        throw Error(Reason::invalid_argument, path.string() + " holds no certificate");
    // The chain is checked at each handshake; this catches the wrong file.
    if (!chain.front().has_extended_key_usage(std::string(pki::role_oid(pki::Role::station_operator))))
        throw Error(Reason::wrong_role, path.string() + " is no operator's certificate");
    return chain.front();
}

std::string permissions_of(const Operator& entry)
{
    std::string all;
    for (const auto permission : {Permission::introduce, Permission::issue_tan})
        if (may(entry, permission))
            all += (all.empty() ? "" : ",") + std::string(name(permission));
    return all;
}

std::string text_of(const Operator& entry) { return "operator " + entry.name + " " + entry.fingerprint; }

Operator find(Store& store, const std::string& name_or_fingerprint)
{
    auto all = store.operators();
    std::erase_if(all, [&](const Operator& entry) {
        return entry.fingerprint != name_or_fingerprint && entry.name != name_or_fingerprint;
    });
    if (all.empty())
        throw Error(Reason::operator_unknown, name_or_fingerprint);
    std::erase_if(all, [](const Operator& entry) { return entry.revoked.has_value(); });
    if (all.empty())
        throw Error(Reason::operator_revoked, name_or_fingerprint + " is revoked already");
    if (all.size() > 1)
        throw Error(Reason::invalid_argument,
                    "several operators have this name; give the fingerprint that operator list shows");
    return all.front();
}

nlohmann::ordered_json describe(const Operator& entry)
{
    return {{"name", server::printable(entry.name)},
            {"fingerprint", entry.fingerprint},
            {"may-introduce", entry.may_introduce},
            {"may-issue-tan", entry.may_issue_tan},
            {"added", utc(entry.added)},
            {"revoked", entry.revoked ? utc(*entry.revoked) : ""}};
}

} // namespace

int add_operator(Store& store, const std::filesystem::path& path, const std::vector<std::string>& permissions)
{
    const auto certificate = read_certificate(path);
    Operator entry{
        .fingerprint = fingerprint_of(certificate), .name = certificate.common_name(), .added = now(), .revoked = {}};
    for (const auto permission : {Permission::introduce, Permission::issue_tan})
        if (std::ranges::find(permissions, name(permission)) != permissions.end())
            allow(entry, permission);
    auto transaction = store.begin();
    if (const auto known = store.find_operator(entry.fingerprint); known && known->revoked)
        throw Error(Reason::operator_revoked, text_of(entry) + ": this certificate was revoked for good");
    store.put_operator(entry);
    audit(store, "operator-added", "", text_of(entry) + " may " + permissions_of(entry));
    transaction.commit();
    return exit_ok;
}

int revoke_operator(Store& store, const std::string& name_or_fingerprint)
{
    auto transaction = store.begin();
    const auto entry = find(store, name_or_fingerprint);
    store.revoke_operator(entry.fingerprint, now());
    audit(store, "operator-revoked", "", text_of(entry));
    transaction.commit();
    return exit_ok;
}

int list_operators(Store& store, bool json)
{
    auto all = nlohmann::ordered_json::array();
    for (const auto& entry : store.operators())
        if (json)
            all.push_back(describe(entry));
        else
            std::cout << entry.fingerprint << ' ' << server::printable(entry.name) << " may " << permissions_of(entry)
                      << (entry.revoked ? " revoked " + utc(*entry.revoked) : "") << '\n';
    if (json)
        std::cout << all.dump(2) << '\n';
    return exit_ok;
}

} // namespace imprint::station
