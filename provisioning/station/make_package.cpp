// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/make_package.h"

#include "backup/package/opaque_secret.h"
#include "daemon/pki/issue.h"
#include "daemon/structures/child.h"
#include "daemon/structures/marshal.h"
#include "provisioning/station/channel_key.h"

#include <algorithm>

namespace imprint::station {

namespace {

constexpr auto clock_tolerance = std::chrono::hours(1);
constexpr std::size_t opening_secret_size = 32;

// Of the keys in one package that may leave as files; forgotten with their private parts.
class FreshParent {
public:
    package::Parent wrap(const TPMT_PUBLIC& storage_key) const
    {
        const auto wrapped = structures::wrap_parent(storage_key, area_, private_value(pair_.get()), seed_);
        package::Parent parent;
        parent.set_object(to_string(wrapped.object));
        parent.set_duplicate(to_string(wrapped.duplicate));
        parent.set_seed(to_string(wrapped.seed));
        return parent;
    }
    structures::Loadable make_child(const TPMT_PUBLIC& object, const Secret& value) const
    {
        return structures::make_child(area_, seed_, object, value);
    }

private:
    static TPMT_PUBLIC area_of(const EVP_PKEY* pair)
    {
        const auto point = public_area(pair, structures::KeyUse::decrypt).unique.ecc;
        return structures::importable_parent(structures::view(point.x), structures::view(point.y));
    }

    pki::Key pair_ = make_pair(PairKind::p256);
    TPMT_PUBLIC area_ = area_of(pair_.get());
    Secret seed_ = structures::make_parent_seed();
};

pki::DataKeyUse use_of(const PairKey& pair)
{
    if (pair.use == structures::KeyUse::sign)
        return pki::DataKeyUse::sign;
    return is_rsa(pair.kind) ? pki::DataKeyUse::decrypt : pki::DataKeyUse::agree;
}

// Makes what an entry of the profile says, each kind in its own way.
class EntryMaker {
public:
    EntryMaker(const Station& station, Store& store, const Claim& claim, const pki::DeviceIdentity& identity,
               pki::Time now, const std::optional<FreshParent>& parent)
        : station_(station)
        , store_(store)
        , claim_(claim)
        , identity_(identity)
        , now_(now)
        , parent_(parent)
    {
    }

    Result<package::Entry> make(const ProfileEntry& what) const
    {
        package::Entry entry;
        entry.set_label(what.label);
        const auto verdict = std::visit([&](const auto& kind) { return fill(entry, what, kind); }, what.what);
        if (!verdict)
            return verdict.refusal();
        return entry;
    }

private:
    // For the parent, or for the chip storage key itself.
    void put(package::Entry& entry, const ProfileEntry& what, const TPMT_PUBLIC& object, const Secret& value) const
    {
        if (!what.key_file)
            return wrap(entry, object, value);
        const auto child = parent_.value().make_child(object, value);
        entry.set_object(to_string(child.object));
        entry.set_sensitive(to_string(child.sensitive));
    }

    void wrap(package::Entry& entry, const TPMT_PUBLIC& object, const Secret& value) const
    {
        const auto wrapped = structures::wrap(claim_.storage_key, object, value);
        entry.set_object(to_string(wrapped.object));
        entry.set_duplicate(to_string(wrapped.duplicate));
        entry.set_seed(to_string(wrapped.seed));
    }

    Verdict fill(package::Entry& entry, const ProfileEntry& what, const DerivedKey& key) const
    {
        put(entry, what, structures::importable_hmac_key({}),
            derive_channel_key(station_.master_key, key.derived_as, key.version, identity_));
        return accepted();
    }

    Verdict fill(package::Entry& entry, const ProfileEntry& what, const PairKey& pair) const
    {
        const auto key = pair.from_pool ? take(pair.kind) : make_pair(pair.kind);
        if (!key)
            return key.refusal();
        put(entry, what, public_area(key->get(), pair.use), private_value(key->get()));
        if (pair.certificate)
            entry.set_certificate(to_string(certify(key->get(), what.label, pair).der()));
        return accepted();
    }

    Verdict fill(package::Entry& entry, const ProfileEntry& what, const OpaqueSecret& opaque) const
    {
        const auto content = content_of(what, opaque, identity_);
        if (!content)
            return content.refusal();
        const Secret opening = random_secret(opening_secret_size);
        wrap(entry, structures::importable_sealed_data({}), opening);
        entry.set_enveloped(
            to_string(package::seal_opaque(*content, opening, {claim_.chip, claim_.sequence(), what.label})));
        return accepted();
    }

    Result<pki::Key> take(PairKind kind) const
    {
        if (!station_.pool)
            return Refusal{Reason::pool_empty, "this station has no pool"};
        return station_.pool->take(store_, kind, claim_.chip, claim_.sequence());
    }

    pki::Certificate certify(EVP_PKEY* key, const std::string& label, const PairKey& pair) const
    {
        const pki::Issuer issuer{station_.credentials.signing.front(), station_.credentials.signing_key.get()};
        return pki::issue_data_key(issuer, pki::spki(key), identity_, label, use_of(pair),
                                   device_validity(station_, now_));
    }

    const Station& station_;
    Store& store_;
    const Claim& claim_;
    const pki::DeviceIdentity& identity_;
    pki::Time now_;
    const std::optional<FreshParent>& parent_; // there if any entry is for a key file
};

} // namespace

Result<package::DataPackage> make_package(const Station& station, Store& store, const Claim& claim,
                                          const pki::DeviceIdentity& identity, pki::Time now)
{
    package::DataPackage package;
    package.set_version(package::format_version);
    package.set_chip_identifier(claim.chip);
    package.set_identity_kind(identity.kind);
    package.set_identity_value(identity.value);
    package.set_sequence(claim.sequence());
    std::optional<FreshParent> parent;
    if (std::ranges::any_of(station.profile.entries, &ProfileEntry::key_file))
        *package.mutable_parent() = parent.emplace().wrap(claim.storage_key);
    const EntryMaker maker(station, store, claim, identity, now, parent);
    for (const auto& what : station.profile.entries) {
        auto entry = maker.make(what);
        if (!entry)
            return entry.refusal();
        *package.add_entries() = *std::move(entry);
    }
    if (package.ByteSizeLong() > package::max_data_package)
        return Refusal{Reason::package_invalid, "it has " + std::to_string(package.ByteSizeLong()) + " bytes"};
    return package;
}

pki::Validity device_validity(const Station& station, pki::Time now)
{
    const auto& signer = station.credentials.signing.front();
    return {.not_before = std::max<pki::Time>(now - clock_tolerance, signer.not_before()),
            .not_after = std::min<pki::Time>(now + station.module_lifetime, signer.not_after())};
}

} // namespace imprint::station
