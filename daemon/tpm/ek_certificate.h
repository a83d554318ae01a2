// SPDX-License-Identifier: Apache-2.0
// Endorsement key certificates as TPM makers leave them in NV: padded, with names that are not quite right, and with
// algorithm identifiers that OpenSSL does not take for a key. Kept as they are; no trust is decided here.
#pragma once

#include "daemon/base/bytes.h"

#include <tss2/tss2_tpm2_types.h>

#include <optional>
#include <vector>

namespace imprint::tpm {

struct EkCertificate {
    Bytes der; // as it stands in NV, without what follows it
    Bytes spki; // SubjectPublicKeyInfo, DER
};
// Nothing if the bytes do not begin with a certificate.
std::optional<EkCertificate> parse_ek_certificate(BytesView padded);

// All certificates in a row, whatever stands between them.
std::vector<Bytes> split_certificates(BytesView bytes);

// The public area that is made from `shape` with the key of a certificate; nothing if the key does not fit.
std::optional<TPMT_PUBLIC> fill_in(TPMT_PUBLIC shape, BytesView spki);

} // namespace imprint::tpm
