// SPDX-License-Identifier: Apache-2.0
// Attestations (Part 2, clause 10.12), checked without a TPM: signature, magic, type, signer and qualifying data.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/error.h"

#include <tss2/tss2_tpm2_types.h>

namespace imprint::structures {

// As it goes over the wire.
struct Attestation {
    Bytes attest; // TPMS_ATTEST, marshalled
    Bytes signature; // TPMT_SIGNATURE, marshalled
};

// What every attestation has to satisfy.
struct Expectation {
    const TPMT_PUBLIC& signer; // the identity key's public area; any other key is refused
    BytesView signer_qualified_name;
    BytesView qualifying_data; // extraData
};

// Each returns the checked structure, or Refusal(attestation_invalid) with what is wrong in it.
Result<TPMS_ATTEST> check_creation(const Attestation& attestation, const Expectation& expected, BytesView object_name,
                                   BytesView creation_hash);
Result<TPMS_ATTEST> check_certify(const Attestation& attestation, const Expectation& expected, BytesView object_name,
                                  BytesView object_qualified_name);
// Offset zero, eight bytes: the value of the counter.
Result<std::uint64_t> check_nv_certify(const Attestation& attestation, const Expectation& expected,
                                       BytesView index_name);

// Verifies a TPMT_SIGNATURE (ECDSA P-256, SHA-256) over a message. Refusal(signature_invalid).
Verdict check_signature(const TPMT_PUBLIC& signer, BytesView message, BytesView signature);
// DER ECDSA-Sig-Value (RFC 3279) of the two numbers, big-endian.
Bytes der_signature(BytesView r, BytesView s);
// TPMT_SIGNATURE (ECDSA, SHA-256) to DER ECDSA-Sig-Value (RFC 3279). Refusal(signature_invalid).
Result<Bytes> to_der_signature(BytesView signature);

} // namespace imprint::structures
