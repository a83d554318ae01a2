// SPDX-License-Identifier: Apache-2.0
// A conversation with an operator's program, free of I/O: one request for an introduction and its answer.
#pragma once

#include "daemon/pki/certificate.h"
#include "provisioning/protocol/messages.pb.h"
#include "provisioning/station/store.h"

namespace imprint::station {

// Durable already.
struct CourierAnswer {
    Bytes message; // to send; it may hold the introduction: cleanse it afterwards
    AuditEntry audit; // what was entered into the audit log, for the journal too
};

class CourierSession {
public:
    // `certificate`: the operator's, whose chain, role and time are checked. `peer` is for the audit log,
    // `public_address` for devices (empty: as they are configured). The store is borrowed.
    CourierSession(Store& store, pki::Certificate certificate, std::string peer, std::string public_address);

    // Never throws for what the peer sent. Whatever goes wrong, nothing was given out.
    CourierAnswer receive(BytesView bytes, pki::Time now);
    // A message that was not even read: its length is refused.
    CourierAnswer reject(const Refusal& why, pki::Time now);

private:
    Result<CourierAnswer> answer(const protocol::CourierMessage& message, pki::Time now);
    Result<CourierAnswer> issue(const protocol::IntroductionRequest& request, pki::Time now);

    Store& store_;
    pki::Certificate certificate_;
    std::string peer_;
    std::string public_address_;
    std::string chip_; // as asked for
};

} // namespace imprint::station
