// SPDX-License-Identifier: Apache-2.0
// X.509 certificates and CRLs as values.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/error.h"
#include "daemon/base/owned.h"

#include <openssl/x509.h>

#include <chrono>
#include <string>
#include <vector>

namespace imprint::pki {

using Time = std::chrono::sys_seconds;

// An immutable certificate; copies share one X509.
class Certificate {
public:
    explicit Certificate(X509* owned)
        : x509_(owned, X509_free)
    {
    }

    // Strict DER: the whole input, at most 64 KiB. from_padded_der() trims trailing bytes (EK certificates in NV).
    static Result<Certificate> from_der(BytesView der);
    static Result<Certificate> from_padded_der(BytesView der);

    X509* x509() const { return x509_.get(); }
    Bytes der() const;
    Bytes spki() const; // SubjectPublicKeyInfo, DER
    std::string common_name() const; // of the subject, at most 256 bytes; empty if there is none
    std::string serial() const; // lower-case hex
    Time not_before() const;
    Time not_after() const;
    // The DER value of an extension by its dotted OID; empty if it is not there.
    Bytes extension(const std::string& oid) const;
    bool has_extended_key_usage(const std::string& oid) const;
    friend bool operator==(const Certificate& a, const Certificate& b) { return X509_cmp(a.x509(), b.x509()) == 0; }

private:
    std::shared_ptr<X509> x509_;
};

using Certificates = std::vector<Certificate>;

// Shares what belongs to somebody else. A stack that is null has no certificates.
Certificate shared(X509* x509);
Certificates shared(const STACK_OF(X509) * stack);

Certificates certificates_from_pem(BytesView pem); // throws Error(untrusted_certificate) if a block is broken
Bytes to_pem(const Certificates& certificates);

// A CRL; copies share one X509_CRL.
class Crl {
public:
    explicit Crl(X509_CRL* owned)
        : crl_(owned, X509_CRL_free)
    {
    }
    static Result<Crl> from_der(BytesView der);
    static Result<Crl> from_pem(BytesView pem);
    X509_CRL* crl() const { return crl_.get(); }
    Bytes der() const;
    Bytes pem() const;

private:
    std::shared_ptr<X509_CRL> crl_;
};

std::vector<Crl> crls_from_pem(BytesView pem); // throws Error(untrusted_certificate) if a block is broken

} // namespace imprint::pki
