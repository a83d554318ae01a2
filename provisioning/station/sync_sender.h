// SPDX-License-Identifier: Apache-2.0
// The mobile unit's side of a synchronization, free of I/O. It remembers nothing of earlier ones: it offers what it has
// and sends what the main station says is missing, so that whatever interrupted it, once more is enough.
#pragma once

#include "provisioning/protocol/sync_messages.h"
#include "provisioning/station/store.h"

#include <deque>
#include <functional>

namespace imprint::station {

// What did not simply get there.
struct SyncTrouble {
    protocol::SyncOutcome outcome; // conflict or refused
    std::string kind, name; // as a ConflictEntry has them
    Refusal why;
};

struct SyncTotal {
    std::size_t records = 0, introductions = 0, replacements = 0, audit = 0; // that were missing there
    std::size_t taken = 0, known = 0;
    std::size_t revoked = 0; // of the unit's grants, as the main station says
    std::vector<SyncTrouble> troubles;
    std::size_t missing() const { return records + introductions + replacements + audit; }
    std::size_t answered() const { return taken + known + troubles.size(); }
};

class SyncSender {
public:
    // `dry_run`: offers only. `list` makes the unit's newest revocation list, which goes along at the end where the
    // unit has revoked anything. The store is borrowed.
    SyncSender(Store& store, bool dry_run, std::function<protocol::SyncRevocations()> list);

    // The next message's bytes; empty when everything is said. Its answer goes to take() first.
    Bytes next();
    // Revokes what the main station has revoked of what was granted here.
    // Refusal(what the station refused with | unexpected_message | malformed_message): it is over.
    Verdict take(BytesView answer, pki::Time now);

    const SyncTotal& total() const { return total_; }

private:
    struct Item {
        std::string kind, name;
        std::function<void(protocol::SyncItem&)> fill;
        std::int64_t place = 0; // what is sent before what; the same: as it was offered
    };

    Bytes offer();
    Bytes batch();
    Bytes list();
    void want_audit(const protocol::SyncWanted& wanted);
    void queue_audit();
    Verdict take_wanted(const protocol::SyncWanted& wanted, pki::Time now);
    void revoke(const protocol::SyncWanted& wanted, pki::Time now);
    Verdict take_answers(const protocol::SyncAnswers& answers);
    Item item_of(const RecordEntry& record);
    static Item item_of(const IntroductionEntry& use);
    static Item item_of(const ReplacementEntry& replacement);
    static Item item_of(const NumberedAudit& audit);

    Store& store_;
    bool dry_run_;
    std::function<protocol::SyncRevocations()> list_; // empty once it was sent
    std::vector<RecordEntry> records_; // to be offered, from the next ones on
    std::vector<IntroductionEntry> uses_;
    std::vector<ReplacementEntry> replacements_;
    std::size_t next_record_ = 0, next_use_ = 0, next_replacement_ = 0;
    std::vector<RecordEntry> offered_records_; // in the last offer
    std::vector<IntroductionEntry> offered_uses_;
    std::vector<ReplacementEntry> offered_replacements_;
    bool offering_ = true;
    std::uint64_t next_audit_ = 0; // the first that was not queued yet
    std::deque<Item> waiting_;
    std::vector<Item> sent_; // in the last batch
    SyncTotal total_;
};

} // namespace imprint::station
