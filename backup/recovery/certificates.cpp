// SPDX-License-Identifier: Apache-2.0
#include "backup/recovery/certificates.h"

#include "daemon/structures/name.h"

namespace imprint::recovery {

namespace {

// Which part of a module certificate's binding is not the expected one.
Verdict check_binding(const std::optional<pki::ModuleBinding>& found, const pki::ModuleBinding& expected)
{
    if (!found)
        return Refusal{Reason::module_key_invalid, "the module certificate is bound to nothing"};
    if (found->nonce != expected.nonce)
        return Refusal{Reason::nonce_mismatch, "the module certificate carries another nonce than this device's"};
    if (found->chip_identifier != expected.chip_identifier)
        return Refusal{Reason::key_mismatch, "the module certificate is for another chip"};
    if (found->epoch != expected.epoch)
        return Refusal{Reason::epoch_mismatch,
                       "the module certificate is for epoch " + std::to_string(found->epoch) + ", not " +
                           std::to_string(expected.epoch)};
    if (found->epoch_index_name != expected.epoch_index_name)
        return Refusal{Reason::epoch_index_invalid, "the module certificate is bound to another epoch counter"};
    if (found->storage_key_name != expected.storage_key_name)
        return Refusal{Reason::storage_key_invalid, "the module certificate is bound to another chip storage key"};
    return accepted();
}

} // namespace

Result<pki::Certificates> check_identity_certificate(const pki::Certificate& certificate,
                                                     const pki::Certificates& untrusted, const pki::Trust& trust,
                                                     const TPMT_PUBLIC& identity_key,
                                                     const std::string& chip_identifier, pki::Time now)
{
    if (!structures::same_key(identity_key, certificate.spki()))
        return Refusal{Reason::key_mismatch,
                       "the identity certificate is for another key than this TPM's identity key"};
    if (pki::chip_identifier(certificate) != chip_identifier)
        return Refusal{Reason::key_mismatch, "the identity certificate is for another chip"};
    return pki::verify(certificate, untrusted, trust, pki::Role::device_identity, now);
}

Result<pki::Certificates> check_module_certificate(const pki::Certificate& certificate,
                                                   const pki::Certificates& untrusted, const pki::Trust& trust,
                                                   const TPMT_PUBLIC& module_key, const pki::ModuleBinding& binding,
                                                   pki::Time now)
{
    if (!structures::same_key(module_key, certificate.spki()))
        return Refusal{Reason::key_mismatch, "the module certificate is for another key than this module key"};
    if (const auto verdict = check_binding(pki::module_binding(certificate), binding); !verdict)
        return verdict.refusal();
    return pki::verify(certificate, untrusted, trust, pki::Role::module, now);
}

} // namespace imprint::recovery
