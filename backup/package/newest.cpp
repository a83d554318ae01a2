// SPDX-License-Identifier: Apache-2.0
#include "backup/package/newest.h"

#include "backup/package/word.h"

namespace imprint::package {

namespace {

const std::string what = "the word which record is the newest";

Result<Newest> parse(BytesView content)
{
    const auto word = parse_word<NewestRecord>(content, max_newest, what);
    if (!word)
        return word.refusal();
    if (word->nonce().size() != newest_nonce_size)
        return Refusal{Reason::record_invalid, what + " answers no question"};
    return Newest{word->chip_identifier(), word->sequence(), to_bytes(word->record_digest()),
                  pki::Time(std::chrono::seconds(word->time())), to_bytes(word->nonce())};
}

} // namespace

Bytes make_newest(const Newest& newest, const pki::Certificate& archive, EVP_PKEY* key,
                  const pki::Certificates& issuers)
{
    auto message = begin_word<NewestRecord>(newest);
    message.set_nonce(to_string(newest.nonce));
    return pki::sign(serialize(message), archive, key, issuers);
}

Result<Newest> open_newest(BytesView newest, const pki::Trust& trust, pki::Time now, std::string_view chip_identifier,
                           BytesView nonce)
{
    const auto opened = open_word(newest, max_newest, what);
    if (!opened)
        return opened.refusal();
    auto parsed = parse(opened->content);
    if (!parsed)
        return parsed;
    if (const auto verdict = check_archive(*opened, trust, now); !verdict)
        return verdict.refusal();
    if (parsed->chip_identifier != chip_identifier)
        return Refusal{Reason::record_foreign, what + " is about another chip"};
    if (!equal(parsed->nonce, nonce))
        return Refusal{Reason::nonce_mismatch, what + " answers somebody else's question"};
    return parsed;
}

} // namespace imprint::package
