// SPDX-License-Identifier: Apache-2.0
#include "backup/package/importable.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"

namespace imprint::package {

Result<TPMT_PUBLIC> check_importable(BytesView object, BytesView duplicate, BytesView seed, Reason reason,
                                     const std::string& what)
{
    const auto area = structures::unmarshal<TPM2B_PUBLIC>(object);
    const auto wrapped = structures::unmarshal<TPM2B_PRIVATE>(duplicate);
    const auto secret = structures::unmarshal<TPM2B_ENCRYPTED_SECRET>(seed);
    if (!area || !wrapped || !secret || wrapped->size == 0)
        return Refusal{reason, what + " is not an object of a TPM"};
    if (secret->size == 0)
        return Refusal{reason, what + " has no outer wrap"};

    constexpr TPMA_OBJECT bound = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_ENCRYPTEDDUPLICATION;
    if ((area->publicArea.objectAttributes & bound) != 0)
        return Refusal{reason, what + " cannot be imported: its attributes bind it elsewhere"};
    if (structures::name_of(area->publicArea).empty())
        return Refusal{reason, what + " has no Name"};
    return area->publicArea;
}

} // namespace imprint::package
