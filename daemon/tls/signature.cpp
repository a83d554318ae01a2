// SPDX-License-Identifier: Apache-2.0
// Signing with the provider's keys: the message is gathered whole and handed to the key's Signer at the end.
#include "daemon/tls/remote_key.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include <array>

namespace imprint::tls {

namespace {

struct Signing {
    std::shared_ptr<const Signer> signer;
    Bytes message;
};

// AlgorithmIdentifier { ecdsa-with-SHA256 }, RFC 5758.
constexpr std::array<std::uint8_t, 12> algorithm_identifier{0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                                            0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};

bool is_sha256(std::string_view digest)
{
    const auto same = [digest](std::string_view name) {
        return std::ranges::equal(digest, name,
                                  [](char a, char b) { return (a >= 'a' && a <= 'z' ? a - 32 : a) == b; });
    };
    return same("SHA256") || same("SHA2-256") || same("SHA-256") || same("2.16.840.1.101.3.4.2.1");
}

void* new_signing(void*, const char*) { return std::make_unique<Signing>().release(); }

void free_signing(void* signing) { std::unique_ptr<Signing>(static_cast<Signing*>(signing)).reset(); }

void* copy_signing(void* signing) { return std::make_unique<Signing>(*static_cast<Signing*>(signing)).release(); }

// Without a key the last one is used again, as EVP allows.
int begin(void* data, const char* digest, void* key, const OSSL_PARAM[])
{
    auto& signing = *static_cast<Signing*>(data);
    if (digest != nullptr && *digest != '\0' && !is_sha256(digest))
        throw Error(Reason::invalid_argument, std::string("this key signs with SHA-256 only, not with ") + digest);
    if (key != nullptr)
        signing.signer = static_cast<const RemoteKey*>(key)->signer;
    signing.message.clear();
    return signing.signer != nullptr;
}

int update(void* data, const unsigned char* part, std::size_t length)
{
    auto& message = static_cast<Signing*>(data)->message;
    if (length > max_message - message.size())
        throw Error(Reason::message_too_large, "no more than 64 KiB can be signed");
    message.insert(message.end(), part, part + length);
    return 1;
}

// A null `signature` asks for the room to provide.
int finish(void* data, unsigned char* signature, std::size_t* length, std::size_t room)
{
    auto& signing = *static_cast<Signing*>(data);
    if (signature == nullptr) {
        *length = max_signature;
        return 1;
    }
    const Bytes made = (*signing.signer)(signing.message);
    if (made.empty() || made.size() > std::min(room, max_signature))
        throw Error(Reason::signature_invalid, "a signature of " + std::to_string(made.size()) + " bytes was returned");
    std::ranges::copy(made, signature);
    *length = made.size();
    return 1;
}

int get_parameters(void*, OSSL_PARAM parameters[])
{
    auto* identifier = OSSL_PARAM_locate(parameters, OSSL_SIGNATURE_PARAM_ALGORITHM_ID);
    return identifier == nullptr ||
        OSSL_PARAM_set_octet_string(identifier, algorithm_identifier.data(), algorithm_identifier.size());
}

const OSSL_PARAM* gettable_parameters(void*, void*)
{
    static const OSSL_PARAM gettable[]{OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, nullptr, 0),
                                       OSSL_PARAM_END};
    return gettable;
}

} // namespace

const OSSL_DISPATCH signature_operations[]{
    entry<OSSL_FUNC_signature_newctx_fn>(OSSL_FUNC_SIGNATURE_NEWCTX, boundary<new_signing>),
    entry<OSSL_FUNC_signature_freectx_fn>(OSSL_FUNC_SIGNATURE_FREECTX, boundary<free_signing>),
    entry<OSSL_FUNC_signature_dupctx_fn>(OSSL_FUNC_SIGNATURE_DUPCTX, boundary<copy_signing>),
    entry<OSSL_FUNC_signature_digest_sign_init_fn>(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, boundary<begin>),
    entry<OSSL_FUNC_signature_digest_sign_update_fn>(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, boundary<update>),
    entry<OSSL_FUNC_signature_digest_sign_final_fn>(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, boundary<finish>),
    entry<OSSL_FUNC_signature_get_ctx_params_fn>(OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, boundary<get_parameters>),
    entry<OSSL_FUNC_signature_gettable_ctx_params_fn>(OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS,
                                                      boundary<gettable_parameters>),
    {0, nullptr}};

} // namespace imprint::tls
