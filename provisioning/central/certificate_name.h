// SPDX-License-Identifier: Apache-2.0
// Certificates as revocation lists name them: by issuer and serial number. What a connection with a PSK needs of the
// certificates that once vouched for its key; to read those themselves would cost more than the handshake.
#pragma once

#include "daemon/pki/certificate.h"

namespace imprint::central {

struct CertificateName {
    Bytes issuer; // its name, DER
    std::string serial; // lower-case hex
};
using CertificateNames = std::vector<CertificateName>;

CertificateName name_of(const pki::Certificate& certificate);
CertificateNames names_of(const pki::Certificates& chain);

// Whether one of them is on one of the lists. What is no name is as good as revoked.
bool is_revoked(const CertificateNames& names, const std::vector<pki::Crl>& lists);

} // namespace imprint::central
