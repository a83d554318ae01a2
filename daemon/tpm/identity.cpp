// SPDX-License-Identifier: Apache-2.0
// Signatures by the identity key: restricted, so the TPM itself has to hash what it signs.
#include "daemon/structures/marshal.h"
#include "daemon/tpm/attestation.h"
#include "daemon/tpm/security_module.h"

namespace imprint::tpm {

namespace {

struct Hashed {
    Received<TPM2B_DIGEST> digest;
    Received<TPMT_TK_HASHCHECK> ticket;
};

void hash(const Connection& connection, BytesView message, Hashed& out)
{
    const auto data = structures::to_tpm2b<TPM2B_MAX_BUFFER>(message);
    connection.check(Esys_Hash(connection.esys(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &data, TPM2_ALG_SHA256,
                               ESYS_TR_RH_ENDORSEMENT, out.digest.out(), out.ticket.out()),
                     "hash a message in the TPM");
}

void hash_in_pieces(const Connection& connection, BytesView message, Hashed& out)
{
    const TPM2B_AUTH no_auth{};
    ESYS_TR handle = ESYS_TR_NONE;
    connection.check(Esys_HashSequenceStart(connection.esys(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &no_auth,
                                            TPM2_ALG_SHA256, &handle),
                     "start to hash in the TPM");
    Transient sequence(connection, handle);
    while (message.size() > TPM2_MAX_DIGEST_BUFFER) {
        const auto data = structures::to_tpm2b<TPM2B_MAX_BUFFER>(message.first(TPM2_MAX_DIGEST_BUFFER));
        connection.check(
            Esys_SequenceUpdate(connection.esys(), handle, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &data),
            "hash a piece in the TPM");
        message = message.subspan(TPM2_MAX_DIGEST_BUFFER);
    }
    const auto rest = structures::to_tpm2b<TPM2B_MAX_BUFFER>(message);
    connection.check(Esys_SequenceComplete(connection.esys(), handle, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                                           &rest, ESYS_TR_RH_ENDORSEMENT, out.digest.out(), out.ticket.out()),
                     "end to hash in the TPM");
    sequence.release(); // completing it has flushed it
}

} // namespace

Bytes SecurityModule::sign_with_identity_key(BytesView message)
{
    const auto key = identity();
    Hashed hashed;
    if (message.size() <= TPM2_MAX_DIGEST_BUFFER)
        hash(connection_, message, hashed);
    else
        hash_in_pieces(connection_, message, hashed);
    Received<TPMT_SIGNATURE> signature;
    connection_.check(Esys_Sign(connection_.esys(), key, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &*hashed.digest,
                                &keys_own_scheme(), &*hashed.ticket, signature.out()),
                      "sign with the identity key");
    return structures::to_der_signature(structures::marshal(*signature)).or_throw();
}

} // namespace imprint::tpm
