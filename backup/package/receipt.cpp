// SPDX-License-Identifier: Apache-2.0
#include "backup/package/receipt.h"

#include "backup/package/word.h"

namespace imprint::package {

namespace {

const std::string what = "the receipt";

Result<Receipt> parse(BytesView content)
{
    const auto word = parse_word<ArchiveReceipt>(content, max_receipt, what);
    if (!word)
        return word.refusal();
    return Receipt{word->chip_identifier(), word->sequence(), to_bytes(word->record_digest()),
                   pki::Time(std::chrono::seconds(word->time()))};
}

} // namespace

Bytes make_receipt(const Receipt& receipt, const pki::Certificate& archive, EVP_PKEY* key,
                   const pki::Certificates& issuers)
{
    return pki::sign(serialize(begin_word<ArchiveReceipt>(receipt)), archive, key, issuers);
}

Result<Receipt> open_receipt(BytesView receipt, const pki::Trust& trust, std::optional<pki::Time> now)
{
    const auto opened = open_word(receipt, max_receipt, what);
    if (!opened)
        return opened.refusal();
    auto parsed = parse(opened->content);
    if (!parsed)
        return parsed;
    if (const auto verdict = check_archive(*opened, trust, now.value_or(parsed->time)); !verdict)
        return verdict.refusal();
    return parsed;
}

} // namespace imprint::package
