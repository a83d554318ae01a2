// SPDX-License-Identifier: Apache-2.0
// Every reason for which anything in Imprint is refused or fails: one list for the wire, D-Bus, audit log and --json.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace imprint {

// The numbers go over the wire and are never given to another reason.
enum class Reason : std::uint32_t {
    internal = 1,
    malformed_message = 2,
    unexpected_message = 3,
    message_too_large = 4,
    unsupported_version = 5,
    timed_out = 6,
    connection_lost = 7,
    connection_refused = 8,
    cancelled = 9,
    busy = 10,
    wrong_state = 11,
    not_authorized = 12,
    invalid_argument = 13,
    not_configured = 14,
    storage_failed = 15,
    untrusted_certificate = 20,
    wrong_role = 21,
    certificate_expired = 22,
    certificate_not_yet_valid = 23,
    certificate_revoked = 24,
    key_mismatch = 25,
    nonce_mismatch = 26,
    signature_invalid = 27,
    wrong_name = 28,
    untrusted_endorsement_key = 30,
    chip_already_known = 31,
    chip_quarantined = 32,
    identity_taken = 33,
    no_identity_left = 34,
    activation_failed = 35,
    attestation_invalid = 36,
    storage_key_invalid = 37,
    module_key_invalid = 38,
    identity_key_invalid = 39,
    epoch_index_invalid = 40,
    epoch_mismatch = 41,
    capability_missing = 42,
    sequence_taken = 43,
    unknown_chip = 44,
    package_invalid = 50,
    record_invalid = 51,
    record_not_found = 52,
    record_foreign = 53,
    record_outdated = 54,
    tpm_unavailable = 60,
    tpm_failed = 61,
    tpm_locked_out = 62,
    tpm_authorization = 63,
    tpm_hierarchy_disabled = 64,
    tpm_full = 65,
    tpm_reset = 66,
    tpm_replaced = 67,
    tpm_intercepted = 68,
    tpm_refused = 69,
    anchor_mismatch = 70,
    tpm_handle_taken = 71,
    transaction_number_required = 80,
    transaction_number_mistyped = 81,
    transaction_number_wrong = 82,
    transaction_number_used = 83,
    transaction_number_expired = 84,
    transaction_number_foreign = 85,
    transaction_number_in_use = 86,
    rate_limited = 87,
    operator_unknown = 88,
    operator_revoked = 89,
    central_key_unknown = 90,
    central_not_certified = 91,
    central_set_invalid = 92,
    central_set_outdated = 93,
    cross_certificate_missing = 94,
    cross_certificate_invalid = 95,
    identity_out_of_scope = 96,
    root_not_certified = 97,
    certificate_outdated = 98,
    transaction_key_invalid = 99,
    sync_conflict = 100,
    identity_unconfirmed = 101,
    chip_replaced = 102,
    profile_invalid = 103,
    pool_empty = 104,
    data_key_not_found = 105,
    data_key_unsuitable = 106,
    newest_unproven = 107,
};

// The name in audit logs, journal fields and --json: "untrusted-certificate".
std::string_view name(Reason reason);
// One sentence: what happened.
std::string_view sentence(Reason reason);
// One sentence: what to do about it.
std::string_view hint(Reason reason);
// The D-Bus error name: "org.imprint.Error.UntrustedCertificate". A literal, hence terminated by NUL.
std::string_view dbus_error(Reason reason);
// The reason with this number on the wire, if there is one.
std::optional<Reason> reason_from_wire(std::uint32_t number);

} // namespace imprint
