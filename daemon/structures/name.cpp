// SPDX-License-Identifier: Apache-2.0
#include "daemon/structures/name.h"

#include "daemon/structures/encode.h"
#include "daemon/structures/marshal.h"

#include <openssl/evp.h>

namespace imprint::structures {
namespace {

// nameAlg ‖ H(content)
Bytes name_over(TPMI_ALG_HASH alg, BytesView content) { return concat(big_endian(alg), digest(alg, content)); }

template <class T>
Bytes name_of_area(const T& area)
{
    if (md_of(area.nameAlg) == nullptr)
        return {};
    try {
        return name_over(area.nameAlg, marshal(area));
    } catch (const Error& error) {
        if (error.reason() != Reason::invalid_argument)
            throw;
        return {};
    }
}

} // namespace

const EVP_MD* md_of(TPMI_ALG_HASH alg)
{
    switch (alg) {
    case TPM2_ALG_SHA256:
        return EVP_sha256();
    case TPM2_ALG_SHA384:
        return EVP_sha384();
    default:
        return nullptr;
    }
}

std::size_t digest_size(TPMI_ALG_HASH alg)
{
    const EVP_MD* md = md_of(alg);
    if (md == nullptr)
        throw Error(Reason::capability_missing, "a hash algorithm other than SHA-256 and SHA-384");
    return static_cast<std::size_t>(EVP_MD_get_size(md));
}

Bytes digest(TPMI_ALG_HASH alg, BytesView data)
{
    Bytes out(digest_size(alg));
    if (EVP_Digest(data.data(), data.size(), out.data(), nullptr, md_of(alg), nullptr) != 1)
        throw openssl_error(Reason::internal, "cannot compute a digest");
    return out;
}

Bytes name_of(const TPMT_PUBLIC& object) { return name_of_area(object); }

Bytes name_of(const TPMS_NV_PUBLIC& index) { return name_of_area(index); }

Bytes qualified_name_of_primary(TPMI_RH_HIERARCHY hierarchy, const TPMT_PUBLIC& object)
{
    // The Qualified Name of a hierarchy is its handle (Part 1, clause 16).
    return qualified_name_of_child(big_endian(hierarchy), object);
}

Bytes qualified_name_of_primary(TPMI_RH_HIERARCHY hierarchy, BytesView name)
{
    constexpr std::size_t alg_size = 2;
    if (name.size() <= alg_size)
        return {};
    const auto alg = static_cast<TPMI_ALG_HASH>(name[0] << 8 | name[1]);
    return md_of(alg) == nullptr ? Bytes{} : name_over(alg, concat(big_endian(hierarchy), name));
}

Bytes qualified_name_of_child(BytesView parent_qualified_name, const TPMT_PUBLIC& object)
{
    const Bytes name = name_of(object);
    return name.empty() ? Bytes{} : name_over(object.nameAlg, concat(parent_qualified_name, name));
}

std::string chip_identifier(BytesView ek_spki) { return hex(digest(TPM2_ALG_SHA256, ek_spki)); }

bool is_chip_identifier(std::string_view text)
{
    const auto digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
    return text.size() == 64 && std::ranges::all_of(text, digit);
}

} // namespace imprint::structures
