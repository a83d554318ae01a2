// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/reason.h"

#include <algorithm>
#include <array>

namespace imprint {

namespace {

struct Entry {
    Reason reason;
    std::string_view name;
    std::string_view dbus_error;
    std::string_view sentence;
    std::string_view hint;
};

constexpr std::array table{
    Entry{Reason::internal, "internal", "org.imprint.Error.Internal", "An unexpected fault.",
          "This is a defect: please report it with the journal of the service."},
    Entry{Reason::malformed_message, "malformed-message", "org.imprint.Error.MalformedMessage",
          "A message could not be read.", "Check that both sides run the same version of Imprint."},
    Entry{Reason::unexpected_message, "unexpected-message", "org.imprint.Error.UnexpectedMessage",
          "A message came out of order.", "Check that both sides run the same version of Imprint."},
    Entry{Reason::message_too_large, "message-too-large", "org.imprint.Error.MessageTooLarge",
          "A message is larger than allowed.", "Check what is connected to this address."},
    Entry{Reason::unsupported_version, "unsupported-version", "org.imprint.Error.UnsupportedVersion",
          "The peer speaks another protocol version.", "Upgrade the older side."},
    Entry{Reason::timed_out, "timed-out", "org.imprint.Error.TimedOut", "The peer did not answer in time.",
          "Check the network and the peer's log, then try again."},
    Entry{Reason::connection_lost, "connection-lost", "org.imprint.Error.ConnectionLost",
          "The connection ended too early.", "Check the network, then try again: nothing was changed."},
    Entry{Reason::connection_refused, "connection-refused", "org.imprint.Error.ConnectionRefused",
          "The peer cannot be reached.", "Check the address, the network and that the peer is running."},
    Entry{Reason::cancelled, "cancelled", "org.imprint.Error.Cancelled", "The call was cancelled.",
          "Start it again when you are ready."},
    Entry{Reason::busy, "busy", "org.imprint.Error.Busy", "Another long call is running.",
          "Wait for it, or call Cancel."},
    Entry{Reason::wrong_state, "wrong-state", "org.imprint.Error.WrongState",
          "This is not possible in the present state.",
          "See what leads out of this state: imprintctl status, or the property StateHint."},
    Entry{Reason::not_authorized, "not-authorized", "org.imprint.Error.NotAuthorized", "The caller may not do this.",
          "Call as root, or ask the administrator for a polkit rule."},
    Entry{Reason::invalid_argument, "invalid-argument", "org.imprint.Error.InvalidArgument",
          "An argument is not valid.", "Correct it and call again."},
    Entry{Reason::not_configured, "not-configured", "org.imprint.Error.NotConfigured", "A setting is missing or wrong.",
          "Settings: imprintd.conf(5) for a device, the program's own manual page for servers and tools."},
    Entry{Reason::storage_failed, "storage-failed", "org.imprint.Error.StorageFailed",
          "A file could not be read or written.", "Check the disk: space, permissions, health."},
    Entry{Reason::untrusted_certificate, "untrusted-certificate", "org.imprint.Error.UntrustedCertificate",
          "A certificate does not lead to a trusted root.",
          "Check that both sides were set up by the same manufacturer's authority."},
    Entry{Reason::wrong_role, "wrong-role", "org.imprint.Error.WrongRole", "A certificate was issued for another role.",
          "Use the certificate that the authority issued for this role."},
    Entry{Reason::certificate_expired, "certificate-expired", "org.imprint.Error.CertificateExpired",
          "A certificate has expired.", "Renew it with imprint-authority, and check the clock."},
    Entry{Reason::certificate_not_yet_valid, "certificate-not-yet-valid", "org.imprint.Error.CertificateNotYetValid",
          "A certificate is not yet valid.", "Check the clock."},
    Entry{Reason::certificate_revoked, "certificate-revoked", "org.imprint.Error.CertificateRevoked",
          "A certificate was revoked.", "Ask the operator why it was revoked."},
    Entry{Reason::key_mismatch, "key-mismatch", "org.imprint.Error.KeyMismatch",
          "A key is not the one that was expected.",
          "Somebody may be between the two sides: do not go on before you know who."},
    Entry{Reason::nonce_mismatch, "nonce-mismatch", "org.imprint.Error.NonceMismatch",
          "The certificate was not made for this conversation.", "An old message was replayed: find out by whom."},
    Entry{Reason::signature_invalid, "signature-invalid", "org.imprint.Error.SignatureInvalid",
          "A signature is not valid.", "The data was changed or made by somebody else: do not use it."},
    Entry{Reason::wrong_name, "wrong-name", "org.imprint.Error.WrongName", "A certificate was issued for another name.",
          "Use the address that the certificate was issued for, or have it issued for this one as well."},
    Entry{Reason::untrusted_endorsement_key, "untrusted-endorsement-key", "org.imprint.Error.UntrustedEndorsementKey",
          "The TPM's endorsement key is not trusted.",
          "Add the TPM vendor's CA at the station, or import the digest of this key into its allow-list."},
    Entry{Reason::chip_already_known, "chip-already-known", "org.imprint.Error.ChipAlreadyKnown",
          "This chip was personalized before and came back without its identity.",
          "Recover it from the archive first, or let the operator readmit it at the station."},
    Entry{Reason::chip_quarantined, "chip-quarantined", "org.imprint.Error.ChipQuarantined",
          "This chip is quarantined.", "The operator has to look into it at the station."},
    Entry{Reason::identity_taken, "identity-taken", "org.imprint.Error.IdentityTaken",
          "The device identity belongs to another chip.",
          "The operator has to assign another identity at the station."},
    Entry{Reason::no_identity_left, "no-identity-left", "org.imprint.Error.NoIdentityLeft",
          "The station has no device identity for this chip.", "The operator has to add identities at the station."},
    Entry{Reason::activation_failed, "activation-failed", "org.imprint.Error.ActivationFailed",
          "The TPM did not prove that it holds its endorsement key.",
          "The identity key and the endorsement key are not in one TPM: find out why."},
    Entry{Reason::attestation_invalid, "attestation-invalid", "org.imprint.Error.AttestationInvalid",
          "An attestation does not prove what it should.", "The TPM or the path to it is not what it claims to be."},
    Entry{Reason::storage_key_invalid, "storage-key-invalid", "org.imprint.Error.StorageKeyInvalid",
          "The chip storage key is not the published one.", "The TPM or the daemon is not what it claims to be."},
    Entry{Reason::module_key_invalid, "module-key-invalid", "org.imprint.Error.ModuleKeyInvalid",
          "The module key is not what the protocol demands.", "The TPM or the daemon is not what it claims to be."},
    Entry{Reason::identity_key_invalid, "identity-key-invalid", "org.imprint.Error.IdentityKeyInvalid",
          "The identity key is not what the protocol demands.", "The TPM or the daemon is not what it claims to be."},
    Entry{Reason::epoch_index_invalid, "epoch-index-invalid", "org.imprint.Error.EpochIndexInvalid",
          "The epoch counter is not what the protocol demands.",
          "Somebody else's index stands at the configured handle: choose another, or undefine it."},
    Entry{Reason::epoch_mismatch, "epoch-mismatch", "org.imprint.Error.EpochMismatch",
          "The epoch counter moved in the meantime.", "Start again."},
    Entry{Reason::capability_missing, "capability-missing", "org.imprint.Error.CapabilityMissing",
          "This TPM cannot do what the package needs.", "Use another package profile for this hardware."},
    Entry{Reason::sequence_taken, "sequence-taken", "org.imprint.Error.SequenceTaken",
          "A record with this sequence exists already.", "The device moves on by two and starts again."},
    Entry{Reason::unknown_chip, "unknown-chip", "org.imprint.Error.UnknownChip", "Nothing is known about this chip.",
          "Check the chip identifier."},
    Entry{Reason::package_invalid, "package-invalid", "org.imprint.Error.PackageInvalid",
          "The data package is not acceptable.", "Check the package profile at the station."},
    Entry{Reason::record_invalid, "record-invalid", "org.imprint.Error.RecordInvalid", "The record is not acceptable.",
          "The record was damaged or forged: take it from another copy of the archive."},
    Entry{Reason::record_not_found, "record-not-found", "org.imprint.Error.RecordNotFound",
          "The archive has no such record.", "Check the chip identifier and the archive's address."},
    Entry{Reason::record_foreign, "record-foreign", "org.imprint.Error.RecordForeign",
          "The record belongs to another chip.", "Take the record of this chip."},
    Entry{Reason::record_outdated, "record-outdated", "org.imprint.Error.RecordOutdated",
          "The record is older than the state of this device.", "Take the record with the device's own sequence."},
    Entry{Reason::tpm_unavailable, "tpm-unavailable", "org.imprint.Error.TpmUnavailable", "The TPM cannot be reached.",
          "Check that /dev/tpmrm0 exists, the unit's device policy and the TPM setting."},
    Entry{Reason::tpm_failed, "tpm-failed", "org.imprint.Error.TpmFailed", "The TPM reported an error.",
          "Look the response code up with tpm2_rc_decode."},
    Entry{Reason::tpm_locked_out, "tpm-locked-out", "org.imprint.Error.TpmLockedOut",
          "The TPM is in dictionary-attack lockout.",
          "Wait for its recovery time, or clear the lockout with the lockout authorization."},
    Entry{Reason::tpm_authorization, "tpm-authorization", "org.imprint.Error.TpmAuthorization",
          "The TPM refused the authorization value.",
          "Give the owner and endorsement authorization as systemd credentials."},
    Entry{Reason::tpm_hierarchy_disabled, "tpm-hierarchy-disabled", "org.imprint.Error.TpmHierarchyDisabled",
          "The firmware has disabled a hierarchy of the TPM.",
          "Enable the storage and endorsement hierarchies in the firmware setup."},
    Entry{Reason::tpm_full, "tpm-full", "org.imprint.Error.TpmFull", "The TPM has no room left.",
          "Free NV space, persistent handles or sessions: tpm2_getcap handles-nv-index, handles-persistent, "
          "handles-loaded-session."},
    Entry{Reason::tpm_reset, "tpm-reset", "org.imprint.Error.TpmReset", "The TPM was reset in the middle of the work.",
          "Start again."},
    Entry{Reason::tpm_replaced, "tpm-replaced", "org.imprint.Error.TpmReplaced",
          "This is another TPM than the one that the files belong to.",
          "Move the disk back to its board, or remove the files and recover this board's own."},
    Entry{Reason::tpm_intercepted, "tpm-intercepted", "org.imprint.Error.TpmIntercepted",
          "The TPM answered with a key that is not its own.",
          "Somebody may sit between the processor and the TPM: do not use this board."},
    Entry{Reason::tpm_refused, "tpm-refused", "org.imprint.Error.TpmRefused", "The TPM refused to use the key.",
          "The key belongs to another epoch or was made by another TPM."},
    Entry{Reason::anchor_mismatch, "anchor-mismatch", "org.imprint.Error.AnchorMismatch",
          "The manufacturer's checking key is not the one that the TPM remembers.",
          "The read-only files may have been exchanged: do not go on before you know why."},
    Entry{Reason::tpm_handle_taken, "tpm-handle-taken", "org.imprint.Error.TpmHandleTaken",
          "Something that is not ours stands at a configured TPM handle.",
          "Look at it with tpm2_readpublic or tpm2_nvreadpublic, and remove it or configure another handle."},
    Entry{Reason::transaction_number_required, "transaction-number-required",
          "org.imprint.Error.TransactionNumberRequired", "The station wants a transaction number.",
          "Ask the station's operator for a transaction number or an introduction, and personalize with it."},
    Entry{Reason::transaction_number_mistyped, "transaction-number-mistyped",
          "org.imprint.Error.TransactionNumberMistyped", "The transaction number was mistyped.",
          "Compare it with the original and type it again: no attempt was used up."},
    Entry{Reason::transaction_number_wrong, "transaction-number-wrong", "org.imprint.Error.TransactionNumberWrong",
          "The transaction number is not one of this station's.",
          "Compare it with the original, or ask for a new one."},
    Entry{Reason::transaction_number_used, "transaction-number-used", "org.imprint.Error.TransactionNumberUsed",
          "The transaction number was used already.", "Ask for a new one; each is good for one personalization."},
    Entry{Reason::transaction_number_expired, "transaction-number-expired",
          "org.imprint.Error.TransactionNumberExpired", "The transaction number has expired or was revoked.",
          "Ask for a new one."},
    Entry{Reason::transaction_number_foreign, "transaction-number-foreign",
          "org.imprint.Error.TransactionNumberForeign", "The transaction number was issued for another device.",
          "Use it at the device that it was issued for, or ask for one for this device."},
    Entry{Reason::transaction_number_in_use, "transaction-number-in-use", "org.imprint.Error.TransactionNumberInUse",
          "The transaction number is being used on another connection.",
          "Wait until that personalization has ended; if it fails, the number is free again."},
    Entry{Reason::rate_limited, "rate-limited", "org.imprint.Error.RateLimited", "There were too many attempts.",
          "Wait a minute, then try again."},
    Entry{Reason::operator_unknown, "operator-unknown", "org.imprint.Error.OperatorUnknown",
          "The station does not know this operator.", "Register the certificate: imprint-station operator add."},
    Entry{Reason::operator_revoked, "operator-revoked", "org.imprint.Error.OperatorRevoked",
          "The operator's certificate was revoked at the station.", "Ask who runs the station."},
    Entry{Reason::central_key_unknown, "central-key-unknown", "org.imprint.Error.CentralKeyUnknown",
          "The central system has another key than the one this device was given.",
          "Check the address; if the central system has a new key, install the update that the station signed."},
    Entry{Reason::central_not_certified, "central-not-certified", "org.imprint.Error.CentralNotCertified",
          "The central system's key is not certified by the station.",
          "The station has to sign it with its own signing key: do not go on before you know why it has not."},
    Entry{Reason::central_set_invalid, "central-set-invalid", "org.imprint.Error.CentralSetInvalid",
          "The list of the central system's keys is not acceptable.", "Export it at the station again."},
    Entry{Reason::central_set_outdated, "central-set-outdated", "org.imprint.Error.CentralSetOutdated",
          "The list of the central system's keys is older than the one this device has.",
          "Install the newest one; an old one may have been replayed."},
    Entry{Reason::cross_certificate_missing, "cross-certificate-missing", "org.imprint.Error.CrossCertificateMissing",
          "The central system has not certified the station.",
          "Have the central system certify the station's signing key, or change RequireCrossCertificate=."},
    Entry{Reason::cross_certificate_invalid, "cross-certificate-invalid", "org.imprint.Error.CrossCertificateInvalid",
          "The central system's certificate for the station is not valid.",
          "Have the central system certify the station's present signing key again."},
    Entry{Reason::identity_out_of_scope, "identity-out-of-scope", "org.imprint.Error.IdentityOutOfScope",
          "The station may not certify this device identity.",
          "Its certificates name the identities that it may give: use another station, or have them issued anew."},
    Entry{Reason::root_not_certified, "root-not-certified", "org.imprint.Error.RootNotCertified",
          "The new checking key is not certified by the one that the TPM remembers.",
          "Use a trust bundle that imprint-authority made with the old checking key: see its rollover command."},
    Entry{Reason::certificate_outdated, "certificate-outdated", "org.imprint.Error.CertificateOutdated",
          "The device has been personalized again since this certificate was made.",
          "Connect with the newest certificate."},
    Entry{Reason::transaction_key_invalid, "transaction-key-invalid", "org.imprint.Error.TransactionKeyInvalid",
          "The transaction key is not what the protocol demands.", "The central system is not what it claims to be."},
    Entry{Reason::sync_conflict, "sync-conflict", "org.imprint.Error.SyncConflict",
          "Two stations hold different records of the same thing.",
          "Look at imprint-station conflicts: nothing was lost, and an operator has to decide."},
};

const Entry& entry(Reason reason)
{
    const auto* found = std::ranges::find(table, reason, &Entry::reason);
    return found == table.end() ? table.front() : *found;
}

} // namespace

std::string_view name(Reason reason) { return entry(reason).name; }

std::string_view sentence(Reason reason) { return entry(reason).sentence; }

std::string_view hint(Reason reason) { return entry(reason).hint; }

std::string_view dbus_error(Reason reason) { return entry(reason).dbus_error; }

std::optional<Reason> reason_from_wire(std::uint32_t number)
{
    const auto* found = std::ranges::find(table, static_cast<Reason>(number), &Entry::reason);
    if (found == table.end())
        return std::nullopt;
    return found->reason;
}

} // namespace imprint
