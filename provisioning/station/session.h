// SPDX-License-Identifier: Apache-2.0
// One conversation with a device, free of I/O: takes a message's bytes, gives the next message's. protocol.md tells
// the conversation as prose.
#pragma once

#include "provisioning/station/check_backup.h"
#include "provisioning/station/check_introduction.h"
#include "provisioning/station/grant.h"
#include "provisioning/station/station.h"
#include "provisioning/station/store.h"

#include <optional>

namespace imprint::station {

// What a message led to. Everything in it is durable already.
struct Answer {
    Bytes message; // to send; empty if there is nothing to say
    bool last = false; // the conversation is over once it is sent
    std::vector<AuditEntry> audit; // what was entered into the audit log, for the journal too
    bool record_stored = false; // the outbox has something new
    bool receipt = false; // the message is the device's receipt
    bool revoked = false; // the CRL has to be written anew
};

// The connection that a conversation runs on.
struct Line {
    Bytes channel_binding; // the TLS exporter's 32 bytes
    std::string peer; // for the audit log
    Required introductions = Required::never; // who comes this way needs one
};

class StationSession {
public:
    // Station, store and introductions are borrowed.
    StationSession(const Station& station, Store& store, Introductions& introductions, Line line);

    // Never throws for what the peer sent. Whatever goes wrong, here or in the store, ends the conversation with a
    // refusal: nothing that was refused can be taken up again.
    Answer receive(BytesView bytes, pki::Time now);

    // A message that was not even read: its length is refused.
    Answer reject(const Refusal& why, pki::Time now);

    // The connection ended or timed out in the middle; what goes into the audit log. Nothing if the conversation was
    // over or had not begun.
    std::optional<AuditEntry> abandon(const Refusal& why, pki::Time now);

private:
    enum class Step { hello, proof, backup, over };

    Result<Answer> dispatch(Step step, const protocol::Message& message, BytesView bytes, pki::Time now);
    Result<Answer> on_hello(const protocol::Hello& hello, BytesView bytes, pki::Time now);
    Result<Answer> on_proof(const protocol::Proof& proof, pki::Time now);
    Verdict judge_claim(pki::Time now);
    Verdict judge_proven(pki::Time now);
    Verdict judge(void (AttemptLimiter::*wrong)(const std::string& chip, pki::Time now), pki::Time now);
    Result<Answer> make_grant(const ProvenKey& key, pki::Time now);
    void stop_twins(const Refusal& why, pki::Time now);
    Result<Answer> on_backup(const protocol::Backup& backup, pki::Time now);
    Result<Answer> on_resume(const protocol::Resume& resume, pki::Time now);
    Answer on_refused(const protocol::Refused& refused, pki::Time now);
    Answer refuse(const Refusal& to_peer, const Refusal& to_audit, pki::Time now);
    Answer fail(const Refusal& why, pki::Time now);
    AuditEntry entry(std::string event, std::string detail, pki::Time now) const;

    const Station& station_;
    Store& store_;
    Introductions& introductions_;
    Line line_;
    Step step_ = Step::hello;
    std::string chip_; // as claimed
    Claim claim_;
    Reservation reservation_; // of the introduction, from its judgement to the grant
    Asked asked_;
    Granted granted_;
};

// The Challenge for a claim: our certificates, fresh nonce and variation value, and a credential for an identity key
// without a certificate. Its secret and the variation value go into `asked`.
Result<protocol::Challenge> make_challenge(const Credentials& credentials, const Claim& claim, Asked& asked);

} // namespace imprint::station
