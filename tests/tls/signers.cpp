// SPDX-License-Identifier: Apache-2.0
#include "tests/tls/signers.h"

namespace imprint::test {

namespace {

constexpr const char* refusal = "cannot sign with the module key: policy check failed (0x99d)";

} // namespace

tls::Signer signer_of(EVP_PKEY* key)
{
    return [key](BytesView message) {
        const Owned<EVP_MD_CTX, EVP_MD_CTX_free> signing(EVP_MD_CTX_new());
        Bytes signature(72);
        std::size_t size = signature.size();
        if (EVP_DigestSignInit_ex(signing.get(), nullptr, "SHA256", nullptr, nullptr, key, nullptr) != 1 ||
            EVP_DigestSign(signing.get(), signature.data(), &size, message.data(), message.size()) != 1)
            throw openssl_error(Reason::internal, "software signer");
        signature.resize(size);
        return signature;
    };
}

Bytes refusing_signer(BytesView) { throw Error(Reason::tpm_refused, refusal); }

bool is_refusing_signers(const Error& error)
{
    return error.reason() == Reason::tpm_refused && error.what() == std::string_view(refusal);
}

} // namespace imprint::test
