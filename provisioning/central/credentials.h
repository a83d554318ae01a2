// SPDX-License-Identifier: Apache-2.0
// What the central system shows to devices, and whom it trusts: the files that `imprint-authority central` makes.
#pragma once

#include "daemon/pki/key.h"
#include "daemon/pki/verify.h"

#include <filesystem>

namespace imprint::central {

struct Credentials {
    pki::Certificates tls; // own certificate, then its issuers
    pki::Key key;
    pki::Trust bundle;
};

// tls.pem and trust.pem from `directory`, the key from an OSSL_STORE URI (empty: tls.key in the directory). The
// certificate is checked for its role and against the key. Throws Error(not_configured | the chain's reasons).
Credentials load_credentials(const std::filesystem::path& directory, const std::string& key_uri,
                             const std::optional<Secret>& passphrase, pki::Time now);

// trust.pem alone, which has to bear out the own certificate. Throws as above.
pki::Trust load_bundle(const std::filesystem::path& directory, const pki::Certificates& tls, pki::Time now);

} // namespace imprint::central
