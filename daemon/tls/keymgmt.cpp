// SPDX-License-Identifier: Apache-2.0
// Key management of the provider: keys come in with their Signer, their public half goes out.
#include "daemon/tls/remote_key.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

namespace imprint::tls {

namespace {

void* new_key(void*) { return std::make_unique<RemoteKey>().release(); }

void free_key(void* key) { std::unique_ptr<RemoteKey>(static_cast<RemoteKey*>(key)).reset(); }

int has(const void* data, int selection)
{
    const auto& key = *static_cast<const RemoteKey*>(data);
    const bool lacks_private = (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 && !key.signer;
    const bool lacks_public = (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0 && key.point.empty();
    return !lacks_private && !lacks_public;
}

// A key without a Signer is not ours: public keys belong to the default provider.
int import_key(void* data, int, const OSSL_PARAM parameters[])
{
    const auto* group = OSSL_PARAM_locate_const(parameters, OSSL_PKEY_PARAM_GROUP_NAME);
    const auto* point = OSSL_PARAM_locate_const(parameters, OSSL_PKEY_PARAM_PUB_KEY);
    const auto* signer = OSSL_PARAM_locate_const(parameters, signer_parameter);
    const char* name = nullptr;
    const void *coordinates = nullptr, *function = nullptr;
    std::size_t length = 0, ignored = 0;
    if (OSSL_PARAM_get_octet_ptr(signer, &function, &ignored) != 1 ||
        OSSL_PARAM_get_utf8_string_ptr(group, &name) != 1 || std::string_view(name) != group_name ||
        OSSL_PARAM_get_octet_string_ptr(point, &coordinates, &length) != 1 || length != point_size)
        return 0;
    const auto* bytes = static_cast<const std::uint8_t*>(coordinates);
    *static_cast<RemoteKey*>(data) = {{bytes, bytes + length},
                                      std::make_shared<Signer>(*static_cast<const Signer*>(function))};
    return 1;
}

const OSSL_PARAM* import_types(int)
{
    static const OSSL_PARAM types[]{OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, nullptr, 0),
                                    OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, nullptr, 0),
                                    OSSL_PARAM_octet_ptr(signer_parameter, nullptr, 0), OSSL_PARAM_END};
    return types;
}

// Whatever asks for the private key as well must not get even the public one: the default provider would take it for
// a whole key, sign with it and fail ("missing private key").
int export_key(void* data, int selection, OSSL_CALLBACK* take, void* argument)
{
    if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0)
        return 0;
    auto& point = static_cast<RemoteKey*>(data)->point;
    std::string group = group_name;
    const OSSL_PARAM parameters[]{
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()),
        OSSL_PARAM_construct_end()};
    return take(parameters, argument);
}

const OSSL_PARAM* export_types(int selection)
{
    static const OSSL_PARAM types[]{OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, nullptr, 0),
                                    OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, nullptr, 0), OSSL_PARAM_END};
    return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ? nullptr : types;
}

const char* operation_name(int operation) { return operation == OSSL_OP_SIGNATURE ? "ECDSA" : nullptr; }

bool set_text(OSSL_PARAM* where, const char* text)
{
    return where == nullptr || OSSL_PARAM_set_utf8_string(where, text) == 1;
}

bool set_number(OSSL_PARAM* where, std::size_t number)
{
    return where == nullptr || OSSL_PARAM_set_size_t(where, number) == 1;
}

bool set_bytes(OSSL_PARAM* where, BytesView bytes)
{
    return where == nullptr || OSSL_PARAM_set_octet_string(where, bytes.data(), bytes.size()) == 1;
}

int get_parameters(void* data, OSSL_PARAM parameters[])
{
    const auto& point = static_cast<RemoteKey*>(data)->point;
    const auto wanted = [parameters](const char* name) { return OSSL_PARAM_locate(parameters, name); };
    return set_number(wanted(OSSL_PKEY_PARAM_BITS), 256) && set_number(wanted(OSSL_PKEY_PARAM_SECURITY_BITS), 128) &&
        set_number(wanted(OSSL_PKEY_PARAM_MAX_SIZE), max_signature) &&
        set_text(wanted(OSSL_PKEY_PARAM_DEFAULT_DIGEST), "SHA256") &&
        set_text(wanted(OSSL_PKEY_PARAM_GROUP_NAME), group_name) && set_bytes(wanted(OSSL_PKEY_PARAM_PUB_KEY), point) &&
        set_bytes(wanted(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY), point);
}

const OSSL_PARAM* gettable_parameters(void*)
{
    static const OSSL_PARAM gettable[]{OSSL_PARAM_size_t(OSSL_PKEY_PARAM_BITS, nullptr),
                                       OSSL_PARAM_size_t(OSSL_PKEY_PARAM_SECURITY_BITS, nullptr),
                                       OSSL_PARAM_size_t(OSSL_PKEY_PARAM_MAX_SIZE, nullptr),
                                       OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, nullptr, 0),
                                       OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, nullptr, 0),
                                       OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, nullptr, 0),
                                       OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, nullptr, 0),
                                       OSSL_PARAM_END};
    return gettable;
}

} // namespace

const OSSL_DISPATCH key_management[]{
    entry<OSSL_FUNC_keymgmt_new_fn>(OSSL_FUNC_KEYMGMT_NEW, boundary<new_key>),
    entry<OSSL_FUNC_keymgmt_free_fn>(OSSL_FUNC_KEYMGMT_FREE, boundary<free_key>),
    entry<OSSL_FUNC_keymgmt_has_fn>(OSSL_FUNC_KEYMGMT_HAS, boundary<has>),
    entry<OSSL_FUNC_keymgmt_import_fn>(OSSL_FUNC_KEYMGMT_IMPORT, boundary<import_key>),
    entry<OSSL_FUNC_keymgmt_import_types_fn>(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, boundary<import_types>),
    entry<OSSL_FUNC_keymgmt_export_fn>(OSSL_FUNC_KEYMGMT_EXPORT, boundary<export_key>),
    entry<OSSL_FUNC_keymgmt_export_types_fn>(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, boundary<export_types>),
    entry<OSSL_FUNC_keymgmt_query_operation_name_fn>(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, boundary<operation_name>),
    entry<OSSL_FUNC_keymgmt_get_params_fn>(OSSL_FUNC_KEYMGMT_GET_PARAMS, boundary<get_parameters>),
    entry<OSSL_FUNC_keymgmt_gettable_params_fn>(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, boundary<gettable_parameters>),
    {0, nullptr}};

} // namespace imprint::tls
