// SPDX-License-Identifier: Apache-2.0
#include "backup/package/word.h"

namespace imprint::package {

Result<pki::SignedContent> open_word(BytesView bytes, std::size_t limit, const std::string& what)
{
    auto opened = pki::open_signed(bytes, limit);
    if (!opened && opened.refusal().reason == Reason::malformed_message)
        return Refusal{Reason::record_invalid, what + " is malformed: " + opened.refusal().detail};
    if (!opened)
        return opened;
    if (opened->signers.size() != 1)
        return Refusal{Reason::record_invalid, what + " does not have exactly one signer"};
    return opened;
}

Verdict check_archive(const pki::SignedContent& word, const pki::Trust& trust, pki::Time now)
{
    const auto chain = pki::verify(word.signers.front(), word.certificates, trust, pki::Role::archive, now);
    return chain ? accepted() : chain.refusal();
}

} // namespace imprint::package
