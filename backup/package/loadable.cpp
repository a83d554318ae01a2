// SPDX-License-Identifier: Apache-2.0
#include "backup/package/loadable.h"

#include "daemon/structures/child.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"

namespace imprint::package {

Result<TPMT_PUBLIC> check_loadable(BytesView object, BytesView sensitive, Reason reason, const std::string& what)
{
    const auto area = structures::unmarshal<TPM2B_PUBLIC>(object);
    const auto blob = structures::unmarshal<TPM2B_PRIVATE>(sensitive);
    if (!area || !blob || blob->size == 0)
        return Refusal{reason, what + " is not an object of a TPM"};

    if (!structures::is_child(area->publicArea) ||
        (area->publicArea.objectAttributes & TPMA_OBJECT_ENCRYPTEDDUPLICATION) != 0)
        return Refusal{reason, what + " cannot be under an imported parent: its attributes do not fit"};
    if (structures::name_of(area->publicArea).empty())
        return Refusal{reason, what + " has no Name"};
    return area->publicArea;
}

} // namespace imprint::package
