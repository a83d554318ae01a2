// SPDX-License-Identifier: Apache-2.0
// Keys outside of a TPM, for tests that wrap them or forge with them.
#pragma once

#include "daemon/base/owned.h"
#include "daemon/base/secret.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <tss2/tss2_tpm2_types.h>

namespace imprint::structures {

// P-256.
class SoftwareKey {
public:
    SoftwareKey();
    Bytes x() const;
    Bytes y() const;
    Secret scalar() const;
    // TPMT_SIGNATURE, ECDSA over SHA-256.
    Bytes sign(BytesView message) const;
    // `area` with this key's point.
    TPMT_PUBLIC in(TPMT_PUBLIC area) const;

private:
    Owned<EVP_PKEY, EVP_PKEY_free> key_;
};

// RSA 2048.
class SoftwareRsaKey {
public:
    SoftwareRsaKey();
    Bytes modulus() const;
    Secret prime() const;
    bool verifies(BytesView message, BytesView signature) const; // RSASSA over SHA-256

private:
    Owned<EVP_PKEY, EVP_PKEY_free> key_;
};

// No eight bytes at one place are the same.
bool differ_throughout(BytesView a, BytesView b);

} // namespace imprint::structures
