// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/commands.h"

#include "provisioning/server/log.h"
#include "provisioning/station/commands_format.h"
#include "provisioning/station/crl.h"
#include "provisioning/station/outbox.h"
#include "provisioning/station/server.h"
#include "provisioning/station/sync_client.h"
#include "provisioning/station/sync_statements.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include <unistd.h>

namespace imprint::station {

namespace asio = boost::asio;

namespace {

std::string_view name_of(protocol::SyncOutcome outcome)
{
    return outcome == protocol::SyncOutcome::conflict ? "conflict" : "refused";
}

void print_json(const SyncTotal& total)
{
    auto troubles = nlohmann::ordered_json::array();
    for (const auto& trouble : total.troubles)
        troubles.push_back({{"outcome", name_of(trouble.outcome)},
                            {"kind", trouble.kind},
                            {"name", trouble.name},
                            {"reason", name(trouble.why.reason)},
                            {"detail", server::printable(trouble.why.detail)}});
    const nlohmann::ordered_json all{{"missing",
                                      {{"records", total.records},
                                       {"introductions", total.introductions},
                                       {"replacements", total.replacements},
                                       {"audit", total.audit}}},
                                     {"taken", total.taken},
                                     {"known", total.known},
                                     {"revoked", total.revoked},
                                     {"troubles", troubles}};
    std::cout << all.dump(2) << '\n';
}

void print(const SyncTotal& total, bool dry_run)
{
    std::cout << total.records << " records, " << total.introductions << " used introductions, " << total.replacements
              << " replacements and " << total.audit << " audit entries "
              << (dry_run ? "would be sent" : "were missing there") << '\n';
    if (dry_run)
        return;
    std::cout << total.taken << " were taken, " << total.known << " were known already, " << total.troubles.size()
              << " were not taken\n";
    if (total.revoked != 0)
        std::cout << total.revoked << " grants were revoked here, as the main station has it\n";
    for (const auto& trouble : total.troubles)
        std::cout << name_of(trouble.outcome) << ": " << trouble.kind << ' ' << server::printable(trouble.name) << ": "
                  << name(trouble.why.reason) << ": " << server::printable(trouble.why.detail) << '\n';
}

int code_of(const SyncTotal& total)
{
    const auto has = [&](protocol::SyncOutcome outcome) {
        return std::ranges::any_of(total.troubles, [&](const auto& trouble) { return trouble.outcome == outcome; });
    };
    if (has(protocol::SyncOutcome::refused))
        return exit_failed;
    return has(protocol::SyncOutcome::conflict) ? exit_conflict : exit_ok;
}

void show_progress(const SyncTotal& total)
{
    std::cerr << '\r' << total.answered() << " of " << total.missing() << "\033[K" << std::flush;
}

} // namespace

int sync_to_station(Store& store, const Credentials& credentials, const std::filesystem::path& state,
                    const std::string& address, bool dry_run, bool json)
{
    const auto list = [&] {
        return message_of(write_crl(crl_path(state), credentials, store, now()), credentials.signing);
    };
    const bool terminal = isatty(STDERR_FILENO) != 0;
    const auto progress = [terminal](const SyncTotal& total) {
        if (terminal)
            show_progress(total);
    };
    const auto total = synchronize(store, credentials, address, dry_run, list, progress);
    if (terminal)
        std::cerr << "\r\033[K" << std::flush;
    json ? print_json(total) : print(total, dry_run);
    return code_of(total);
}

int sync_to_archive(Store& store, const Credentials& credentials, const std::string& url, bool dry_run, bool json)
{
    if (!dry_run) {
        asio::io_context io(1);
        asio::thread_pool worker(1);
        ArchiveClient client(url, credentials);
        Outbox outbox(io.get_executor(), worker, store, client);
        std::exception_ptr fault;
        asio::co_spawn(io, outbox.deliver_once(), [&](const std::exception_ptr& thrown) { fault = thrown; });
        io.run();
        if (fault)
            std::rethrow_exception(fault);
    }
    return show_outbox(store, std::chrono::seconds(0), json);
}

int show_conflicts(Store& store, bool json)
{
    auto all = nlohmann::ordered_json::array();
    const auto conflicts = store.conflicts();
    for (const auto& conflict : conflicts)
        if (json)
            all.push_back({{"time", utc(conflict.time)},
                           {"station", conflict.station},
                           {"kind", conflict.kind},
                           {"name", conflict.name},
                           {"reason", conflict.reason},
                           {"detail", server::printable(conflict.detail)},
                           {"digest", hex(conflict.digest)},
                           {"content", hex(conflict.content)}});
        else
            std::cout << utc(conflict.time) << ' ' << server::printable(conflict.station) << ' ' << conflict.kind << ' '
                      << server::printable(conflict.name) << ' ' << conflict.reason << ' '
                      << server::printable(conflict.detail) << '\n';
    if (json)
        std::cout << all.dump(2) << '\n';
    return conflicts.empty() ? exit_ok : exit_conflict;
}

} // namespace imprint::station
