// SPDX-License-Identifier: Apache-2.0
// The station's durable state in SQLite. Server and operators' commands use one file at the same time.
// Everything throws SQLite::Exception where the database fails, and Error where noted.
#pragma once

#include "daemon/pki/certificate.h"
#include "daemon/pki/issue.h"
#include "daemon/pki/profile.h"
#include "provisioning/protocol/introduction.h"
#include "provisioning/server/database.h"
#include "provisioning/station/identity_range.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <SQLiteCpp/VariadicBind.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace imprint::station {

// A chip that was granted something at least once. Its identity is its own, until another chip takes its place.
struct Chip {
    std::string id; // chip identifier
    pki::DeviceIdentity identity;
    Bytes identity_certificate; // DER
    pki::Certificates identity_issuers; // of that
    pki::Time first_granted;
    bool readmitted = false; // may come once more without its identity certificate
    std::uint64_t newest_sequence = 0; // of its records; 0: none yet
    std::string replaced_by; // the chip that took its place
};

// A device goes on with another chip: the station's word for it.
struct ReplacementEntry {
    std::string former, present; // chips
    pki::DeviceIdentity identity;
    pki::Time time;
    std::string reason; // the operator's words
    Bytes statement; // backup/package/replacement.h
    std::int64_t place = 0; // behind the records up to this place in the outbox; given by the store
};

struct GrantEntry {
    std::string serial; // of the module certificate, lower-case hex
    std::string chip;
    std::uint64_t sequence = 0;
    Bytes module_certificate; // DER
    pki::Time time;
    std::string origin; // the station that granted it; empty: this one
};

struct RecordEntry {
    std::string chip;
    std::uint64_t sequence = 0;
    Bytes content_digest; // SHA-256 of the record's content
    Bytes record; // both signatures
    pki::Time time;
    std::int64_t place = 0; // in the outbox; given by record_names()
};

// waiting: to be delivered; delivered: with the archive's receipt; conflict: the archive refused it for good.
enum class Delivery { waiting, delivered, conflict };
std::string_view name(Delivery delivery);

struct OutboxEntry {
    std::string chip;
    std::uint64_t sequence = 0; // 0: no record but the replacement by which this chip took another one's place
    Delivery state = Delivery::waiting;
    std::uint32_t attempts = 0;
    pki::Time next_attempt;
    std::string last_error;
};

struct AuditEntry {
    pki::Time time;
    std::string event; // "granted", "refused", ...
    std::string chip; // empty where it is not known
    std::string peer; // address, or "operator"
    std::string reason; // name of the Reason of a refusal, otherwise empty
    std::string detail;
    std::string origin; // the station that brought it here; empty: it happened here
};

// An audit entry with the number that it has in its own database.
struct NumberedAudit {
    std::uint64_t id = 0;
    AuditEntry entry;
};

// Whose audit entries: a station's name, and which of its databases, since a station may be set up anew.
struct Origin {
    std::string station, database;
};

// What another station brought and something else stands in the way of, kept whole for an operator.
struct ConflictEntry {
    pki::Time time; // when it was brought first
    std::string station; // who brought it
    std::string kind; // "record", "introduction", "replacement", "audit"
    std::string name; // which: chip and sequence, selector, chips, number
    std::string reason, detail;
    Bytes digest; // SHA-256 of the content
    Bytes content; // sync.proto: SyncItem
};

struct AllowedKey {
    std::string chip; // the EK's digest, which is the chip identifier
    std::string note;
};

// Whose program may get introductions for devices here; known by the certificate.
struct Operator {
    std::string fingerprint; // SHA-256 of the certificate (DER), lower-case hex
    std::string name; // the certificate's common name
    bool may_introduce = false; // chips, by tickets
    bool may_issue_tan = false;
    pki::Time added;
    std::optional<pki::Time> revoked;
};

struct ListedIdentity {
    std::string chip;
    pki::DeviceIdentity identity;
};

// A range with what is left of it.
struct RangeEntry {
    IdentityRange range;
    std::uint64_t next = 0; // to be looked at; beyond its last: used up
};

