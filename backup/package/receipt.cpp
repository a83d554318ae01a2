// SPDX-License-Identifier: Apache-2.0
#include "backup/package/receipt.h"

#include "backup/package/data_package.h"
#include "backup/package/word.h"
#include "daemon/structures/name.h"

namespace imprint::package {

namespace {

Refusal invalid(const std::string& detail) { return {Reason::record_invalid, "the receipt " + detail}; }

Result<Receipt> parse(BytesView content)
{
    ArchiveReceipt message;
    if (const auto verdict = protobuf::parse_canonical(message, content, max_receipt, Reason::record_invalid,
                                                       "the content of the receipt");
        !verdict)
        return verdict.refusal();
    if (!protobuf::none_unknown(message) || message.version() != format_version)
        return invalid("has unknown fields or another version");
    if (!structures::is_chip_identifier(message.chip_identifier()) || message.sequence() % 2 == 0 ||
        message.record_digest().size() != structures::digest_size(TPM2_ALG_SHA256))
        return invalid("names no record");
    return Receipt{message.chip_identifier(), message.sequence(), to_bytes(message.record_digest()),
                   pki::Time(std::chrono::seconds(message.time()))};
}

} // namespace

Bytes make_receipt(const Receipt& receipt, const pki::Certificate& archive, EVP_PKEY* key,
                   const pki::Certificates& issuers)
{
    ArchiveReceipt message;
    message.set_version(format_version);
    message.set_chip_identifier(receipt.chip_identifier);
    message.set_sequence(receipt.sequence);
    message.set_record_digest(to_string(receipt.record_digest));
    message.set_time(receipt.time.time_since_epoch().count());
    return pki::sign(serialize(message), archive, key, issuers);
}

Result<Receipt> open_receipt(BytesView receipt, const pki::Trust& trust, std::optional<pki::Time> now)
{
    const auto opened = open_word(receipt, max_receipt, "the receipt");
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
