// SPDX-License-Identifier: Apache-2.0
#include "daemon/structures/child.h"

#include "daemon/structures/encode.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/outer_wrap.h"
#include "daemon/structures/public_key.h"
#include "daemon/structures/sensitive.h"

namespace imprint::structures {
namespace {

void require(bool fits, const char* what)
{
    if (!fits)
        throw Error(Reason::invalid_argument, what);
}

void require_parent(const TPMT_PUBLIC& parent, const Secret& seed)
{
    require(is_importable_parent(parent), "a parent is not of the template");
    require(seed.size() == digest_size(parent.nameAlg), "a parent's seed has a wrong length");
}

} // namespace

TPMT_PUBLIC importable_parent(BytesView x, BytesView y)
{
    TPMT_PUBLIC area = importable_ecc_key(x, y, {}, KeyUse::decrypt);
    area.objectAttributes |= TPMA_OBJECT_RESTRICTED;
    area.parameters.eccDetail.symmetric.algorithm = TPM2_ALG_AES;
    area.parameters.eccDetail.symmetric.keyBits.aes = 128;
    area.parameters.eccDetail.symmetric.mode.aes = TPM2_ALG_CFB;
    return area;
}

bool is_importable_parent(const TPMT_PUBLIC& object)
{
    if (object.type != TPM2_ALG_ECC)
        return false;
    const Bytes name = name_of(object);
    return !name.empty() && name == name_of(importable_parent(view(object.unique.ecc.x), view(object.unique.ecc.y))) &&
        to_pkey(object);
}

bool is_child(const TPMT_PUBLIC& object)
{
    constexpr TPMA_OBJECT both = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT;
    return (object.objectAttributes & both) == TPMA_OBJECT_FIXEDPARENT;
}

Secret make_parent_seed() { return random_secret(digest_size(TPM2_ALG_SHA256)); }

Importable wrap_parent(const TPMT_PUBLIC& storage_key, const TPMT_PUBLIC& parent, const Secret& scalar,
                       const Secret& seed)
{
    require_parent(parent, seed);
    TPMT_PUBLIC area = parent;
    Cleansed<TPMT_SENSITIVE> sensitive;
    fill_sensitive(area, sensitive.value, scalar);
    std::ranges::copy(seed, sensitive.value.seedValue.buffer);
    sensitive.value.seedValue.size = static_cast<UINT16>(seed.size());
    return wrap(storage_key, area, sensitive.value);
}

Loadable make_child(const TPMT_PUBLIC& parent, const Secret& seed, TPMT_PUBLIC object, const Secret& value)
{
    require_parent(parent, seed);
    require((object.objectAttributes & (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_ENCRYPTEDDUPLICATION)) == 0,
            "the attributes of an object do not fit under an imported parent");
    object.objectAttributes |= TPMA_OBJECT_FIXEDPARENT;
    Cleansed<TPMT_SENSITIVE> sensitive;
    fill_sensitive(object, sensitive.value, value);
    const Bytes wrapped = storage_wrap(parent, seed, name_of(object), marshal_sensitive(sensitive.value));
    return {marshal(TPM2B_PUBLIC{.size = 0, .publicArea = object}), marshal(to_tpm2b<TPM2B_PRIVATE>(wrapped))};
}

} // namespace imprint::structures
