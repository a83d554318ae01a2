// SPDX-License-Identifier: Apache-2.0
#include "backup/archive/commands.h"

#include "backup/archive/http_server.h"
#include "backup/archive/https_source.h"
#include "backup/archive/mirror.h"
#include "daemon/base/file.h"
#include "daemon/structures/name.h"
#include "provisioning/server/log.h"
#include "provisioning/server/output.h"
#include "provisioning/server/pem.h"

#include <nlohmann/json.hpp>

#include <malloc.h>
#include <unistd.h>

#include <iostream>

namespace imprint::archive {

namespace {

pki::Trust load_trust(const std::filesystem::path& path, const std::vector<std::filesystem::path>& crls)
{
    pki::Trust trust = pki::trust_from_pem(server::read_pem(path));
    for (const auto& crl : crls)
        trust.crls.push_back(pki::Crl::from_pem(server::read_pem(crl)).or_throw());
    return trust;
}

// Stations would refuse it. An expired one serves on: reading is more important than writing.
void check_role(const pki::Certificates& chain, const pki::Trust& trust, const std::filesystem::path& path)
{
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    const auto verified = pki::verify(chain.front(), chain, trust, pki::Role::archive, now);
    if (verified)
        return;
    const Refusal& refusal = verified.refusal();
    if (refusal.reason != Reason::certificate_expired && refusal.reason != Reason::certificate_not_yet_valid)
        throw Error(refusal.reason, path.string() + ": " + refusal.detail);
    server::log(server::Priority::warning, "stations will not accept the archive's certificate",
                {{"REASON", std::string(name(refusal.reason))}, {"DETAIL", refusal.detail}});
}

Signer load_signer(const ServeOptions& options, const pki::Trust& trust)
{
    Signer signer{server::read_chain(options.certificate),
                  pki::load_key(options.key, pki::read_passphrase(options.passphrase))};
    check_role(signer.chain, trust, options.certificate);
    return signer;
}

// The memory of one answer is for the next one. Given back to the system, it would have to be cleared for each: for
// large records that costs as much as everything else.
void keep_memory_of_records()
{
    mallopt(M_MMAP_THRESHOLD, 4 * package::max_record);
    mallopt(M_TRIM_THRESHOLD, 64 * package::max_record);
}

nlohmann::ordered_json describe(const Entry& entry)
{
    return {{"chip", entry.owner.chip_identifier},
            {"sequence", entry.sequence},
            {"time", server::utc(entry.time)},
            {"size", entry.record.size()},
            {"sha256", hex(package::record_digest(entry.record))},
            {"identity-kind", entry.owner.identity.kind},
            {"identity", entry.owner.identity.value}};
}

// On a terminal only.
void show_progress(const Summary& summary)
{
    if (isatty(STDERR_FILENO) == 1)
        std::cerr << '\r' << summary.records << " records, " << summary.faults.size() << " faulty" << std::flush;
}

// With what it reads from.
struct Opened {
    std::unique_ptr<Store> store;
    std::unique_ptr<Source> source;
};

Opened open_source(const CheckOptions& options, const pki::Trust& trust)
{
    if (options.from.empty()) {
        auto store = open_store(options.database, Opening::existing);
        auto source = std::make_unique<DatabaseSource>(*store);
        return {std::move(store), std::move(source)};
    }
    tls::ClientIdentity identity{server::read_chain(options.certificate, "imprint-authority mirror"),
                                 pki::load_key(options.key, pki::read_passphrase(options.passphrase))};
    return {nullptr, std::make_unique<HttpsSource>(options.from, trust, std::move(identity))};
}

bool is_database(const std::string& target)
{
    return target.starts_with("sqlite:") || target.find("://") != std::string::npos;
}

void print(const Summary& summary, const std::string& copied)
{
    if (isatty(STDERR_FILENO) == 1)
        std::cerr << "\r\033[K";
    for (const auto& fault : summary.faults)
        std::cout << fault.chip << ' ' << (fault.sequence ? std::to_string(*fault.sequence) : "replacement") << ": "
                  << name(fault.refusal.reason) << ": " << fault.refusal.detail << '\n';
    std::cout << summary.records << " records, " << summary.replacements << " replacements, ";
    if (!copied.empty())
        std::cout << summary.copied << ' ' << copied << ", ";
    std::cout << summary.faults.size() << " faulty\n";
}

// `copied` says what the number is, if there is one.
int tell(const Summary& summary, const CheckOptions& options, const std::string& copied)
{
    if (options.json) {
        auto faulty = nlohmann::ordered_json::array();
        for (const auto& fault : summary.faults)
            faulty.push_back({{"chip", fault.chip},
                              {"sequence", fault.sequence.value_or(0)},
                              {"reason", name(fault.refusal.reason)},
                              {"detail", fault.refusal.detail}});
        nlohmann::ordered_json all{{"records", summary.records}, {"replacements", summary.replacements}};
        if (!copied.empty())
            all["copied"] = summary.copied;
        all["faulty"] = std::move(faulty);
        std::cout << all.dump(2) << '\n';
    } else {
        print(summary, copied);
    }
    return summary.faults.empty() ? 0 : exit_faulty;
}

} // namespace

int serve(const ServeOptions& options)
{
    keep_memory_of_records();
    auto trust = std::make_shared<const pki::Trust>(load_trust(options.trust, options.crls));
    Signer signer = load_signer(options, *trust);
    const pki::Certificates own = signer.chain;
    server::Service service;
    HttpServer server(service,
                      {options.database,
                       options.listen,
                       options.listen_tls,
                       options.max_connections,
                       options.max_per_client,
                       std::chrono::seconds(options.deadline),
                       {options.rate_per_client, options.rate}},
                      std::move(trust), std::move(signer));
    service.on_reload([&] {
        auto fresh = std::make_shared<const pki::Trust>(load_trust(options.trust, options.crls));
        check_role(own, *fresh, options.certificate);
        server.use(std::move(fresh));
    });
    service.run();
    return 0;
}

int verify(const CheckOptions& options)
{
    const pki::Trust trust = load_trust(options.trust, {});
    const Work work{trust, options.jobs, show_progress};
    if (options.target.empty())
        return tell(verify(*open_store(options.database, Opening::existing), work), options, "");
    if (!std::filesystem::is_directory(options.target))
        throw Error(Reason::invalid_argument, options.target + " is no directory; name a database with --database");
    return tell(verify(StaticMirror(options.target), work), options, "");
}

int mirror(const CheckOptions& options)
{
    const pki::Trust trust = load_trust(options.trust, {});
    const Work work{trust, options.jobs, show_progress};
    const Opened opened = open_source(options, trust);
    Source& source = *opened.source;
    const std::string what = options.dry_run ? "to copy" : "copied";
    if (is_database(options.target)) {
        const auto target = open_store(options.target);
        return tell(mirror(source, *target, work, options.dry_run), options, what);
    }
    if (std::filesystem::exists(options.target) && !std::filesystem::is_directory(options.target))
        throw Error(Reason::invalid_argument,
                    options.target + " is no directory; for a database write sqlite:" + options.target);
    return tell(mirror(source, StaticMirror(options.target), work, options.dry_run), options, what);
}

int show(const std::string& database, const std::string& chip_identifier, bool json)
{
    if (!structures::is_chip_identifier(chip_identifier))
        throw Error(Reason::invalid_argument, "a chip identifier is 64 hexadecimal digits in lower case");
    const auto store = open_store(database, Opening::existing);
    const auto by = store->replacement_of(chip_identifier), of = store->replacement_by(chip_identifier);
    auto records = nlohmann::ordered_json::array();
    store->visit(chip_identifier, [&](const Entry& entry) {
        records.push_back(describe(entry));
        records.back()["replaced-by"] = by ? by->present : "";
        records.back()["replaces"] = of ? of->former : "";
        return true;
    });
    if (records.empty() && !by && !of)
        throw Error(Reason::record_not_found, "no record of chip " + chip_identifier);
    if (json) {
        std::cout << records.dump(2) << '\n';
        return 0;
    }
    for (const auto& one : records)
        std::cout << one["sequence"] << ' ' << one["time"].get<std::string>() << ' ' << one["size"] << " bytes "
                  << one["sha256"].get<std::string>() << ' ' << one["identity-kind"].get<std::string>() << ' '
                  << one["identity"].get<std::string>() << '\n';
    if (of)
        std::cout << server::utc(of->time) << " took the place of chip " << of->former << '\n';
    if (by)
        std::cout << server::utc(by->time) << " was replaced by chip " << by->present << '\n';
    return 0;
}

} // namespace imprint::archive
