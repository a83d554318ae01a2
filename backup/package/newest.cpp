// SPDX-License-Identifier: Apache-2.0
#include "backup/package/newest.h"

#include "backup/package/data_package.h"
#include "backup/package/word.h"
#include "daemon/structures/name.h"

namespace imprint::package {

namespace {

const std::string what = "the word which record is the newest";

Refusal invalid(const std::string& detail) { return {Reason::record_invalid, what + " " + detail}; }

Result<Newest> parse(BytesView content)
{
    NewestRecord message;
    if (const auto verdict =
            protobuf::parse_canonical(message, content, max_newest, Reason::record_invalid, "the content of " + what);
        !verdict)
        return verdict.refusal();
    if (!protobuf::none_unknown(message) || message.version() != format_version)
        return invalid("has unknown fields or another version");
    if (!structures::is_chip_identifier(message.chip_identifier()) || message.sequence() % 2 == 0 ||
        message.record_digest().size() != structures::digest_size(TPM2_ALG_SHA256))
        return invalid("names no record");
    if (message.nonce().size() != newest_nonce_size)
        return invalid("answers no question");
    return Newest{message.chip_identifier(), message.sequence(), to_bytes(message.record_digest()),
                  pki::Time(std::chrono::seconds(message.time())), to_bytes(message.nonce())};
}

} // namespace

Bytes make_newest(const Newest& newest, const pki::Certificate& archive, EVP_PKEY* key,
                  const pki::Certificates& issuers)
{
    NewestRecord message;
    message.set_version(format_version);
    message.set_chip_identifier(newest.chip_identifier);
    message.set_sequence(newest.sequence);
    message.set_record_digest(to_string(newest.record_digest));
    message.set_time(newest.time.time_since_epoch().count());
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