// What a device asked to be.
struct RequestEntry {
    std::string chip;
    pki::DeviceIdentity identity;
    pki::Time time;
};
// More of them push the oldest one out.
inline constexpr std::size_t max_requests = 1000;

enum class IntroductionState { open, used, revoked };
std::string_view name(IntroductionState state);

// A transaction number or a ticket that was given out. The number itself is not kept.
struct IntroductionEntry {
    std::string selector;
    protocol::IntroductionKind kind = protocol::IntroductionKind::transaction_number;
    Secret verifier; // whoever has it can use the introduction
    std::string chip; // good for this one only; empty: for any
    std::optional<pki::DeviceIdentity> identity; // the chip that comes with it is, or becomes, this device
    pki::Time issued, expires;
    std::string issuer; // an operator's name, or "operator" for whoever works at the station itself
    std::string reason; // the issuer's words
    IntroductionState state = IntroductionState::open;
    // If it is used:
    std::string used_by; // the chip
    pki::Time used;
    std::uint64_t sequence = 0; // of the personalization
    bool recorded = false; // ... whose record is here
};

// What a station revokes that brought its grants here.
struct RevocationList {
    std::string station;
    std::uint64_t number = 0;
    Bytes pem; // the list, its signer and the signer's issuers
};

// A key of the central system that devices are to know it by.
struct CentralEntry {
    Bytes spki; // DER
    std::string name;
    Bytes cross_certificate; // DER; empty where the central system has not certified this station
};

// A pair that was made in advance (pool.h).
struct PooledPair {
    std::string id; // random
    std::string kind; // "p256" ...
    Bytes sealed;
};

struct PoolCount {
    std::string kind;
    std::size_t free = 0, taken = 0;
};

// A record that is with the archive, while pairs that it is about are still here.
struct DeliveredPairs {
    std::int64_t place = 0;
    std::string chip;
    std::uint64_t sequence = 0;
    Bytes receipt;
};

class Store {
public:
    // Throws Error(storage_failed).
    explicit Store(const std::filesystem::path& path);

    // All changes belong into a transaction; it is durable when its commit() returns, undone without one.
    SQLite::Transaction begin() { return SQLite::Transaction(database_, SQLite::TransactionBehavior::IMMEDIATE); }

    // --- chips (store_chips.cpp)
    std::optional<Chip> chip(const std::string& id);
    std::vector<Chip> chips();
    // Whose identity key this is.
    std::optional<std::string> chip_of_identity_key(BytesView spki);
    std::optional<std::string> chip_of_identity(const pki::DeviceIdentity& identity); // the present one
    // Refusal(identity_taken | chip_already_known) if identity or identity key belong to another chip, or the identity
    // is to go on with another one.
    Verdict add_chip(const Chip& chip, BytesView identity_spki);
    // Another certificate for the identity that the chip has.
    void set_identity_certificate(const Chip& chip);
    bool set_readmitted(const std::string& id, bool readmitted); // false: no such chip
    void quarantine(const std::string& id, const std::string& note); // also a chip that was never seen
    bool release(const std::string& id); // false: it was not quarantined
    std::optional<std::string> quarantined(const std::string& id); // the note

    // --- what may come, and who it will be (store_lists.cpp)
    bool allowed(const std::string& chip);
    bool allow(const AllowedKey& key); // false: it was there already
    std::vector<AllowedKey> allow_list();
    // The identity for a new chip: from the operator's list, else the next free one of the ranges.
    // Refusal(identity_taken | no_identity_left).
    Result<pki::DeviceIdentity> assign_identity(const std::string& chip);
    // The identity that an introduction promised to a new chip. Refusal(transaction_number_foreign): it is another
    // chip's, or the list has another one for this chip.
    Result<pki::DeviceIdentity> assign_promised(const std::string& chip, const pki::DeviceIdentity& promised);
    // False: it was there already. Refusal(identity_taken) if chip or identity stand there otherwise.
    Result<bool> list_identity(const ListedIdentity& listed);
    std::vector<ListedIdentity> identity_list();
    // Throws Error(invalid_argument; identity_taken: it overlaps another one).
    void add_range(const IdentityRange& range);
    std::vector<RangeEntry> ranges();
    // Nothing more is given from the ranges that there are. Returns how many identities were left in them.
    std::uint64_t close_ranges();

