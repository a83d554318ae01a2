// SPDX-License-Identifier: Apache-2.0
#include "daemon/tpm/rc.h"

#include <tss2/tss2_esys.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tcti.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace imprint::tpm {

namespace {

struct Row {
    TSS2_RC code; // format-one codes without their handle, session and parameter numbers
    Reason reason;
};

constexpr std::array tpm_codes{
    Row{TPM2_RC_LOCKOUT, Reason::tpm_locked_out},
    Row{TPM2_RC_AUTH_FAIL, Reason::tpm_authorization},
    Row{TPM2_RC_BAD_AUTH, Reason::tpm_authorization},
    Row{TPM2_RC_AUTH_MISSING, Reason::tpm_authorization},
    Row{TPM2_RC_NV_AUTHORIZATION, Reason::tpm_authorization},
    Row{TPM2_RC_HIERARCHY, Reason::tpm_hierarchy_disabled},
    Row{TPM2_RC_NV_SPACE, Reason::tpm_full},
    Row{TPM2_RC_OBJECT_MEMORY, Reason::tpm_full},
    Row{TPM2_RC_SESSION_MEMORY, Reason::tpm_full},
    Row{TPM2_RC_MEMORY, Reason::tpm_full},
    Row{TPM2_RC_SESSION_HANDLES, Reason::tpm_full},
    Row{TPM2_RC_OBJECT_HANDLES, Reason::tpm_full},
    Row{TPM2_RC_CONTEXT_GAP, Reason::tpm_full},
    Row{TPM2_RC_NV_DEFINED, Reason::tpm_handle_taken},
    // A transient object or a session that we hold is gone.
    Row{TPM2_RC_INITIALIZE, Reason::tpm_reset},
    Row{TPM2_RC_REFERENCE_H0, Reason::tpm_reset},
    Row{TPM2_RC_REFERENCE_H1, Reason::tpm_reset},
    Row{TPM2_RC_REFERENCE_H2, Reason::tpm_reset},
    Row{TPM2_RC_REFERENCE_S0, Reason::tpm_reset},
    Row{TPM2_RC_REFERENCE_S1, Reason::tpm_reset},
    Row{TPM2_RC_REFERENCE_S2, Reason::tpm_reset},
    // Policies that do not hold, blobs of another parent or TPM.
    Row{TPM2_RC_POLICY, Reason::tpm_refused},
    Row{TPM2_RC_POLICY_FAIL, Reason::tpm_refused},
    Row{TPM2_RC_POLICY_CC, Reason::tpm_refused},
    Row{TPM2_RC_EXPIRED, Reason::tpm_refused},
    Row{TPM2_RC_AUTH_TYPE, Reason::tpm_refused},
    Row{TPM2_RC_AUTH_UNAVAILABLE, Reason::tpm_refused},
    Row{TPM2_RC_INTEGRITY, Reason::tpm_refused},
    Row{TPM2_RC_BINDING, Reason::tpm_refused},
};

constexpr TSS2_RC format_one = 0x080;
constexpr TSS2_RC format_one_code = 0x0BF;

TSS2_RC without_numbers(TSS2_RC rc) { return rc & format_one ? rc & format_one_code : rc; }

bool from_tpm(TSS2_RC rc)
{
    const auto layer = rc & TSS2_RC_LAYER_MASK;
    return layer == TSS2_TPM_RC_LAYER || layer == TSS2_RESMGR_TPM_RC_LAYER;
}

Reason reason_of_tpm(TSS2_RC rc)
{
    const auto code = without_numbers(rc & ~TSS2_RC_LAYER_MASK);
    const auto* row = std::ranges::find(tpm_codes, code, &Row::code);
    return row == tpm_codes.end() ? Reason::tpm_failed : row->reason;
}

} // namespace

Reason reason_of(TSS2_RC rc)
{
    if (from_tpm(rc))
        return reason_of_tpm(rc);
    switch (rc) {
    case TSS2_ESYS_RC_RSP_AUTH_FAILED: // the answer was changed on its way
        return Reason::tpm_intercepted;
    case TSS2_ESYS_RC_BAD_SEQUENCE: // after a TCTI failed, its ESYS context is of no more use
        return Reason::tpm_unavailable;
    default:
        return (rc & TSS2_RC_LAYER_MASK) == TSS2_TCTI_RC_LAYER ? Reason::tpm_unavailable : Reason::tpm_failed;
    }
}

Error error_of(TSS2_RC rc, const std::string& doing)
{
    std::array<char, 8> digits{};
    char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), rc, 16).ptr;
    return {reason_of(rc),
            "cannot " + doing + ": " + Tss2_RC_Decode(rc) + " (0x" + std::string(digits.data(), end) + ")"};
}

bool is_gone(TSS2_RC rc) { return from_tpm(rc) && (rc & ~TSS2_RC_LAYER_MASK) == TPM2_RC_REFERENCE_H0; }

bool is_missing(TSS2_RC rc) { return from_tpm(rc) && without_numbers(rc & ~TSS2_RC_LAYER_MASK) == TPM2_RC_HANDLE; }

bool is_unfit(TSS2_RC rc)
{
    constexpr std::array<TSS2_RC, 7> codes{TPM2_RC_VALUE, TPM2_RC_SIZE,  TPM2_RC_SCHEME,   TPM2_RC_HASH,
                                           TPM2_RC_CURVE, TPM2_RC_RANGE, TPM2_RC_ECC_POINT};
    return from_tpm(rc) && std::ranges::count(codes, without_numbers(rc & ~TSS2_RC_LAYER_MASK)) > 0;
}

} // namespace imprint::tpm
