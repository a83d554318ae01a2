// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/package_profile.h"

#include "backup/package/opaque_secret.h"
#include "daemon/base/file.h"

#include <numeric>

namespace imprint::station {

namespace {

// Bounds of what stands in a package, in bytes.
constexpr std::size_t head = 1024; // version, chip, identity, sequence, the parent of keys that may leave as files
constexpr std::size_t keyed_hash = 448; // an entry with its label, public area, wrap and seed
constexpr std::size_t certificate_names = 1536; // a certificate but for its key
constexpr std::size_t envelope = 512;

std::size_t pair_size(PairKind kind)
{
    switch (kind) {
    case PairKind::p256:
        return keyed_hash + 64;
    case PairKind::p384:
        return keyed_hash + 128;
    case PairKind::rsa2048:
        return keyed_hash + 384;
    case PairKind::rsa3072:
        return keyed_hash + 576;
    }
    return 0;
}

std::size_t largest_file(const std::filesystem::path& directory)
{
    std::size_t largest = 0;
    for (const auto& file : std::filesystem::directory_iterator(directory))
        if (file.is_regular_file())
            largest = std::max(largest, static_cast<std::size_t>(file.file_size()));
    return largest;
}

std::size_t size_of(const DerivedKey&) { return keyed_hash; }

std::size_t size_of(const PairKey& pair)
{
    const std::size_t size = pair_size(pair.kind);
    return pair.certificate ? size + certificate_names + size : size;
}

std::size_t size_of(const OpaqueSecret& opaque)
{
    return keyed_hash + envelope + (opaque.content ? opaque.content->size() : largest_file(opaque.directory));
}

bool is_file_name(const std::string& text)
{
    return !text.empty() && text.front() != '.' && text.find('/') == std::string::npos;
}

} // namespace

std::string_view type_of(const ProfileEntry& entry)
{
    if (const auto* pair = std::get_if<PairKey>(&entry.what))
        return name(pair->kind);
    return std::holds_alternative<DerivedKey>(entry.what) ? "hmac" : "opaque";
}

std::size_t largest_package(const PackageProfile& profile)
{
    return std::accumulate(profile.entries.begin(), profile.entries.end(), head,
                           [](std::size_t size, const auto& entry) {
                               return size + std::visit([](const auto& what) { return size_of(what); }, entry.what);
                           });
}

Verdict check_capabilities(const PackageProfile& profile, const std::vector<std::string>& algorithms)
{
    for (const auto& entry : profile.entries) {
        const auto type = type_of(entry);
        if (!std::holds_alternative<OpaqueSecret>(entry.what) &&
            std::ranges::find(algorithms, type) == algorithms.end())
            return Refusal{Reason::capability_missing,
                           "the key " + entry.label + " is " + std::string(type) + ", which this TPM cannot use"};
    }
    return accepted();
}

Result<Secret> content_of(const ProfileEntry& entry, const OpaqueSecret& opaque, const pki::DeviceIdentity& identity)
{
    if (opaque.content)
        return opaque.content->clone();
    const auto none = [&](const char* why) {
        return Refusal{Reason::profile_invalid, "the secret " + entry.label + " of " + identity.value + " " + why};
    };
    if (!is_file_name(identity.value))
        return none("can have no file of that name");
    auto content = read_secret_file(opaque.directory / identity.value, package::max_opaque + 1);
    if (!content)
        return none("is not there");
    if (content->empty() || content->size() > package::max_opaque)
        return none("has not 1 to 65536 bytes");
    return *std::move(content);
}

} // namespace imprint::station