    // --- identities that devices asked for (store_requests.cpp)
    // The identity that a new chip asks for, where the operator's list has it for this chip.
    // Refusal(identity_unconfirmed | identity_taken).
    Result<pki::DeviceIdentity> assign_requested(const std::string& chip, const pki::DeviceIdentity& requested);
    void enter_request(const RequestEntry& request); // in the place of what the chip asked for before
    std::optional<RequestEntry> request(const std::string& chip);
    std::vector<RequestEntry> requests(); // the oldest first
    bool remove_request(const std::string& chip); // false: there is none

    // --- chips in the place of others (store_replacements.cpp)
    // The identity that a new chip gets if it takes the place of one that was here, or that was itself to take a place.
    // Refusal(unknown_chip | chip_replaced | chip_already_known | identity_taken).
    Result<pki::DeviceIdentity> check_replacement(const std::string& former, const std::string& present);
    void add_replacement(const ReplacementEntry& replacement); // that was checked; the list has the new chip then
    std::optional<ReplacementEntry> replacement_by(const std::string& present);
    std::optional<ReplacementEntry> replacement_of(const std::string& former);
    std::vector<ReplacementEntry> replacements(); // in the order of their places
    // The chip with which the identity is to go on, by its last replacement.
    std::optional<std::string> heir_of(const pki::DeviceIdentity& identity);

    // --- grants and revocation (store_grants.cpp)
    void add_grant(const GrantEntry& grant);
    // A certificate that goes with this grant, and is revoked with it.
    void add_key_certificate(const std::string& serial, const std::string& grant);
    // The grant waits for its Backup, and nothing has revoked it.
    bool grant_is_open(const std::string& serial);
    bool has_grant(const std::string& serial);
    void close_grant(const std::string& serial);
    // Revokes what was granted to the chip and never got its receipt. Returns the serials.
    std::vector<std::string> revoke_open_grants(const std::string& chip, pki::Time now);
    std::vector<std::string> revoke_all_grants(const std::string& chip, pki::Time now); // those with receipts, too
    // ... of which there is a later record: the device will never use them again.
    std::vector<std::string> revoke_superseded_grants(const std::string& chip, pki::Time now);
    std::vector<std::string> revoke_grants(const std::vector<std::string>& serials,
                                           pki::Time now); // of these, own ones
    std::vector<pki::Revoked> revoked(); // of this station's; what went with the grants, too
    std::vector<std::string> key_certificates(const std::string& grant); // serials
    // Module certificates of another station's that it is to revoke.
    std::vector<std::string> revoked_of(const std::string& station);
    void put_revocation_list(const RevocationList& list); // in the place of the station's former one
    std::optional<RevocationList> revocation_list(const std::string& station);
    std::vector<RevocationList> revocation_lists();
    std::uint64_t next_crl_number();

    // --- pairs made in advance (store_pool.cpp). The one that a grant took stays until its record is with the archive;
    // if the grant is revoked before it got its receipt, it goes with that.
    void add_pair(const PooledPair& pair);
    std::optional<PooledPair> newest_pair();
    // The oldest free one becomes this chip's for good; belongs to the grant that is added next.
    std::optional<PooledPair> take_pair(const std::string& kind, const std::string& chip, std::uint64_t sequence);
    std::size_t free_pairs(const std::string& kind);
    std::vector<PoolCount> pool_counts(); // of kinds that there are
    std::size_t drain_pairs(const std::string& kind); // removes the free ones
    std::optional<DeliveredPairs> delivered_pairs(std::int64_t after); // the first behind that place
    std::size_t remove_pairs(const std::string& chip, std::uint64_t sequence);
    // After a commit: of what was removed, nothing stays in the database's files. False: somebody reads, try again.
    bool leave_no_trace();

