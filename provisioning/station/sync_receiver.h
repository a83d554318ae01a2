// SPDX-License-Identifier: Apache-2.0
// The main station's side of a synchronization, free of I/O: takes a message's bytes, gives the next one's.
#pragma once

#include "provisioning/station/sync_judgement.h"

#include <memory>

namespace imprint::station {

// What a message led to. Everything in it is durable already.
struct SyncReply {
    Bytes message;
    bool last = false; // the conversation is over once it is sent
    std::vector<AuditEntry> audit; // what was entered into the audit log, for the journal too
    bool record_stored = false; // the outbox has something new
    bool revoked = false; // the CRL has to be written anew
};

class SyncReceiver {
public:
    // `unit`: the name in the certificate of whoever is at the other end, the only one that it can speak for. `peer` is
    // for the audit log. The store is borrowed.
    SyncReceiver(Store& store, std::shared_ptr<const pki::Trust> trust, std::string unit, std::string peer);

    // Never throws for what the peer sent. A batch is taken in one transaction, or not at all.
    SyncReply receive(BytesView bytes, pki::Time now);
    // A message that was not even read: its length is refused.
    SyncReply reject(const Refusal& why, pki::Time now);

private:
    SyncReply on_offer(const protocol::SyncOffer& offer);
    SyncReply on_batch(const protocol::SyncBatch& batch, pki::Time now);
    void take(const Judgement& judged, const protocol::SyncItem& item, SyncReply& reply, pki::Time now);
    void keep(const Judgement& judged, const protocol::SyncItem& item, SyncReply& reply, pki::Time now);
    SyncReply refuse(const Refusal& to_peer, const Refusal& to_audit, pki::Time now);
    AuditEntry entry(const std::string& event, const Judgement& judged, pki::Time now) const;

    Store& store_;
    std::shared_ptr<const pki::Trust> trust_;
    std::string unit_;
    std::string peer_;
};

} // namespace imprint::station
