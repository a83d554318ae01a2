// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/commands.h"

#include "daemon/base/file.h"
#include "daemon/structures/name.h"
#include "provisioning/server/log.h"
#include "provisioning/station/commands_format.h"
#include "provisioning/station/server.h"

#include <nlohmann/json.hpp>

#include <sys/stat.h>

#include <algorithm>
#include <thread>

namespace imprint::station {

namespace {

constexpr std::chrono::milliseconds look_again{50}; // while an operator waits for another process's database
constexpr std::size_t max_crl = 64 * 1024 * 1024;

bool has(const std::vector<OutboxEntry>& entries, Delivery state)
{
    return std::ranges::any_of(entries, [state](const auto& entry) { return entry.state == state; });
}

void print(const std::vector<OutboxEntry>& entries)
{
    for (const auto& entry : entries)
        std::cout << entry.chip << ' ' << entry.sequence << ' ' << name(entry.state) << " attempts " << entry.attempts
                  << ' ' << server::printable(entry.last_error) << '\n';
}

void print_json(const std::vector<OutboxEntry>& entries)
{
    auto all = nlohmann::ordered_json::array();
    for (const auto& entry : entries)
        all.push_back({{"chip", entry.chip},
                       {"sequence", entry.sequence},
                       {"state", name(entry.state)},
                       {"attempts", entry.attempts},
                       // Nothing: as soon as the archive can be reached.
                       {"next-attempt", entry.next_attempt == pki::Time{} ? "" : utc(entry.next_attempt)},
                       {"last-error", server::printable(entry.last_error)}});
    std::cout << all.dump(2) << '\n';
}

void print(const std::vector<AuditEntry>& entries)
{
    for (const auto& entry : entries)
        std::cout << utc(entry.time) << ' ' << entry.event << ' ' << (entry.chip.empty() ? "-" : entry.chip) << ' '
                  << server::printable(entry.peer) << ' ' << (entry.reason.empty() ? "-" : entry.reason) << ' '
                  << server::printable(entry.detail)
                  << (entry.origin.empty() ? "" : " (at " + server::printable(entry.origin) + ")") << '\n';
}

std::string json_of(const std::vector<AuditEntry>& entries)
{
    auto all = nlohmann::ordered_json::array();
    for (const auto& entry : entries)
        all.push_back({{"time", utc(entry.time)},
                       {"event", entry.event},
                       {"chip", entry.chip},
                       {"peer", server::printable(entry.peer)},
                       {"reason", entry.reason},
                       {"detail", server::printable(entry.detail)},
                       {"origin", server::printable(entry.origin)}});
    return all.dump(2);
}

} // namespace

int show_audit(Store& store, bool json)
{
    const auto entries = store.audit_log();
    json ? void(std::cout << json_of(entries) << '\n') : print(entries);
    return exit_ok;
}

// The file is durable before anything leaves the log; a crash in between leaves both.
int move_audit(Store& store, const std::filesystem::path& file, std::chrono::days age)
{
    if (std::filesystem::exists(file))
        throw Error(Reason::invalid_argument, file.string() + " is there already");
    auto transaction = store.begin();
    const auto entries = store.begin_moving_audit(now() - age);
    if (entries.empty()) {
        std::cout << "no entry is that old\n";
        return exit_ok;
    }
    const Bytes content = to_bytes(json_of(entries) + "\n");
    write_file(file, content, S_IRUSR | S_IWUSR);
    store.remove_moved_audit();
    audit(store, "audit-moved", "",
          std::to_string(entries.size()) + " entries to " + file.string() + ", SHA-256 " +
              hex(structures::digest(TPM2_ALG_SHA256, content)));
    transaction.commit();
    std::cout << entries.size() << " entries are in " << file.string() << '\n';
    return exit_ok;
}

int show_outbox(Store& store, std::chrono::seconds wait, bool json)
{
    const auto deadline = std::chrono::steady_clock::now() + wait;
    auto entries = store.outbox(false);
    while (has(entries, Delivery::waiting) && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::sleep_for(look_again);
        entries = store.outbox(false);
    }
    json ? print_json(entries) : print(entries);
    if (has(entries, Delivery::waiting))
        return exit_waiting;
    return has(entries, Delivery::conflict) ? exit_conflict : exit_ok;
}

int show_crl(const std::filesystem::path& state)
{
    const auto crl = read_file(crl_path(state), max_crl);
    if (!crl)
        throw Error(Reason::not_configured, "there is no CRL yet: the server writes it when it starts");
    std::cout << as_text(*crl);
    return exit_ok;
}

} // namespace imprint::station
