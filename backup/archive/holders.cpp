// SPDX-License-Identifier: Apache-2.0
#include "backup/archive/holders.h"

#include "daemon/structures/name.h"

namespace imprint::archive {

namespace {

Bytes digest_of(const pki::DeviceIdentity& identity)
{
    return structures::digest(TPM2_ALG_SHA256, as_bytes(identity.kind + '\0' + identity.value));
}

} // namespace

void Holders::add(const std::string& chip, const pki::DeviceIdentity& identity)
{
    const Digest key = digest_of(identity);
    const auto [holder, fresh] = holders_.try_emplace(key, unhex(chip).value());
    const std::string first = hex(holder->second);
    if (fresh || first == chip)
        return;
    shared_[key].insert(first);
    shared_[key].insert(chip);
}

void Holders::join(const std::string& former, const std::string& present, const pki::DeviceIdentity& identity)
{
    next_[{digest_of(identity), former}] = present;
}

// Who has the identity after all that took each other's place, beginning with this chip.
std::string Holders::last(const std::string& chip, const Digest& identity) const
{
    std::string present = chip;
    for (std::size_t steps = 0; steps <= next_.size(); ++steps) { // more would be a circle
        const auto next = next_.find({identity, present});
        if (next == next_.end())
            return present;
        present = next->second;
    }
    return chip;
}

std::vector<std::string> Holders::strangers() const
{
    std::vector<std::string> found;
    for (const auto& [identity, chips] : shared_) {
        std::set<std::string> ends;
        for (const auto& chip : chips)
            ends.insert(last(chip, identity));
        if (ends.size() > 1)
            found.insert(found.end(), chips.begin(), chips.end());
    }
    return found;
}

} // namespace imprint::archive
