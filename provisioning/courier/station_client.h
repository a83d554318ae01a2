// SPDX-License-Identifier: Apache-2.0
// The courier's remote side: the station, over mutual TLS.
#pragma once

#include "daemon/tls/stream.h"
#include "provisioning/protocol/introduction.h"

namespace imprint::courier {

// The operator's files, as imprint-authority made them: tls.pem, tls.key and trust.pem.
struct Credentials {
    pki::Trust trust;
    pki::Certificates chain;
    pki::Key key;
};

// `key_uri`: an OSSL_STORE URI; empty: the file in the directory. Throws Error(not_configured).
Credentials load_credentials(const std::filesystem::path& directory, const std::string& key_uri,
                             const std::optional<Secret>& passphrase);

struct Wanted {
    protocol::IntroductionKind kind = protocol::IntroductionKind::ticket;
    std::string chip; // empty: a number for any
    std::string reason; // for the station's audit log
    std::chrono::seconds validity{0}; // 0: as long as the station thinks fit
};

struct Introduction {
    Secret text; // of the number or the ticket
    std::string station_address; // for the device; empty: as it is configured
    pki::Time expires;
};

// Throws Error with the station's reason, with what was found against its certificate or its answer, or with what the
// network did; timed_out after `patience` for everything together.
Introduction get_introduction(const std::string& station, Credentials credentials, const Wanted& wanted,
                              std::chrono::seconds patience);

} // namespace imprint::courier
