// SPDX-License-Identifier: Apache-2.0
// Authorization sessions: salted, with AES-128-CFB parameter encryption.
#pragma once

#include "daemon/tpm/object.h"

namespace imprint::tpm {

inline constexpr TPMA_SESSION encrypting = TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT;

// `salt_key`: a decryption key whose public part the caller has checked. `hash` is that of the policy. [1]
Transient start_session(const Connection& connection, ESYS_TR salt_key, TPM2_SE type, TPMI_ALG_HASH hash);

// Sets what the next command uses the session for: ESYS strips attributes that a command does not support and, where
// that command fails, does not put them back. No TPM command.
void set_attributes(const Connection& connection, const Transient& session, bool encrypt, bool last);

// The authorization of one command by a hierarchy's auth value. Empty: a password session. Otherwise a salted HMAC
// session, so that the value never goes over the bus, nor anything to guess it from. [0, 1 with a value]
class HierarchySession {
public:
    HierarchySession(const Connection& connection, ESYS_TR hierarchy, const Secret& auth, ESYS_TR salt_key);
    ESYS_TR tr() const { return session_.tr() == ESYS_TR_NONE ? ESYS_TR_PASSWORD : session_.tr(); }
    // The command has succeeded and thereby ended the session.
    void spent() noexcept { session_.release(); }

private:
    Transient session_;
};

// An ephemeral decryption key in the NULL hierarchy, which needs no authorization: the salt key of last resort. [1]
Transient create_null_salt_key(const Connection& connection);

} // namespace imprint::tpm
