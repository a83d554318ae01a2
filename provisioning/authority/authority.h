// SPDX-License-Identifier: Apache-2.0
// The manufacturer's certification: the checking CA and the identity CA in one directory, and what they certify.
#pragma once

#include "daemon/pki/issue.h"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace imprint::authority {

using Days = std::chrono::days;

// Where the two CAs' keys are, as OSSL_STORE URIs; empty: checking-ca.key and identity-ca.key in the directory. Only
// initialize() takes the identity CA's.
struct Keys {
    std::string checking;
    std::string identity;
    std::optional<Secret> passphrase; // of both
};

struct Issued {
    std::filesystem::path file;
    pki::Role role;
    pki::Certificate certificate;
};

// What a station or an archive gets.
struct Request {
    std::string name;
    std::vector<std::string> hosts; // names and addresses for its TLS certificate
    std::filesystem::path output; // the directory to make; empty: stations/NAME or archives/NAME
    std::filesystem::path signing_public_key; // a station's; empty: a key is made
    std::filesystem::path tls_public_key; // the same
    bool delegate_identity_ca = false; // an identity CA of the station's own: whoever has it makes device identities
    std::filesystem::path identity_ca_public_key; // the same as the two above
    pki::Scope identities; // what a station may give; empty: every identity
    std::optional<Secret> passphrase; // for the private keys that are written
    Days lifetime{};
};

// Makes `directory`: checking-ca.{key,pem} and identity-ca.{key,pem}. A key that `keys` names exists already and is not
// copied. Throws Error(storage_failed) if the directory is there and not empty.
std::vector<Issued> initialize(const std::filesystem::path& directory, const std::string& name, const Keys& keys,
                               Days lifetime, pki::Time now);

// How a checking key hands over to the next.
struct Rollover {
    std::filesystem::path output; // the next authority's directory, made by this
    std::string checking; // the next checking key as an OSSL_STORE URI; empty: it is made
    std::optional<Secret> passphrase; // for the private keys that are written
    Days lifetime{};
};

class Authority {
public:
    // Throws Error(not_configured) if initialize() has not made the directory.
    Authority(std::filesystem::path directory, Keys keys);

    // Makes signing.{key,pem}, tls.{key,pem}, identity-ca.{key,pem} if delegated, and trust.pem.
    std::vector<Issued> station(const Request& request, pki::Time now) const;
    // Each makes tls.{key,pem} and trust.pem.
    std::vector<Issued> archive(const Request& request, pki::Time now) const;
    std::vector<Issued> central(const Request& request, pki::Time now) const;
    // Without hosts: clients.
    std::vector<Issued> station_operator(const Request& request, pki::Time now) const;
    std::vector<Issued> mirror(const Request& request, pki::Time now) const;
    // Enters certificates of the checking CA into its CRL, each once and for ever; returns those that are new.
    // Throws Error(invalid_argument) for what it has not issued: nothing is revoked then.
    std::vector<pki::Certificate> revoke(const std::vector<std::filesystem::path>& files, pki::Time now) const;
    // Makes the directory of an authority with another checking key and the same identity CA's key: a new root,
    // certified by this one's key in a link certificate, and all that went before. This directory stays as it is.
    std::vector<Issued> rollover(const Rollover& next, pki::Time now) const;
    // Checking CA first, former roots if `with_former`, then the identity CA, links between roots, the CRLs there are.
    Bytes trust_bundle(bool with_former = true) const;
    std::vector<Issued> issued() const; // the CAs, and what lies in stations/, archives/ and so on

private:
    pki::Key checking_key() const;
    std::optional<pki::Crl> crl() const;
    Bytes former_lists() const; // CRLs of former roots, PEM
    std::vector<Issued> with_tls(const Request& request, const std::string& kind, pki::Role role, pki::Time now) const;

    std::filesystem::path directory_;
    Keys keys_;
    pki::Certificate checking_;
    pki::Certificate identity_;
    pki::Certificates former_; // roots before this one, the newest first
    pki::Certificates links_; // by which each certified the next one, in the same order
};

} // namespace imprint::authority
