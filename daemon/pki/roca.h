// SPDX-License-Identifier: Apache-2.0
// RSA keys that can be factored because of the way they were made.
#pragma once

#include "daemon/base/bytes.h"

namespace imprint::pki {

// Whether the SubjectPublicKeyInfo (DER) is an RSA key with the fingerprint of CVE-2017-15361 (ROCA), which the library
// of a TPM vendor left in its keys: the modulus is a power of 65537 modulo each of the small primes. Other keys have it
// once in 2^27 or less.
bool has_roca_fingerprint(BytesView spki);

} // namespace imprint::pki
