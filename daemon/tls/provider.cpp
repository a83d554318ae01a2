// SPDX-License-Identifier: Apache-2.0
#include "daemon/tls/provider.h"

#include "daemon/tls/remote_key.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/x509.h>

namespace imprint::tls {

namespace {

const OSSL_ALGORITHM* algorithms_of(void*, int operation, int* no_cache)
{
    static const OSSL_ALGORITHM keys[]{
        {"EC:id-ecPublicKey:1.2.840.10045.2.1", provider_property, key_management, nullptr}, {}};
    static const OSSL_ALGORITHM signatures[]{{"ECDSA", provider_property, signature_operations, nullptr}, {}};
    *no_cache = 0;
    switch (operation) {
    case OSSL_OP_KEYMGMT:
        return keys;
    case OSSL_OP_SIGNATURE:
        return signatures;
    default:
        return nullptr;
    }
}

// Called once for each library context; there is nothing to remember between calls.
int start(const OSSL_CORE_HANDLE*, const OSSL_DISPATCH*, const OSSL_DISPATCH** functions, void** context)
{
    static const OSSL_DISPATCH offered[]{
        entry<OSSL_FUNC_provider_query_operation_fn>(OSSL_FUNC_PROVIDER_QUERY_OPERATION, boundary<algorithms_of>),
        {0, nullptr}};
    *functions = offered;
    *context = nullptr;
    return 1;
}

// The uncompressed point of a P-256 key that is encoded as RFC 5480 says and in no other way.
Bytes point_of(BytesView spki, OSSL_LIB_CTX* context)
{
    const auto* at = spki.data();
    const pki::Key key(d2i_PUBKEY_ex(nullptr, &at, static_cast<long>(spki.size()), context, "provider=default"));
    char group[32]{};
    Bytes point(point_size);
    std::size_t length = 0;
    if (!key || at != spki.data() + spki.size() ||
        EVP_PKEY_get_group_name(key.get(), group, sizeof group, &length) != 1 ||
        std::string_view(group) != group_name ||
        EVP_PKEY_get_octet_string_param(key.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size(), &length) != 1 ||
        length != point_size || point.front() != POINT_CONVERSION_UNCOMPRESSED)
        throw openssl_error(Reason::invalid_argument, "not the public half of an EC P-256 key");
    return point;
}

} // namespace

struct Provider::State {
    // In this order: providers are unloaded before their library context goes.
    Owned<OSSL_LIB_CTX, OSSL_LIB_CTX_free> context;
    Owned<OSSL_PROVIDER, OSSL_PROVIDER_unload> usual;
    Owned<OSSL_PROVIDER, OSSL_PROVIDER_unload> ours;
};

// A mandatory property query would break signing, and without any query the choice between the two is open.
Provider::Provider()
    : state_(std::make_unique<State>())
{
    auto& [context, usual, ours] = *state_;
    context.reset(OSSL_LIB_CTX_new());
    if (!context || OSSL_PROVIDER_add_builtin(context.get(), provider_name, boundary<start>) != 1)
        throw openssl_error(Reason::internal, "cannot set up OpenSSL");
    usual.reset(OSSL_PROVIDER_load(context.get(), "default"));
    ours.reset(OSSL_PROVIDER_load(context.get(), provider_name));
    if (!usual || !ours || EVP_set_default_properties(context.get(), "?provider=default") != 1)
        throw openssl_error(Reason::internal, "cannot load OpenSSL's providers");
}

Provider::~Provider() = default;

OSSL_LIB_CTX* Provider::context() const { return state_->context.get(); }

pki::Key Provider::key(BytesView spki, Signer signer) const
{
    if (!signer)
        throw Error(Reason::invalid_argument, "a key needs a signer");
    Bytes point = point_of(spki, context());
    std::string group = group_name;
    void* function = &signer;
    OSSL_PARAM parameters[]{OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), 0),
                            OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()),
                            OSSL_PARAM_construct_octet_ptr(signer_parameter, &function, sizeof function),
                            OSSL_PARAM_construct_end()};
    const Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> making(EVP_PKEY_CTX_new_from_name(context(), "EC", provider_property));
    EVP_PKEY* key = nullptr;
    if (!making || EVP_PKEY_fromdata_init(making.get()) != 1 ||
        EVP_PKEY_fromdata(making.get(), &key, EVP_PKEY_KEYPAIR, parameters) != 1)
        throw openssl_error(Reason::internal, "cannot make a key of the provider");
    return pki::Key(key);
}

} // namespace imprint::tls
