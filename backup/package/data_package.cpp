// SPDX-License-Identifier: Apache-2.0
#include "backup/package/data_package.h"

#include "backup/package/importable.h"
#include "backup/package/loadable.h"
#include "daemon/pki/profile.h"
#include "daemon/structures/child.h"
#include "daemon/structures/name.h"

#include <set>

namespace imprint::package {

namespace {

constexpr std::size_t max_label = 64;

Refusal invalid(const std::string& detail) { return {Reason::package_invalid, detail}; }

bool known(const DataPackage& package)
{
    return protobuf::none_unknown(package, package.parent()) &&
        std::ranges::all_of(package.entries(), [](const Entry& entry) { return protobuf::none_unknown(entry); });
}

Verdict check_certificate(const Entry& entry, const TPMT_PUBLIC& key)
{
    if (entry.certificate().empty())
        return accepted();
    const auto certificate = pki::Certificate::from_der(as_bytes(entry.certificate()));
    if (!certificate)
        return invalid("the certificate of entry " + entry.label() + " cannot be read");
    if (!structures::same_key(key, certificate->spki()))
        return invalid("the certificate of entry " + entry.label() + " is for another key");
    return accepted();
}

// One use, and not a parent's or an attestation key's.
Verdict check_use(const Entry& entry, const TPMT_PUBLIC& area)
{
    const bool signs = (area.objectAttributes & TPMA_OBJECT_SIGN_ENCRYPT) != 0;
    const bool decrypts = (area.objectAttributes & TPMA_OBJECT_DECRYPT) != 0;
    const bool keyed_hash = area.type == TPM2_ALG_KEYEDHASH;
    if ((area.objectAttributes & TPMA_OBJECT_RESTRICTED) != 0 || (signs && decrypts) || (keyed_hash && decrypts) ||
        (!keyed_hash && !signs && !decrypts))
        return invalid("entry " + entry.label() + " is no key for one use");
    if (signs || decrypts)
        return entry.has_enveloped() ? invalid("entry " + entry.label() + " is both a key and a secret") : accepted();
    if (entry.enveloped().empty() || entry.enveloped().size() > max_enveloped)
        return invalid("entry " + entry.label() + " has no secret, or one that is too large");
    if (entry.has_sensitive() || !entry.certificate().empty())
        return invalid("entry " + entry.label() + " is a secret, and no key to show");
    return accepted();
}

// In one of the two ways that a key comes to the TPM.
Result<TPMT_PUBLIC> check_object(const Entry& entry)
{
    const std::string what = "entry " + entry.label();
    if (!entry.has_sensitive())
        return check_importable(as_bytes(entry.object()), as_bytes(entry.duplicate()), as_bytes(entry.seed()),
                                Reason::package_invalid, what);
    if (entry.has_duplicate() || entry.has_seed())
        return invalid(what + " is wrapped in two ways");
    return check_loadable(as_bytes(entry.object()), as_bytes(entry.sensitive()), Reason::package_invalid, what);
}

Verdict check_entry(const Entry& entry)
{
    const auto area = check_object(entry);
    if (!area)
        return area.refusal();
    if (area->authPolicy.size != 0)
        return invalid("entry " + entry.label() + " has a policy; whether it allows duplication is not known");
    if ((area->objectAttributes & TPMA_OBJECT_USERWITHAUTH) == 0)
        return invalid("entry " + entry.label() + " could never be used: it has neither a policy nor userWithAuth");
    if (const auto verdict = check_use(entry, *area); !verdict)
        return verdict;
    return check_certificate(entry, *area);
}

Verdict check_entries(const DataPackage& package)
{
    if (package.entries_size() > max_entries)
        return invalid("more than " + std::to_string(max_entries) + " entries");
    std::set<std::string_view> labels;
    for (const Entry& entry : package.entries()) {
        if (!is_label(entry.label()))
            return invalid("a label that is not 1 to 64 of a-z, 0-9, dot and hyphen");
        if (!labels.insert(entry.label()).second)
            return invalid("two entries with the label " + entry.label());
        if (const auto verdict = check_entry(entry); !verdict)
            return verdict;
    }
    return accepted();
}

Verdict check_parent(const DataPackage& package)
{
    const bool children = std::ranges::any_of(package.entries(), &Entry::has_sensitive);
    if (!package.has_parent())
        return children ? invalid("it has keys under a parent that is not there") : accepted();
    if (!children)
        return invalid("it has a parent of no key");
    const auto& parent = package.parent();
    const auto area = check_importable(as_bytes(parent.object()), as_bytes(parent.duplicate()), as_bytes(parent.seed()),
                                       Reason::package_invalid, "the parent");
    if (!area)
        return area.refusal();
    return structures::is_importable_parent(*area) ? accepted() : invalid("the parent is not of its template");
}

Verdict check_head(const DataPackage& package)
{
    if (package.version() != format_version)
        return invalid("version " + std::to_string(package.version()));
    if (!structures::is_chip_identifier(package.chip_identifier()))
        return invalid("its chip identifier is none");
    if (const auto verdict = pki::check({package.identity_kind(), package.identity_value()}); !verdict)
        return invalid(verdict.refusal().detail);
    if (package.sequence() % 2 == 0)
        return invalid("its sequence is not odd");
    return accepted();
}

} // namespace

bool is_label(std::string_view text)
{
    return !text.empty() && text.size() <= max_label && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
    });
}

Result<DataPackage> parse_data_package(BytesView bytes)
{
    DataPackage package;
    if (const auto verdict =
            protobuf::parse_canonical(package, bytes, max_data_package, Reason::package_invalid, "the data package");
        !verdict)
        return verdict.refusal();
    if (!known(package))
        return invalid("unknown fields");
    if (const auto verdict = check_head(package); !verdict)
        return verdict.refusal();
    if (const auto verdict = check_parent(package); !verdict)
        return verdict.refusal();
    if (const auto verdict = check_entries(package); !verdict)
        return verdict.refusal();
    return package;
}

Result<DataPackage> parse_data_package(BytesView bytes, std::string_view chip_identifier, std::uint64_t sequence)
{
    auto package = parse_data_package(bytes);
    if (!package)
        return package;
    if (package->chip_identifier() != chip_identifier)
        return invalid("it is for another chip");
    if (package->sequence() != sequence)
        return invalid("it is for sequence " + std::to_string(package->sequence()));
    return package;
}

} // namespace imprint::package
