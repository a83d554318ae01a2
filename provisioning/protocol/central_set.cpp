// SPDX-License-Identifier: Apache-2.0
#include "provisioning/protocol/central_set.h"

#include "daemon/pki/cross.h"
#include "daemon/protobuf/canonical.h"
#include "daemon/structures/name.h"
#include "provisioning/protocol/central_set.pb.h"

#include <set>

namespace imprint::protocol {

namespace {

constexpr std::uint32_t format_version = 1;

Refusal invalid(const std::string& detail)
{
    return {Reason::central_set_invalid, "the list of the central system's keys " + detail};
}

Bytes pin(const pki::Certificate& certificate) { return structures::digest(TPM2_ALG_SHA256, certificate.spki()); }

Result<CentralKey> read_key(const CentralKeyEntry& entry)
{
    auto certificate = pki::Certificate::from_der(as_bytes(entry.certificate()));
    if (!certificate)
        return invalid("has an unreadable certificate");
    CentralKey key{*std::move(certificate), std::nullopt};
    if (entry.cross_certificate().empty())
        return key;
    auto cross = pki::Certificate::from_der(as_bytes(entry.cross_certificate()));
    if (!cross)
        return invalid("has an unreadable cross-certificate");
    key.cross_certificate = *std::move(cross);
    return key;
}

bool known(const CentralSetContent& content)
{
    return protobuf::none_unknown(content) &&
        std::ranges::all_of(content.keys(), [](const auto& entry) { return protobuf::none_unknown(entry); });
}

Result<CentralSet> parse(BytesView bytes, const pki::Certificate& signer)
{
    CentralSetContent content;
    if (const auto verdict = protobuf::parse_canonical(content, bytes, max_central_set, Reason::central_set_invalid,
                                                       "the list of the central system's keys");
        !verdict)
        return verdict.refusal();
    if (!known(content) || content.version() != format_version || content.number() == 0)
        return invalid("has unknown fields, another version or no number");
    if (content.keys().empty() || static_cast<std::size_t>(content.keys_size()) > max_central_keys)
        return invalid("does not have one to four keys");
    CentralSet set{content.number(), {}, signer};
    std::set<Bytes> pinned;
    for (const auto& entry : content.keys()) {
        auto key = read_key(entry);
        if (!key)
            return key.refusal();
        if (!pinned.insert(pin(key->certificate)).second)
            return invalid("has a key twice");
        set.keys.push_back(*std::move(key));
    }
    return set;
}

struct Opened {
    CentralSet set;
    pki::Certificates certificates; // that came along, the signer's among them
};

Result<Opened> open_unjudged(BytesView bytes)
{
    auto cms = pki::open_signed(bytes, max_central_set);
    if (!cms && cms.refusal().reason == Reason::signature_invalid)
        return cms.refusal();
    if (!cms)
        return invalid("is malformed: " + cms.refusal().detail);
    if (cms->signers.size() != 1)
        return invalid("does not have exactly one signer");
    auto set = parse(cms->content, cms->signers.front());
    if (!set)
        return set.refusal();
    return Opened{*std::move(set), std::move(cms->certificates)};
}

// CMS certificates are not signed: what is neither in the signer's chain nor a checking CA could be anything.
Verdict check_companions(const Opened& opened, const pki::Certificates& chain, const pki::Trust& trust, pki::Time now)
{
    for (const auto& certificate : opened.certificates)
        if (std::ranges::find(chain, certificate) == chain.end() &&
            !pki::verify(certificate, opened.certificates, trust, pki::Role::checking_ca, now))
            return invalid("carries a certificate that nobody needs");
    return accepted();
}

Verdict check_key(const CentralKey& key, const Opened& opened, const pki::Trust& trust, CrossCertificates cross,
                  pki::Time now)
{
    const auto& signer = opened.set.signer;
    if (!pki::signed_by(key.certificate, signer))
        return Refusal{Reason::central_not_certified,
                       "\"" + key.certificate.common_name() + "\" was certified by somebody else than \"" +
                           signer.common_name() + "\""};
    const auto chain = pki::verify(key.certificate, opened.certificates, trust, pki::Role::certified_central, now);
    if (!chain)
        return chain.refusal();
    if (key.cross_certificate)
        return pki::check_cross_certificate(*key.cross_certificate, signer, key.certificate, now);
    if (cross == CrossCertificates::required)
        return Refusal{Reason::cross_certificate_missing,
                       "\"" + key.certificate.common_name() + "\" has not certified \"" + signer.common_name() + "\""};
    return accepted();
}

} // namespace

Bytes make_central_set(std::uint64_t number, const std::vector<CentralKey>& keys, const pki::Certificate& signer,
                       EVP_PKEY* key, const pki::Certificates& issuers)
{
    CentralSetContent content;
    content.set_version(format_version);
    content.set_number(number);
    for (const auto& one : keys) {
        auto& entry = *content.add_keys();
        entry.set_certificate(to_string(one.certificate.der()));
        if (one.cross_certificate)
            entry.set_cross_certificate(to_string(one.cross_certificate->der()));
    }
    return pki::sign(protobuf::serialize(content), signer, key, issuers);
}

Result<CentralSet> open_central_set(BytesView bytes, const pki::Trust& trust, CrossCertificates cross, pki::Time now)
{
    auto opened = open_unjudged(bytes);
    if (!opened)
        return opened.refusal();
    const auto chain = pki::verify(opened->set.signer, opened->certificates, trust, pki::Role::station_signing, now);
    if (!chain)
        return chain.refusal();
    if (const auto verdict = check_companions(*opened, *chain, trust, now); !verdict)
        return verdict.refusal();
    for (const auto& key : opened->set.keys)
        if (const auto verdict = check_key(key, *opened, trust, cross, now); !verdict)
            return verdict.refusal();
    return std::move(opened->set);
}

Result<CentralSet> read_central_set(BytesView bytes)
{
    auto opened = open_unjudged(bytes);
    if (!opened)
        return opened.refusal();
    return std::move(opened->set);
}

std::vector<Bytes> pins(const CentralSet& set)
{
    std::vector<Bytes> out;
    for (const auto& key : set.keys)
        out.push_back(pin(key.certificate));
    return out;
}

Result<bool> supersedes(const CentralSet& update, const CentralSet& present)
{
    if (update.number > present.number)
        return true;
    if (update.number == present.number && pins(update) == pins(present))
        return false;
    return Refusal{Reason::central_set_outdated,
                   "number " + std::to_string(update.number) + ", this device has number " +
                       std::to_string(present.number)};
}

} // namespace imprint::protocol
