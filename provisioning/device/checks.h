// SPDX-License-Identifier: Apache-2.0
// What the device demands of a station's Challenge and Grant: every certificate up to the checking key (claim A28).
// No I/O.
#pragma once

#include "backup/package/data_package.h"
#include "daemon/pki/verify.h"
#include "provisioning/device/central.h"
#include "provisioning/protocol/messages.pb.h"

#include <tss2/tss2_tpm2_types.h>

namespace imprint::device {

// The station as its Challenge shows it: its signing certificate, checked, and the issuers between it and the anchor.
struct Station {
    pki::Certificate signing;
    pki::Certificates issuers;
};

// `tls_name`: the common name in the certificate of the TLS connection, which must be the signing certificate's, too.
Result<Station> check_challenge(const protocol::Challenge& challenge, const pki::Trust& trust,
                                const std::string& tls_name, pki::Time now);

// What the grant has to fit.
struct Expected {
    const Station& station;
    const TPMT_PUBLIC& module_key;
    const TPMT_PUBLIC& identity_key;
    pki::ModuleBinding binding;
    std::optional<pki::Certificate> identity; // the identity certificate that this device has already
    std::optional<pki::DeviceIdentity> requested; // what it asked for
    CentralPolicy central;
};

struct Granted {
    pki::Certificate module;
    pki::Certificate identity;
    pki::Certificates identity_issuers; // the anchor left out
    pki::Certificates issuers; // of both, the anchor left out
    package::DataPackage data;
};

Result<Granted> check_grant(const protocol::Grant& grant, const Expected& expected, const pki::Trust& trust,
                            pki::Time now);

} // namespace imprint::device
