// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/commands.h"

#include "daemon/base/file.h"
#include "daemon/pki/cross.h"
#include "daemon/pki/public_key.h"
#include "daemon/structures/name.h"
#include "provisioning/server/log.h"
#include "provisioning/station/central.h"
#include "provisioning/station/commands_format.h"

#include <nlohmann/json.hpp>

#include <unistd.h>

namespace imprint::station {

namespace {

constexpr std::size_t max_pem = 64 * 1024;
constexpr mode_t readable = 0644;

std::string digest(BytesView spki) { return hex(structures::digest(TPM2_ALG_SHA256, spki)); }

pki::Certificate read_certificate(const std::filesystem::path& file)
{
    const auto pem = read_file(file, max_pem);
    const auto certificates = pki::certificates_from_pem(pem.value_or(Bytes{}));
    if (certificates.empty())
        throw Error(Reason::invalid_argument, file.string() + " holds no certificate");
    return certificates.front();
}

CentralEntry read_entry(const CentralSource& source)
{
    CentralEntry entry{.name = source.name.empty() ? "central" : source.name};
    if (source.certificate.empty()) {
        entry.spki = pki::read_public_key(source.public_key);
    } else {
        const auto certificate = read_certificate(source.certificate);
        entry.spki = certificate.spki();
        if (source.name.empty())
            entry.name = certificate.common_name();
    }
    if (!source.cross_certificate.empty())
        entry.cross_certificate = read_certificate(source.cross_certificate).der();
    return entry;
}

// "until 2026-01-02T03:04:05Z for line-1"
std::string cross_text(const CentralEntry& entry)
{
    if (entry.cross_certificate.empty())
        return "no cross-certificate";
    const auto cross = pki::Certificate::from_der(entry.cross_certificate).or_throw();
    return "cross-certificate until " + utc(cross.not_after()) + " for " + cross.common_name();
}

nlohmann::ordered_json document(const CentralEntry& entry)
{
    nlohmann::ordered_json out{{"sha256", digest(entry.spki)}, {"name", server::printable(entry.name)}};
    if (entry.cross_certificate.empty())
        return out;
    const auto cross = pki::Certificate::from_der(entry.cross_certificate).or_throw();
    out["cross-certificate"] = {{"station", server::printable(cross.common_name())},
                                {"station-key-sha256", digest(cross.spki())},
                                {"not-after", utc(cross.not_after())}};
    return out;
}

} // namespace

int add_central(Store& store, const CentralSource& source)
{
    const auto entry = read_entry(source);
    auto transaction = store.begin();
    if (const auto verdict = store.set_central_key(entry); !verdict)
        throw Error(verdict.refusal());
    const auto number = store.raise_central_number(now());
    audit(store, "central-added", "", entry.name + " " + digest(entry.spki) + " number " + std::to_string(number));
    transaction.commit();
    std::cout << digest(entry.spki) << ' ' << server::printable(entry.name) << ", "
              << server::printable(cross_text(entry)) << '\n';
    return exit_ok;
}

int list_central(Store& store, bool json)
{
    auto all = nlohmann::ordered_json::array();
    for (const auto& entry : store.central_keys())
        if (json)
            all.push_back(document(entry));
        else
            std::cout << digest(entry.spki) << ' ' << server::printable(entry.name) << ", "
                      << server::printable(cross_text(entry)) << '\n';
    if (json)
        std::cout << nlohmann::ordered_json{{"number", store.central_number()}, {"keys", all}}.dump(2) << '\n';
    return exit_ok;
}

int remove_central(Store& store, const std::string& wanted)
{
    auto transaction = store.begin();
    for (const auto& entry : store.central_keys())
        if (digest(entry.spki) == wanted && store.remove_central_key(entry.spki)) {
            const auto number = store.raise_central_number(now());
            audit(store, "central-removed", "", entry.name + " " + wanted + " number " + std::to_string(number));
            transaction.commit();
            return exit_ok;
        }
    throw Error(Reason::invalid_argument, "no key of the central system has the SHA-256 " + wanted);
}

int export_central(Store& store, const Credentials& credentials, const std::filesystem::path& file)
{
    const bool to_stdout = file == "-";
    if (to_stdout && isatty(STDOUT_FILENO) != 0)
        throw Error(Reason::invalid_argument, "the list is binary: give --output, or send stdout elsewhere");
    auto transaction = store.begin();
    const auto number = store.raise_central_number(now());
    const auto set = central_set(credentials, store, now());
    if (set.empty())
        throw Error(Reason::not_configured, "there is no key of the central system; central add enters one");
    audit(store, "central-exported", "", "number " + std::to_string(number));
    transaction.commit();
    if (to_stdout)
        std::cout << as_text(set) << std::flush;
    else
        write_file(file, set, readable);
    return exit_ok;
}

} // namespace imprint::station
