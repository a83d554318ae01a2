// SPDX-License-Identifier: Apache-2.0
// What all conversations of a station share: its certificates and keys, whom it trusts, what it grants.
#pragma once

#include "daemon/pki/key.h"
#include "daemon/pki/verify.h"
#include "provisioning/station/package_profile.h"

#include <chrono>
#include <filesystem>
#include <memory>

namespace imprint::station {

struct Credentials {
    pki::Certificates signing; // station's signing certificate, then its issuers
    pki::Key signing_key;
    pki::Certificates identity_ca; // the manufacturer's identity CA, delegated to this station; then its issuers
    pki::Key identity_ca_key;
    pki::Certificates tls;
    pki::Key tls_key;
    std::shared_ptr<const pki::Trust> trust; // trust.pem, as the devices have it
};

// Where the credentials come from: the files that imprint-authority made for this station (signing, identity-ca and
// tls, each .pem and .key, and trust.pem), and OSSL_STORE URIs for keys that are elsewhere.
struct CredentialSources {
    std::filesystem::path directory;
    std::string signing_key, identity_ca_key, tls_key; // empty: the file in the directory
    std::optional<Secret> passphrase; // of all keys
};

// Every chain is checked for its role, every key against its certificate. Throws Error(not_configured | the chain's
// reasons).
Credentials load_credentials(const CredentialSources& sources, pki::Time now);

// trust.pem alone.
std::shared_ptr<const pki::Trust> load_trust(const CredentialSources& sources);
// Whether `trust` bears out the certificates. Throws the chain's reasons.
void check_credentials(const Credentials& credentials, const pki::Trust& trust, pki::Time now);

// What a client of the archive or of another station needs: TLS certificate and key, and the trust; the rest is empty.
Credentials load_tls_credentials(const CredentialSources& sources, pki::Time now);

// ... and what signs the list of its revoked certificates, which a synchronization brings along.
Credentials load_unit_credentials(const CredentialSources& sources, pki::Time now);

// The TPM vendors' CAs (as anchors) and revocation lists: a PEM file, or every .pem, .crt and .crl of a directory.
pki::Trust load_vendors(const std::filesystem::path& path);

// From whom an introduction is demanded: nobody, chips without a record here, everybody.
enum class Required { never, first, always };

struct Station {
    Credentials credentials;
    pki::Trust vendors; // of TPMs
    Secret master_key; // 32 bytes
    PackageProfile profile; // what every device gets
    std::chrono::days module_lifetime{3650}; // of module and data key certificates; at most the signing certificate's
    std::shared_ptr<const PairSource> pool = nullptr; // pairs made in advance, if there are any
};

} // namespace imprint::station
