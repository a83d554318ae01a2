// SPDX-License-Identifier: Apache-2.0
// The device's checks of its own two certificates, at the grant and again at a recovery.
#pragma once

#include "daemon/pki/verify.h"

#include <tss2/tss2_tpm2_types.h>

namespace imprint::recovery {

// Each returns the chain, leaf first, or the reason against it.

// The key is our identity key, the chip identifier ours, the chain valid.
Result<pki::Certificates> check_identity_certificate(const pki::Certificate& certificate,
                                                     const pki::Certificates& untrusted, const pki::Trust& trust,
                                                     const TPMT_PUBLIC& identity_key,
                                                     const std::string& chip_identifier, pki::Time now);

// The key is our module key, the chain valid, and the signed binding the expected one.
Result<pki::Certificates> check_module_certificate(const pki::Certificate& certificate,
                                                   const pki::Certificates& untrusted, const pki::Trust& trust,
                                                   const TPMT_PUBLIC& module_key, const pki::ModuleBinding& binding,
                                                   pki::Time now);

} // namespace imprint::recovery
