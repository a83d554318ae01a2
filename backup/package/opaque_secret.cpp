// SPDX-License-Identifier: Apache-2.0
#include "backup/package/opaque_secret.h"

#include "daemon/base/hkdf.h"
#include "daemon/pki/cms.h"
#include "daemon/structures/name.h"

namespace imprint::package {

namespace {

constexpr std::size_t kek_size = 32;

Bytes info(const OpaqueName& name)
{
    Bytes bytes = to_bytes("imprint/1 opaque");
    bytes.push_back(0);
    bytes.insert(bytes.end(), name.chip_identifier.begin(), name.chip_identifier.end());
    bytes.push_back(0);
    for (int shift = 56; shift >= 0; shift -= 8)
        bytes.push_back(static_cast<std::uint8_t>(name.sequence >> shift));
    bytes.insert(bytes.end(), name.label.begin(), name.label.end());
    return bytes;
}

} // namespace

Bytes seal_opaque(const Secret& content, const Secret& secret, const OpaqueName& name)
{
    if (content.empty() || content.size() > max_opaque)
        throw Error(Reason::package_invalid, "an opaque secret has 1 to 65536 bytes");
    const Bytes bound = info(name);
    return pki::envelope(content, hkdf_sha256(secret, bound, kek_size), structures::digest(TPM2_ALG_SHA256, bound));
}

Result<Secret> open_secret(BytesView enveloped, const Secret& secret, const OpaqueName& name)
{
    const Bytes bound = info(name);
    auto content = pki::open_envelope(enveloped, hkdf_sha256(secret, bound, kek_size),
                                      structures::digest(TPM2_ALG_SHA256, bound), max_enveloped);
    if (!content)
        return Refusal{Reason::package_invalid, content.refusal().detail};
    return content;
}

} // namespace imprint::package