    // --- introductions (store_introductions.cpp)
    bool add_introduction(const IntroductionEntry& entry); // false: there is one with this selector
    std::optional<IntroductionEntry> introduction(const std::string& selector);
    std::vector<IntroductionEntry> introductions(); // all, the oldest first, without their verifiers
    // For good. False: there is none, it is revoked already, or the record that it led to is here.
    bool revoke_introduction(const std::string& selector);
    // For one that is usable_by() this chip (introductions.h), in the same transaction.
    void burn_introduction(const std::string& selector, const std::string& chip, std::uint64_t sequence, pki::Time now);

    // --- the central system's keys (store_central.cpp), the present one first
    std::vector<CentralEntry> central_keys();
    // A known key gets the new name and, where one is given, the new cross-certificate. Refusal(central_set_invalid) if
    // there are four others.
    Verdict set_central_key(const CentralEntry& entry);
    bool remove_central_key(BytesView spki); // false: there is no such key
    std::uint64_t central_number(); // of the present set; 0 if there never was one
    // The next one: the seconds of the clock or, where that is no more, one higher.
    std::uint64_t raise_central_number(pki::Time now);

    // --- records and replacements, and their way to the archive (store_records.cpp)
    void add_record(const RecordEntry& record); // with its outbox entry
    std::optional<RecordEntry> record(const std::string& chip, std::uint64_t sequence);
    std::vector<OutboxEntry> outbox(bool with_delivered);
    // The waiting one with the earliest next attempt. A replacement waits for the former chip's records, and the new
    // chip's records wait for it.
    std::optional<OutboxEntry> next_delivery();
    void delivered(const OutboxEntry& entry, BytesView receipt);
    void failed(const OutboxEntry& entry, Delivery state, pki::Time next_attempt, const std::string& error);

    // --- what the TPM proved of a record (store_proofs.cpp): kept, never published
    void keep_proof(const std::string& chip, std::uint64_t sequence, BytesView proof); // of a record that is here
    std::optional<Bytes> proof(const std::string& chip, std::uint64_t sequence);

    // --- operators (store_operators.cpp); what is changed holds for running servers at once
    std::optional<Operator> find_operator(const std::string& fingerprint);
    std::vector<Operator> operators();
    void put_operator(const Operator& entry); // new, or with other permissions
    void revoke_operator(const std::string& fingerprint, pki::Time now);

    // --- the audit log (store.cpp): append-only, but for old entries that an operator moves out (store_audit.cpp)
    void audit(const AuditEntry& entry);
    std::vector<AuditEntry> audit_log();
    // Chooses the entries from before this time, the oldest first, apart from what a synchronization still needs: own
    // ones that the main station does not have, if there is one, and the newest of every other station. The last entry
    // of all stays, too: no number is given twice.
    std::vector<AuditEntry> begin_moving_audit(pki::Time before);
    void remove_moved_audit(); // those, in the same transaction
    void audit_is_synchronized(std::uint64_t id); // up to this one

    // --- what goes to another station (store_sync.cpp)
    std::string database_id(); // for good; 32 hex digits
    std::vector<RecordEntry> record_names(); // all, without their bytes
    std::optional<GrantEntry> received_grant(const std::string& chip, std::uint64_t sequence);
    std::vector<NumberedAudit> own_audit(std::uint64_t first, std::size_t limit); // without what others brought
    std::size_t count_own_audit(std::uint64_t first);
    // --- and what came from one
    std::uint64_t newest_audit_of(const Origin& origin); // 0: none
    std::optional<AuditEntry> audit_of(const Origin& origin, std::uint64_t id); // without its origin
    void add_audit_of(const Origin& origin, const NumberedAudit& audit);
    bool add_conflict(const ConflictEntry& conflict); // false: it is listed already
    void settle_conflict(const std::string& station, BytesView digest); // nothing stands in its way any more
    std::vector<ConflictEntry> conflicts(); // that are not settled

    // --- a copy for bad days, as of this moment, durable (store.cpp). Throws Error(storage_failed), also if it exists.
    void copy_to(const std::filesystem::path& path) { server::copy_database(database_, path); }

private:
    SQLite::Database database_;
    bool removed_ = true; // pairs, maybe, and the log may still hold them; at first from before a crash
};

std::int64_t seconds(pki::Time time);
pki::Time from_seconds(std::int64_t seconds);

} // namespace imprint::station
