// SPDX-License-Identifier: Apache-2.0
#include "daemon/tpm/session.h"

#include "daemon/structures/marshal.h"

namespace imprint::tpm {

Transient start_session(const Connection& connection, ESYS_TR salt_key, TPM2_SE type, TPMI_ALG_HASH hash)
{
    TPMT_SYM_DEF symmetric{};
    symmetric.algorithm = TPM2_ALG_AES;
    symmetric.keyBits.aes = 128;
    symmetric.mode.aes = TPM2_ALG_CFB;
    ESYS_TR session = ESYS_TR_NONE;
    connection.check(Esys_StartAuthSession(connection.esys(), salt_key, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                           ESYS_TR_NONE, nullptr, type, &symmetric, hash, &session),
                     "start a session");
    return {connection, session};
}

void set_attributes(const Connection& connection, const Transient& session, bool encrypt, bool last)
{
    const TPMA_SESSION attributes = (encrypt ? encrypting : 0) | (last ? 0 : TPMA_SESSION_CONTINUESESSION);
    connection.check(Esys_TRSess_SetAttributes(connection.esys(), session.tr(), attributes, 0xff),
                     "set a session's attributes");
}

HierarchySession::HierarchySession(const Connection& connection, ESYS_TR hierarchy, const Secret& auth,
                                   ESYS_TR salt_key)
{
    if (auth.empty())
        return;
    Cleansed<TPM2B_AUTH> value;
    value.value = structures::to_tpm2b<TPM2B_AUTH>(auth.view());
    connection.check(Esys_TR_SetAuth(connection.esys(), hierarchy, &value.value), "set an authorization value");
    session_ = start_session(connection, salt_key, TPM2_SE_HMAC, TPM2_ALG_SHA256);
    set_attributes(connection, session_, false, true);
}

Transient create_null_salt_key(const Connection& connection)
{
    TPM2B_PUBLIC area{};
    auto& key = area.publicArea;
    key.type = TPM2_ALG_ECC;
    key.nameAlg = TPM2_ALG_SHA256;
    key.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
        TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT;
    key.parameters.eccDetail.symmetric.algorithm = TPM2_ALG_AES;
    key.parameters.eccDetail.symmetric.keyBits.aes = 128;
    key.parameters.eccDetail.symmetric.mode.aes = TPM2_ALG_CFB;
    key.parameters.eccDetail.scheme.scheme = TPM2_ALG_NULL;
    key.parameters.eccDetail.curveID = TPM2_ECC_NIST_P256;
    key.parameters.eccDetail.kdf.scheme = TPM2_ALG_NULL;
    const TPM2B_SENSITIVE_CREATE sensitive{};
    const TPML_PCR_SELECTION pcrs{};
    ESYS_TR handle = ESYS_TR_NONE;
    connection.check(Esys_CreatePrimary(connection.esys(), ESYS_TR_RH_NULL, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                        ESYS_TR_NONE, &sensitive, &area, nullptr, &pcrs, &handle, nullptr, nullptr,
                                        nullptr, nullptr),
                     "create a salt key");
    return {connection, handle};
}

} // namespace imprint::tpm
