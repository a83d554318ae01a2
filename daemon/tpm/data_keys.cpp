// SPDX-License-Identifier: Apache-2.0
// The keys of data packages at work. The session of the work authorizes nothing here: it encrypts.
#include "daemon/structures/encode.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/public_key.h"
#include "daemon/tpm/rc.h"
#include "daemon/tpm/security_module.h"

namespace imprint::tpm {

namespace {

constexpr TPMT_RSA_DECRYPT oaep_sha256{.scheme = TPM2_ALG_OAEP, .details = {.oaep = {.hashAlg = TPM2_ALG_SHA256}}};

Bytes bytes_of(const TPMT_SIGNATURE& signature)
{
    const auto bytes = [](const auto& part) {
        const BytesView view = structures::view(part);
        return Bytes(view.begin(), view.end());
    };
    switch (signature.sigAlg) {
    case TPM2_ALG_ECDSA:
        return structures::der_signature(structures::view(signature.signature.ecdsa.signatureR),
                                         structures::view(signature.signature.ecdsa.signatureS));
    case TPM2_ALG_RSASSA:
        return bytes(signature.signature.rsassa.sig);
    case TPM2_ALG_RSAPSS:
        return bytes(signature.signature.rsapss.sig);
    default:
        throw Error(Reason::tpm_failed, "the TPM signed with another algorithm");
    }
}

// What the TPM does not take came from a program: no fault of the TPM's.
void check(const Connection& connection, TSS2_RC rc, const std::string& doing)
{
    if (is_unfit(rc))
        throw Error(Reason::tpm_refused, error_of(rc, doing).what());
    connection.check(rc, doing);
}

} // namespace

Bytes SecurityModule::Work::sign(const Transient& key, const TPMT_SIG_SCHEME& scheme, BytesView digest)
{
    const auto in = structures::to_tpm2b<TPM2B_DIGEST>(digest);
    Received<TPMT_SIGNATURE> signature;
    const auto& connection = module_->connection_;
    check(connection,
          Esys_Sign(connection.esys(), key.tr(), ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &in, &scheme, &no_ticket,
                    signature.out()),
          "sign with a data key");
    return bytes_of(*signature);
}

Secret SecurityModule::Work::hmac_with(const Transient& key, BytesView message)
{
    const auto in = structures::to_tpm2b<TPM2B_MAX_BUFFER>(message);
    Received<TPM2B_DIGEST> value;
    attributes(use());
    const auto& connection = module_->connection_;
    check(connection,
          Esys_HMAC(connection.esys(), key.tr(), ESYS_TR_PASSWORD, session_.tr(), ESYS_TR_NONE, &in, TPM2_ALG_SHA256,
                    value.out()),
          "compute an HMAC with a data key");
    done(use());
    return Secret(structures::view(*value));
}

Secret SecurityModule::Work::agree(const Transient& key, const TPMS_ECC_POINT& peer)
{
    const TPM2B_ECC_POINT in{0, peer};
    Received<TPM2B_ECC_POINT> shared;
    attributes(use());
    const auto& connection = module_->connection_;
    check(connection,
          Esys_ECDH_ZGen(connection.esys(), key.tr(), ESYS_TR_PASSWORD, session_.tr(), ESYS_TR_NONE, &in, shared.out()),
          "agree on a secret with a data key");
    done(use());
    // A TPM may leave leading zeros away.
    Bytes x = structures::padded(structures::view(shared->point.x), peer.x.size);
    Secret out{BytesView(x)};
    cleanse(x);
    return out;
}

Secret SecurityModule::Work::decrypt(const Transient& key, BytesView ciphertext)
{
    const auto in = structures::to_tpm2b<TPM2B_PUBLIC_KEY_RSA>(ciphertext);
    const TPM2B_DATA no_label{};
    Received<TPM2B_PUBLIC_KEY_RSA> message;
    attributes(use());
    const auto& connection = module_->connection_;
    check(connection,
          Esys_RSA_Decrypt(connection.esys(), key.tr(), ESYS_TR_PASSWORD, session_.tr(), ESYS_TR_NONE, &in,
                           &oaep_sha256, &no_label, message.out()),
          "decrypt with a data key");
    done(use());
    return Secret(structures::view(*message));
}

Secret SecurityModule::Work::unseal_data(const Transient& sealed)
{
    Received<TPM2B_SENSITIVE_DATA> data;
    attributes(use());
    const auto& connection = module_->connection_;
    connection.check(
        Esys_Unseal(connection.esys(), sealed.tr(), ESYS_TR_PASSWORD, session_.tr(), ESYS_TR_NONE, data.out()),
        "unseal a secret of a data package");
    done(use());
    return Secret(structures::view(*data));
}

} // namespace imprint::tpm
