// SPDX-License-Identifier: Apache-2.0
// The operators' commands. Each returns the program's exit code; all work while the server runs.
#pragma once

#include "provisioning/station/introductions.h"
#include "provisioning/station/station.h"

#include <filesystem>
#include <string>

namespace imprint::station {

// Exit codes that scripts can use.
inline constexpr int exit_ok = 0;
inline constexpr int exit_usage = 2; // of the command line or the configuration
inline constexpr int exit_failed = 1; // could not do
inline constexpr int exit_waiting = 3; // outbox, sync: not everything is delivered
inline constexpr int exit_conflict = 4; // outbox, sync, conflicts: an operator has to look

// The state directory with database and master key; what is there already stays as it is.
int init(const std::filesystem::path& state);

// A copy of the database, to be put back after the loss of the disk. An existing file is left alone.
int back_up(Store& store, const std::filesystem::path& file);

// What a device will get by this profile; nothing is changed.
int check_profile(const std::filesystem::path& file, bool json);

// Nothing is applied if one line is wrong, or with `dry_run`.
int import_allow_list(Store& store, const std::filesystem::path& file, bool dry_run);
// `format`: "csv" or "jsonl"; empty: by the file's ending, CSV if that says nothing.
int import_identities(Store& store, const std::filesystem::path& file, const std::string& format, bool dry_run);
int list_allow_list(Store& store, bool json);

struct RangeOptions {
    std::string kind{pki::serial_kind};
    std::string prefix; // of serial numbers
    unsigned width = 0; // the same
    std::string first, last; // numbers, of serial numbers; whole identities of the other kinds
};
int add_range(Store& store, const RangeOptions& options);
int close_ranges(Store& store, bool yes); // for good; asks, unless `yes`
int list_identities(Store& store, bool json); // what is left, and who is who
int list_requests(Store& store, bool json); // what devices asked for
int confirm_request(Store& store, const std::string& chip);
int refuse_request(Store& store, const std::string& chip);

int list_chips(Store& store, bool json);
int show_chip(Store& store, const std::string& chip, bool json);
int readmit_chip(Store& store, const std::string& chip);
int quarantine_chip(Store& store, const std::string& chip, const std::string& note);
int release_chip(Store& store, const std::string& chip);

struct ReplaceOptions {
    std::string former, present, reason;
};
// For good: the identity goes on with the new chip, what the former one was granted is revoked.
int replace_chip(Store& store, const Credentials& credentials, const std::filesystem::path& state,
                 const ReplaceOptions& options);

// A key of the central system, from a PEM public key or request, or from its certificate.
struct CentralSource {
    std::filesystem::path public_key, certificate; // one of them
    std::filesystem::path cross_certificate; // may be empty
    std::string name; // empty: the certificate's, or "central"
};
int add_central(Store& store, const CentralSource& source);
int list_central(Store& store, bool json);
int remove_central(Store& store, const std::string& digest);
// The signed set under the next number, to `file`, or to stdout if that is "-".
int export_central(Store& store, const Credentials& credentials, const std::filesystem::path& file);

// Registers the operator of this certificate with exactly these permissions ("introduce", "issue-tan").
int add_operator(Store& store, const std::filesystem::path& certificate, const std::vector<std::string>& permissions);
// For good. By the name in the certificate, or by its fingerprint where the name is not unique.
int revoke_operator(Store& store, const std::string& name_or_fingerprint);
int list_operators(Store& store, bool json);

struct TanOutput {
    bool qr = false; // on the terminal
    std::filesystem::path svg; // the QR code of the only number; empty: none
    bool json = false;
};
int issue_tans(Store& store, const Terms& terms, unsigned count, const TanOutput& output);
int list_tans(Store& store, bool json);
int revoke_tan(Store& store, const std::string& selector);

// A record: of a chip, with a sequence; without one the newest.
struct RecordName {
    std::string chip;
    std::optional<std::uint64_t> sequence;
};
int show_record(Store& store, const RecordName& name, bool json);
// Verifies once more that the TPM had loaded every key from it.
int prove_record(Store& store, const RecordName& name, const std::filesystem::path& trust_bundle, bool json);

// Pairs made in advance.
struct PoolOptions {
    std::filesystem::path state;
    std::string key; // file or credential:NAME; empty: pool.key in the state, made if the pool is empty
    std::string kind; // drain: empty for all
    std::size_t count = 0;
    unsigned jobs = 0; // 0: one for each processor
};
int fill_pool(Store& store, const PoolOptions& options); // exit_failed if it was interrupted
int show_pool(Store& store, std::size_t low_water, bool json);
int drain_pool(Store& store, const PoolOptions& options, bool yes); // asks, unless `yes`

int show_audit(Store& store, bool json);
// Entries older than this go from the database into a new file, but for those that a synchronization needs.
int move_audit(Store& store, const std::filesystem::path& file, std::chrono::days age);
// Waits until everything is delivered or refused for good, at most `wait`.
int show_outbox(Store& store, std::chrono::seconds wait, bool json);

// Brings what was done in the field to the main station, or the outbox to the archive: once, then it ends.
// exit_conflict if something else stands there in the way of anything.
int sync_to_station(Store& store, const Credentials& credentials, const std::filesystem::path& state,
                    const std::string& address, bool dry_run, bool json);
int sync_to_archive(Store& store, const Credentials& credentials, const std::string& url, bool dry_run, bool json);
// What other stations brought and could not be taken.
int show_conflicts(Store& store, bool json);
int show_crl(const std::filesystem::path& state);

} // namespace imprint::station
