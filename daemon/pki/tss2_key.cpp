// SPDX-License-Identifier: Apache-2.0
#include "daemon/pki/tss2_key.h"

#include "daemon/pki/handles.h"

#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <limits>
#include <optional>

namespace imprint::pki {

// TPMKey ::= SEQUENCE { type OBJECT IDENTIFIER, emptyAuth [0] EXPLICIT BOOLEAN OPTIONAL, ..., parent INTEGER,
//                       pubkey OCTET STRING, privkey OCTET STRING } (draft-woodhouse-cert-best-practice); what may
// stand at the dots (policy, secret, authPolicy) is for keys that we do not make.
struct TpmKey {
    ASN1_OBJECT* type;
    ASN1_BOOLEAN empty_auth;
    ASN1_INTEGER* parent;
    ASN1_OCTET_STRING* object;
    ASN1_OCTET_STRING* sensitive;
};
DECLARE_ASN1_FUNCTIONS(TpmKey)

ASN1_SEQUENCE(TpmKey) =
    {
        ASN1_SIMPLE(TpmKey, type, ASN1_OBJECT),
        ASN1_EXP(TpmKey, empty_auth, ASN1_BOOLEAN, 0),
        ASN1_SIMPLE(TpmKey, parent, ASN1_INTEGER),
        ASN1_SIMPLE(TpmKey, object, ASN1_OCTET_STRING),
        ASN1_SIMPLE(TpmKey, sensitive, ASN1_OCTET_STRING),
} ASN1_SEQUENCE_END(TpmKey) IMPLEMENT_ASN1_FUNCTIONS(TpmKey)

        namespace
{

    constexpr char loadable_key_oid[] = "2.23.133.10.1.3";
    constexpr char pem_name[] = "TSS2 PRIVATE KEY";
    constexpr ASN1_BOOLEAN yes = 0xff; // as DER has it

    using Value = Owned<TpmKey, TpmKey_free>;
    template <class T>
    using Allocated = Owned<T, [](T* p) { OPENSSL_free(p); }>;

    void set(ASN1_OCTET_STRING * to, const Bytes& from)
    {
        require(ASN1_OCTET_STRING_set(to, from.data(), static_cast<int>(from.size())) == 1, "cannot encode a key file");
    }

    Bytes der(const Tss2Key& key)
    {
        const Value value(TpmKey_new());
        require(value != nullptr && ASN1_INTEGER_set_uint64(value->parent, key.parent) == 1,
                "cannot encode a key file");
        ASN1_OBJECT_free(value->type);
        value->type = object(loadable_key_oid).release();
        value->empty_auth = yes;
        set(value->object, key.object);
        set(value->sensitive, key.sensitive);
        return encode<i2d_TpmKey>(value.get());
    }

    Bytes copy(const ASN1_OCTET_STRING* from)
    {
        const auto bytes = view(from);
        return {bytes.begin(), bytes.end()};
    }

    std::optional<Tss2Key> from_der(const std::uint8_t* at, long size)
    {
        const Value value(d2i_TpmKey(nullptr, &at, size));
        std::uint64_t parent = 0;
        if (!value || ASN1_INTEGER_get_uint64(&parent, value->parent) != 1 ||
            parent > std::numeric_limits<std::uint32_t>::max())
            return std::nullopt;
        return Tss2Key{static_cast<std::uint32_t>(parent), copy(value->object), copy(value->sensitive)};
    }

    std::optional<Tss2Key> read(BytesView pem)
    {
        const Bio bio = reader(pem);
        char *name = nullptr, *header = nullptr;
        unsigned char* data = nullptr;
        long size = 0;
        const bool found = PEM_read_bio(bio.get(), &name, &header, &data, &size) == 1;
        const Allocated<char> owned_name(name), owned_header(header);
        const Allocated<unsigned char> owned_data(data);
        return found ? from_der(data, size) : std::nullopt;
    }

} // namespace

Bytes to_pem(const Tss2Key& key)
{
    const Bytes content = der(key);
    const Bio bio = writer();
    require(PEM_write_bio(bio.get(), pem_name, "", content.data(), static_cast<long>(content.size())) > 0,
            "cannot write a key file");
    const auto pem = written(bio.get());
    return {pem.begin(), pem.end()};
}

Result<Tss2Key> tss2_key_from_pem(BytesView pem)
{
    auto key = pem.size() <= max_tss2_key ? read(pem) : std::nullopt;
    ERR_clear_error();
    if (!key || !std::ranges::equal(to_pem(*key), pem))
        return Refusal{Reason::malformed_message, "not a TSS2 key file of the form that is written here"};
    return *std::move(key);
}

} // namespace imprint::pki
