// SPDX-License-Identifier: Apache-2.0
// What the archive's words (receipts, and which record is the newest) have in common: CMS SignedData by one signer.
#pragma once

#include "backup/package/data_package.h"
#include "daemon/pki/cms.h"
#include "daemon/pki/verify.h"
#include "daemon/structures/name.h"

namespace imprint::package {

// The content of either, strictly read, with what both name: a record by chip, sequence and digest. Refusal(
// record_invalid).
template <class Word>
Result<Word> parse_word(BytesView content, std::size_t limit, const std::string& what)
{
    Word word;
    if (const auto verdict =
            protobuf::parse_canonical(word, content, limit, Reason::record_invalid, "the content of " + what);
        !verdict)
        return verdict.refusal();
    if (!protobuf::none_unknown(word) || word.version() != format_version)
        return Refusal{Reason::record_invalid, what + " has unknown fields or another version"};
    if (!structures::is_chip_identifier(word.chip_identifier()) || word.sequence() % 2 == 0 ||
        word.record_digest().size() != structures::digest_size(TPM2_ALG_SHA256))
        return Refusal{Reason::record_invalid, what + " names no record"};
    return word;
}

// The way back: what a receipt and a word on the newest have alike.
template <class Word, class Content>
Word begin_word(const Content& content)
{
    Word word;
    word.set_version(format_version);
    word.set_chip_identifier(content.chip_identifier);
    word.set_sequence(content.sequence);
    word.set_record_digest(to_string(content.record_digest));
    word.set_time(content.time.time_since_epoch().count());
    return word;
}

// Signed by somebody, once. `what` for people: "the receipt". Refusal(record_invalid | signature_invalid).
Result<pki::SignedContent> open_word(BytesView bytes, std::size_t limit, const std::string& what);
// That the signer is an archive of the manufacturer's. The chain's refusals.
Verdict check_archive(const pki::SignedContent& word, const pki::Trust& trust, pki::Time now);

} // namespace imprint::package
