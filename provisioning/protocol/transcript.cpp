// SPDX-License-Identifier: Apache-2.0
#include "provisioning/protocol/transcript.h"

#include "daemon/structures/name.h"

namespace imprint::protocol {

Bytes qualifying_data(BytesView channel_binding, BytesView hello, BytesView challenge)
{
    constexpr std::string_view label = "imprint/1 attestation";
    Bytes input = to_bytes(label);
    input.push_back(0);
    input.insert(input.end(), channel_binding.begin(), channel_binding.end());
    for (const BytesView message : {hello, challenge}) {
        const Bytes hash = structures::digest(TPM2_ALG_SHA256, message);
        input.insert(input.end(), hash.begin(), hash.end());
    }
    return structures::digest(TPM2_ALG_SHA256, input);
}

} // namespace imprint::protocol
