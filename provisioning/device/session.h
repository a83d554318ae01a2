// SPDX-License-Identifier: Apache-2.0
// The device's side of a personalization, free of network I/O: takes the station's messages, gives the next.
// protocol.md tells the conversation; the numbers in brackets are TPM commands.
#pragma once

#include "daemon/lifecycle/store.h"
#include "daemon/pki/verify.h"
#include "daemon/tls/provider.h"
#include "daemon/tpm/security_module.h"
#include "provisioning/device/checks.h"
#include "provisioning/device/progress.h"
#include "provisioning/protocol/framing.h"
#include "provisioning/protocol/introduction.h"

namespace imprint::device {

// Who the device says it is.
struct Identity {
    std::optional<pki::Certificate> known; // nothing before the first personalization
    bool revoked = false; // somebody stole the CA that issued it: the device is that still, but has to prove it anew
    pki::Certificates issuers; // between it and the anchor
    bool shown() const { return known && !revoked; }
};
// By the current or the last personalization's file, which may be nullptr.
Identity identity_of(const lifecycle::Personalization* file, const pki::Trust& trust, pki::Time now);

// What stands fixed before the conversation begins.
struct Situation {
    lifecycle::Chip chip;
    tpm::Capabilities capabilities;
    Identity identity;
    std::uint64_t epoch = 0; // even
    pki::Trust trust;
    CentralPolicy central;
    pki::Time now;
    Bytes channel_binding; // of the TLS connection
    std::string station_name; // common name in the station's TLS certificate
    const tls::Provider& provider; // its key signs the record; outlives the session
    const protocol::IntroductionCode* introduction = nullptr; // what the station is shown; outlives the session
    std::optional<pki::DeviceIdentity> requested; // who the device is to be
};

// Lives and dies in the thread of the TPM.
class DeviceSession {
public:
    DeviceSession(tpm::SecurityModule& module, const lifecycle::Store& store, Situation situation, Progress progress);

    Bytes hello();
    // The answer to a message, empty when the personalization is complete; or why the session is over. Writes the
    // personalization's file, durably: before it gives the Backup, and with the Receipt. Throws Error (TPM, disk).
    // [Challenge: 12 and an activation; Grant: 15, 8 a key and 1]
    Result<Bytes> take(BytesView message);
    // Whether the station ended it, so that there is nobody to be told.
    bool refused_by_station() const { return refused_by_station_; }

private:
    enum class Awaiting { challenge, grant, receipt, nothing };

    Result<Bytes> answer(Awaiting awaiting, const protocol::Message& message, BytesView bytes);
    Result<Bytes> answer_challenge(const protocol::Challenge& challenge, BytesView bytes);
    Result<Bytes> answer_grant(const protocol::Grant& grant);
    Result<Bytes> answer_receipt(const protocol::Receipt& receipt);
    Verdict check_epoch(const structures::Attestation& attestation);
    Expected expected();
    Bytes make_record(const Granted& granted, const protocol::Grant& grant);

    tpm::SecurityModule& module_;
    const lifecycle::Store& store_;
    Situation situation_;
    Progress progress_;
    Awaiting awaiting_ = Awaiting::challenge;
    bool refused_by_station_ = false;
    Bytes nonce_;
    Bytes hello_; // as sent
    Bytes qualifying_data_;
    std::optional<Station> station_;
    std::optional<tpm::SecurityModule::Work> work_; // one for the whole personalization
    tpm::CreatedModuleKey module_key_;
    TPMT_PUBLIC module_area_{};
    lifecycle::Personalization pending_;
};

} // namespace imprint::device
