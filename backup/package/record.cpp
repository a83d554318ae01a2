// SPDX-License-Identifier: Apache-2.0
#include "backup/package/record.h"

#include "backup/package/backup_package.h"
#include "backup/package/importable.h"
#include "daemon/pki/scope.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/templates.h"

namespace imprint::package {

namespace {

Refusal invalid(const std::string& detail) { return {Reason::record_invalid, "the record " + detail}; }

Verdict check_sealed_secret(const SealedSecret& sealed)
{
    const auto area = check_importable(as_bytes(sealed.object()), as_bytes(sealed.duplicate()), as_bytes(sealed.seed()),
                                       Reason::record_invalid, "the sealed secret");
    if (!area)
        return area.refusal();
    TPMT_PUBLIC expected = structures::sealed_secret_template();
    expected.unique = area->unique;
    if (structures::marshal(expected) != structures::marshal(*area))
        return invalid("has a sealed secret of another template");
    return accepted();
}

Verdict check_content(const RecordContent& content)
{
    if (!protobuf::none_unknown(content, content.sealed_secret()) || content.version() != format_version)
        return invalid("has unknown fields or another version");
    if (!structures::is_chip_identifier(content.chip_identifier()))
        return invalid("names no chip");
    if (content.sequence() % 2 == 0)
        return invalid("has a sequence that is not odd");
    if (content.backup_package().empty() || content.backup_package().size() > max_backup_package)
        return invalid("has no backup package of a fitting size");
    return check_sealed_secret(content.sealed_secret());
}

Result<RecordContent> parse_content(BytesView bytes)
{
    RecordContent content;
    if (const auto verdict =
            protobuf::parse_canonical(content, bytes, max_record, Reason::record_invalid, "the content of the record");
        !verdict)
        return verdict.refusal();
    if (const auto verdict = check_content(content); !verdict)
        return verdict.refusal();
    return content;
}

// The identity certificate in the content, which must name the content's chip.
Result<pki::Certificate> identity_of(const RecordContent& content)
{
    auto identity = pki::Certificate::from_der(as_bytes(content.identity_certificate()));
    if (!identity)
        return invalid("has no readable identity certificate");
    if (pki::chip_identifier(*identity) != content.chip_identifier())
        return invalid("has the identity certificate of another chip");
    return identity;
}

// A record whose signatures hold and whose content is sound; whose signatures they are is not known yet.
struct Opened {
    pki::SignedContent cms;
    Record record;
};

Result<Opened> open_unjudged(BytesView bytes)
{
    auto cms = pki::open_signed(bytes, max_record);
    if (!cms && cms.refusal().reason == Reason::malformed_message)
        return invalid("is malformed: " + cms.refusal().detail);
    if (!cms)
        return cms.refusal();
    auto content = parse_content(cms->content);
    if (!content)
        return content.refusal();
    auto identity = identity_of(*content);
    if (!identity)
        return identity.refusal();
    Record record{{bytes.begin(), bytes.end()}, cms->content, *std::move(content), *std::move(identity), {}, {}};
    return Opened{*std::move(cms), std::move(record)};
}

Result<pki::Certificates> judge_identity(const Opened& opened, const pki::Trust& trust, pki::Time now)
{
    return pki::verify(opened.record.identity, opened.cms.certificates, trust, pki::Role::device_identity, now);
}

pki::Certificates between(const pki::Certificates& chain) { return {chain.begin() + 1, chain.end() - 1}; }

// CMS certificates are not signed: what does not belong to a chain could be anything. A CA of ours may be there in an
// earlier certificate than the one that the chain was built with.
Verdict check_companions(const Opened& opened, const pki::Certificates& chains, const pki::Trust& trust, pki::Time now)
{
    for (const auto& certificate : opened.cms.certificates) {
        if (std::ranges::find(chains, certificate) != chains.end())
            continue;
        const auto is_a = [&](pki::Role role) {
            return static_cast<bool>(pki::verify(certificate, opened.cms.certificates, trust, role, now));
        };
        if (!is_a(pki::Role::identity_ca) && !is_a(pki::Role::checking_ca))
            return invalid("carries a certificate that nobody needs");
    }
    return accepted();
}

// A station signs for the devices that it may personalize.
Verdict check_station_scope(const pki::Certificate& station, const pki::Certificate& identity)
{
    return pki::check_scope(station, pki::device_identity(identity).value());
}

// Which of the two signers is not the identity key; DER sorts the signers, so their order says nothing.
std::optional<std::size_t> other_signer(const Opened& opened)
{
    const auto& signers = opened.cms.signers;
    if (signers.size() != 2)
        return std::nullopt;
    const bool first = signers[0] == opened.record.identity;
    const bool second = signers[1] == opened.record.identity;
    if (first == second)
        return std::nullopt;
    return first ? 1 : 0;
}

} // namespace

Bytes make_record(const RecordContent& content, const pki::Certificate& identity, EVP_PKEY* identity_key,
                  const pki::Certificates& issuers, pki::Signing how)
{
    return pki::sign(serialize(content), identity, identity_key, issuers, how);
}

Bytes countersign(BytesView record, const pki::Certificate& station, EVP_PKEY* key, const pki::Certificates& issuers,
                  pki::Signing how)
{
    return pki::add_signer(record, station, key, issuers, how);
}

Result<Record> open_device_record(BytesView record, const pki::Trust& trust, pki::Time now)
{
    auto opened = open_unjudged(record);
    if (!opened)
        return opened.refusal();
    if (opened->cms.signers.size() != 1 || opened->cms.signers.front() != opened->record.identity)
        return invalid("is not signed by the device's identity key alone");
    const auto chain = judge_identity(*opened, trust, now);
    if (!chain)
        return chain.refusal();
    if (const auto verdict = check_companions(*opened, *chain, trust, now); !verdict)
        return verdict.refusal();
    opened->record.identity_issuers = between(*chain);
    return std::move(opened->record);
}

Result<Record> open_record(BytesView record, const pki::Trust& trust, std::optional<pki::Time> now)
{
    auto opened = open_unjudged(record);
    if (!opened)
        return opened.refusal();
    const auto station = other_signer(*opened);
    if (!station)
        return invalid("is not signed by the device's identity key and one other");
    const pki::Time when = now.value_or(opened->cms.signing_times.at(*station));
    const auto identity_chain = judge_identity(*opened, trust, when);
    if (!identity_chain)
        return identity_chain.refusal();
    const auto& signer = opened->cms.signers[*station];
    const auto station_chain = pki::verify(signer, opened->cms.certificates, trust, pki::Role::station_signing, when);
    if (!station_chain)
        return station_chain.refusal();
    if (const auto verdict = check_station_scope(signer, opened->record.identity); !verdict)
        return verdict.refusal();
    pki::Certificates chains = *identity_chain;
    chains.insert(chains.end(), station_chain->begin(), station_chain->end());
    if (const auto verdict = check_companions(*opened, chains, trust, when); !verdict)
        return verdict.refusal();
    opened->record.station = signer;
    opened->record.identity_issuers = between(*identity_chain);
    return std::move(opened->record);
}

Bytes record_digest(BytesView record) { return structures::digest(TPM2_ALG_SHA256, record); }

} // namespace imprint::package
