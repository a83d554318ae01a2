// SPDX-License-Identifier: Apache-2.0
#include "backup/archive/ownership.h"

#include <algorithm>

namespace imprint::archive {

namespace {

bool is_former(const std::string& chip, const Known& known)
{
    return std::ranges::any_of(known.replacements, [&](const auto& other) { return other.former == chip; });
}

Refusal taken(const char* detail) { return {Reason::identity_taken, detail}; }

// Whether the chip is the one that has the identity, or may become it.
Verdict judge_holder(const std::string& chip, const pki::DeviceIdentity& identity, const Known& known)
{
    for (const auto& owner : known.owners) {
        if (owner.chip_identifier == chip && owner.identity != identity)
            return taken("this chip has another identity");
        if (owner.chip_identifier != chip && owner.identity == identity && !is_former(owner.chip_identifier, known))
            return taken("this identity belongs to another chip");
    }
    for (const auto& replacement : known.replacements) {
        if (replacement.present == chip && replacement.identity != identity)
            return taken("this chip is to have another identity");
        if (replacement.present != chip && replacement.identity == identity && !is_former(replacement.present, known))
            return taken("this identity was given to another chip");
    }
    return accepted();
}

} // namespace

Result<bool> judge_owner(const Owner& owner, const Known& known)
{
    if (is_former(owner.chip_identifier, known))
        return Refusal{Reason::chip_replaced, "another chip took its place"};
    if (const auto verdict = judge_holder(owner.chip_identifier, owner.identity, known); !verdict)
        return verdict.refusal();
    bool found = false;
    for (const auto& other : known.owners) {
        const bool same_chip = other.chip_identifier == owner.chip_identifier;
        const bool same_key = other.key_digest == owner.key_digest;
        if (same_chip && !same_key)
            return Refusal{Reason::key_mismatch, "this chip has another identity key"};
        if (same_key && !same_chip)
            return taken("this identity key belongs to another chip");
        found = found || same_chip;
    }
    return found;
}

Result<bool> judge_replacement(const Replacement& replacement, const Known& known)
{
    for (const auto& other : known.replacements)
        if (other.former == replacement.former && other.statement == replacement.statement)
            return true;
    if (is_former(replacement.former, known))
        return Refusal{Reason::chip_replaced, "another chip took its place already"};
    if (is_former(replacement.present, known))
        return Refusal{Reason::chip_replaced, "the new chip was replaced itself"};
    const auto is_new_chip = [&](const std::string& chip) { return chip == replacement.present; };
    if (std::ranges::any_of(known.owners, is_new_chip, &Owner::chip_identifier) ||
        std::ranges::any_of(known.replacements, is_new_chip, &Replacement::present))
        return taken("the new chip has an identity already");
    if (const auto verdict = judge_holder(replacement.former, replacement.identity, known); !verdict)
        return verdict.refusal();
    return false;
}

} // namespace imprint::archive
