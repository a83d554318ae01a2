// SPDX-License-Identifier: Apache-2.0
// What the command line says, and the operators' commands in it; main.cpp has the server's.
#pragma once

#include "provisioning/station/commands.h"
#include "provisioning/station/server.h"

#include <functional>

namespace CLI {
class App;
}

namespace imprint::station {

struct Options {
    std::filesystem::path state = "/var/lib/imprint-station";
    // serve
    ServerSettings server;
    CredentialSources credentials{.directory = "/etc/imprint-station"};
    std::string passphrase;
    std::string master_key;
    std::filesystem::path vendor_ca;
    std::filesystem::path profile;
    PoolOptions pool;
    unsigned module_days = 3650;
    unsigned handshake_seconds = 10;
    unsigned message_seconds = 60;
    // operators' commands
    std::filesystem::path file;
    std::string chip;
    RecordName record;
    std::string note;
    std::string name;
    std::vector<std::string> permissions;
    RangeOptions range;
    std::string format;
    ReplaceOptions replace;
    CentralSource central;
    std::string digest;
    std::filesystem::path output = "-";
    Terms terms;
    std::string identity;
    std::string selector;
    std::uint64_t valid_seconds = 86400;
    unsigned count = 1;
    TanOutput tan_output;
    unsigned wait_seconds = 0;
    std::string main_station;
    std::filesystem::path move_to; // audit
    int older_than = 365;
    bool dry_run = false;
    bool yes = false;
    bool json = false;
};

// What the chosen subcommand does.
using Action = std::function<int()>;

// Of the directory and the URIs that were given. Throws Error(not_configured | the chains' reasons).
Credentials credentials(Options& options);
// Declares the options for it.
void add_credentials(CLI::App& command, Options& options);

// Works on the database.
using Work = std::function<int(Store&)>;

// Declares the commands that work on the database; the chosen one becomes the action.
class Commands {
public:
    Commands(Options& options, Action& action)
        : o_(options)
        , action_(action)
    {
    }

    void add_endorsement_keys(CLI::App& app);
    void add_identities(CLI::App& app);
    void add_backup(CLI::App& app);
    void add_chips(CLI::App& app);
    void add_records(CLI::App& app);
    void add_central(CLI::App& app);
    void add_operators(CLI::App& app);
    void add_tans(CLI::App& app);
    void add_pool(CLI::App& app);
    void add_logs(CLI::App& app);
    void add_sync(CLI::App& app);

private:
    CLI::App* add(CLI::App& parent, const char* name, const char* text, Work work);
    CLI::App* add_listing(CLI::App& parent, const char* name, const char* text, Work work);
    CLI::App* add_import(CLI::App& parent, const char* text, Work work);
    CLI::App* add_for_chip(CLI::App& parent, const char* name, const char* text, Work work);
    void add_json(CLI::App* command);

    Options& o_;
    Action& action_;
};

} // namespace imprint::station
