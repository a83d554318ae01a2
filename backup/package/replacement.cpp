// SPDX-License-Identifier: Apache-2.0
#include "backup/package/replacement.h"

#include "backup/package/data_package.h"
#include "daemon/base/ascii.h"
#include "daemon/pki/scope.h"
#include "daemon/structures/name.h"

#include <algorithm>

namespace imprint::package {

namespace {

constexpr std::size_t max_reason = 128;

Refusal invalid(const std::string& detail) { return {Reason::record_invalid, "the replacement " + detail}; }

bool is_reason(const std::string& text) { return !text.empty() && text.size() <= max_reason && is_printable(text); }

Result<Replacement> parse(BytesView content)
{
    ReplacementContent message;
    if (const auto verdict = protobuf::parse_canonical(message, content, max_replacement, Reason::record_invalid,
                                                       "the content of the replacement");
        !verdict)
        return verdict.refusal();
    if (!protobuf::none_unknown(message) || message.version() != format_version)
        return invalid("has unknown fields or another version");
    Replacement replacement{{message.identity_kind(), message.identity_value()},
                            message.former_chip(),
                            message.present_chip(),
                            pki::Time(std::chrono::seconds(message.time())),
                            message.reason()};
    if (const auto verdict = check(replacement); !verdict)
        return invalid("is none: " + verdict.refusal().detail);
    return replacement;
}

// CMS certificates are not signed: what does not belong to the chain could be anything.
bool has_companions(const pki::SignedContent& cms, const pki::Certificates& chain)
{
    return !std::ranges::all_of(cms.certificates, [&](const pki::Certificate& certificate) {
        return std::ranges::find(chain, certificate) != chain.end();
    });
}

} // namespace

Verdict check(const Replacement& replacement)
{
    if (const auto verdict = pki::check(replacement.identity); !verdict)
        return verdict;
    if (!structures::is_chip_identifier(replacement.former) || !structures::is_chip_identifier(replacement.present))
        return Refusal{Reason::invalid_argument, "a chip identifier is 64 hexadecimal digits in lower case"};
    if (replacement.former == replacement.present)
        return Refusal{Reason::invalid_argument, "a chip does not replace itself"};
    if (!is_reason(replacement.reason))
        return Refusal{Reason::invalid_argument, "a reason has 1 to 128 characters of printable ASCII"};
    return accepted();
}

Bytes make_replacement(const Replacement& replacement, const pki::Certificate& station, EVP_PKEY* key,
                       const pki::Certificates& issuers)
{
    if (const auto verdict = check(replacement); !verdict)
        throw Error(verdict.refusal());
    ReplacementContent message;
    message.set_version(format_version);
    message.set_identity_kind(replacement.identity.kind);
    message.set_identity_value(replacement.identity.value);
    message.set_former_chip(replacement.former);
    message.set_present_chip(replacement.present);
    message.set_time(replacement.time.time_since_epoch().count());
    message.set_reason(replacement.reason);
    return pki::sign(serialize(message), station, key, issuers, {.time = replacement.time});
}

Result<Replacement> open_replacement(BytesView statement, const pki::Trust& trust, std::optional<pki::Time> now)
{
    const auto opened = pki::open_signed(statement, max_replacement);
    if (!opened && opened.refusal().reason == Reason::malformed_message)
        return invalid("is malformed: " + opened.refusal().detail);
    if (!opened)
        return opened.refusal();
    if (opened->signers.size() != 1)
        return invalid("does not have exactly one signer");
    auto parsed = parse(opened->content);
    if (!parsed)
        return parsed;
    const auto& signer = opened->signers.front();
    const auto chain =
        pki::verify(signer, opened->certificates, trust, pki::Role::station_signing, now.value_or(parsed->time));
    if (!chain)
        return chain.refusal();
    if (has_companions(*opened, *chain))
        return invalid("carries a certificate that nobody needs");
    if (const auto verdict = pki::check_scope(signer, parsed->identity); !verdict)
        return verdict.refusal();
    return parsed;
}

} // namespace imprint::package
