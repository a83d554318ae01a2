// SPDX-License-Identifier: Apache-2.0
// What data packages hold, as the operator describes it in a file (imprint-station.profile(5)).
#pragma once

#include "daemon/base/secret.h"
#include "daemon/pki/profile.h"
#include "provisioning/station/pair.h"

#include <filesystem>
#include <memory>
#include <variant>
#include <vector>

namespace imprint::station {

// A symmetric key, derived from the master key and the device identity (channel_key.h).
struct DerivedKey {
    std::string derived_as; // the label that goes into it: a former key stays beside its successor under another one
    std::uint32_t version = 1;
};
struct PairKey {
    PairKind kind = PairKind::p256;
    structures::KeyUse use = structures::KeyUse::sign;
    bool from_pool = false; // otherwise made for the package
    bool certificate = false;
};
// Something that no TPM can use: the same for all devices, or a file for each, named by the device identity's value.
struct OpaqueSecret {
    std::shared_ptr<const Secret> content;
    std::filesystem::path directory; // where there is no content
};

struct ProfileEntry {
    std::string label;
    std::variant<DerivedKey, PairKey, OpaqueSecret> what;
    bool key_file = false; // may leave the daemon as a key file
};

struct PackageProfile {
    // What a station gives that was told nothing else: a key for the channel between manufacturer and device.
    std::vector<ProfileEntry> entries{{"manufacturer-channel", DerivedKey{"manufacturer-channel", 1}}};
};

// TOML, at most 256 KiB, everything in it known and meant; contents of `file` are read here, paths are relative to the
// profile. A package may have 64 entries and 128 KiB. Throws Error(profile_invalid): "FILE:LINE:COLUMN: what is wrong".
PackageProfile read_profile(const std::filesystem::path& file);

// "hmac", "p256", ..., "opaque"
std::string_view type_of(const ProfileEntry& entry);
// How many bytes a package of this profile may have: never less than make_package() makes, as long as no directory gets
// larger files than it has now.
std::size_t largest_package(const PackageProfile& profile);
// Whether a TPM with these algorithms (as Hello has them) can use what it is to get: Refusal(capability_missing).
Verdict check_capabilities(const PackageProfile& profile, const std::vector<std::string>& algorithms);

// The secret for this device. Refusal(profile_invalid) where its directory has none, or none of 1 to 65536 bytes.
Result<Secret> content_of(const ProfileEntry& entry, const OpaqueSecret& opaque, const pki::DeviceIdentity& identity);

} // namespace imprint::station
