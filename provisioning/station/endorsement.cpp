// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/endorsement.h"

#include "daemon/pki/roca.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/templates.h"

namespace imprint::station {

namespace {

constexpr int max_chain = 8;

Refusal untrusted(const std::string& detail) { return {Reason::untrusted_endorsement_key, detail}; }

Verdict check_vendor(const protocol::EndorsementKey& key, const Endorsement& read, const pki::Trust& vendors)
{
    if (key.certificate().empty())
        return untrusted("no certificate, and not on the allow-list");
    const auto leaf = pki::Certificate::from_padded_der(as_bytes(key.certificate()));
    if (!leaf)
        return untrusted("its certificate cannot be read");
    if (!structures::same_key(read.area, leaf->spki()))
        return untrusted("its certificate is for another key");
    pki::Certificates chain;
    for (const auto& der : key.chain()) {
        const auto certificate = pki::Certificate::from_padded_der(as_bytes(der));
        if (!certificate)
            return untrusted("a certificate of its chain cannot be read");
        chain.push_back(*certificate);
    }
    const auto verdict = pki::verify_ek(*leaf, chain, vendors);
    return verdict ? verdict : untrusted(verdict.refusal().detail);
}

} // namespace

Result<Endorsement> read_endorsement(const protocol::EndorsementKey& key)
{
    const auto area = structures::unmarshal<TPMT_PUBLIC>(as_bytes(key.area()));
    if (!area)
        return area.refusal();
    if (key.chain_size() > max_chain)
        return Refusal{Reason::malformed_message, "too long a chain of an endorsement key"};
    if (structures::ek_template_of(*area) == nullptr)
        return untrusted("not made from a template of the TCG's profile");
    const auto spki = structures::to_spki(*area);
    if (!spki)
        return spki.refusal();
    return Endorsement{*area, structures::chip_identifier(*spki)};
}

Verdict check_endorsement(const protocol::EndorsementKey& key, const Endorsement& read, const pki::Trust& vendors,
                          bool on_allow_list)
{
    if (pki::has_roca_fingerprint(structures::to_spki(read.area).or_throw()))
        return untrusted("the key can be factored (CVE-2017-15361)");
    if (on_allow_list)
        return accepted();
    return check_vendor(key, read, vendors);
}

} // namespace imprint::station
