// SPDX-License-Identifier: Apache-2.0
// A real TPM for comparing what is computed with what it computes. Calls throw std::runtime_error where it refuses.
#pragma once

#include "daemon/structures/attest.h"
#include "daemon/structures/wrap.h"
#include "tests/support/software_tpm.h"
#include "tests/support/test_tcti.h"

#include <tss2/tss2_esys.h>

#include <functional>
#include <span>

namespace imprint::structures {

struct Object {
    ESYS_TR tr = ESYS_TR_NONE;
    TPMT_PUBLIC area{};
    Bytes name;
    Bytes qualified_name;
};

struct ModuleKey {
    Object object;
    TPM2B_CREATION_DATA creation_data{};
    TPM2B_DIGEST creation_hash{};
    TPMT_TK_CREATION ticket{};
};

constexpr TPM2_HANDLE epoch_handle = 0x0180494D;

class Chip {
public:
    explicit Chip(test::SoftwareTpm::Kind kind = test::SoftwareTpm::Kind::bare);
    ~Chip() { Esys_Finalize(&esys_); }

    ESYS_CONTEXT* esys() const { return esys_; }
    void clear() { tpm_.clear(); }

    Object create_primary(ESYS_TR hierarchy, const TPMT_PUBLIC& area);
    Object storage_key();
    Object identity_key();
    Object read_public(ESYS_TR tr);
    Object at(TPM2_HANDLE handle);
    void flush(ESYS_TR tr);

    // A session for one command; it ends with it.
    ESYS_TR session(TPM2_SE type, TPMI_ALG_HASH alg = TPM2_ALG_SHA256);
    // A policy session that may do `command` with the chip storage key.
    ESYS_TR storage_session(TPM2_CC command);
    // What the TPM makes of a policy in a trial session.
    Bytes trial(const std::function<void(ESYS_TR)>& policy, TPMI_ALG_HASH alg = TPM2_ALG_SHA256);
    void policy_or(ESYS_TR session, std::span<const Bytes> branches);

    // The epoch counter, defined by its template and incremented until even; the value after it.
    std::uint64_t define_epoch();
    ESYS_TR epoch();
    TPMS_NV_PUBLIC epoch_area();
    Bytes read_nv(TPM2_HANDLE index); // owner authorization
    ModuleKey create_module_key(ESYS_TR storage_key, const TPMT_PUBLIC& area);

    Object import(ESYS_TR storage_key, const Importable& importable);
    Secret activate(const Object& ek, bool policy_b, const Object& object, const Credential& credential);

    Attestation certify(ESYS_TR signer, ESYS_TR object, BytesView qualifying_data);
    Attestation certify_creation(ESYS_TR signer, const ModuleKey& key, BytesView qualifying_data);
    Attestation certify_epoch(ESYS_TR signer, BytesView qualifying_data);
    Attestation quote(ESYS_TR signer, BytesView qualifying_data);

private:
    test::SoftwareTpm tpm_;
    test::Wire wire_;
    std::unique_ptr<TSS2_TCTI_CONTEXT, std::function<void(TSS2_TCTI_CONTEXT*)>> tcti_;
    ESYS_CONTEXT* esys_ = nullptr;
};

void check(TSS2_RC rc, const char* doing);

// Takes over what ESYS allocated.
template <class T>
T take(T* allocated)
{
    const T out = *allocated;
    Esys_Free(allocated);
    return out;
}

} // namespace imprint::structures
