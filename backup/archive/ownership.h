// SPDX-License-Identifier: Apache-2.0
// Which chip is which device, and which one takes another's place: the rules, free of any database. A store asks them
// in the transaction in which it adds.
#pragma once

#include "daemon/base/error.h"
#include "daemon/pki/profile.h"

#include <string>
#include <vector>

namespace imprint::archive {

// Whose records they are: chip, device identity and identity key belong together.
struct Owner {
    std::string chip_identifier;
    pki::DeviceIdentity identity;
    Bytes key_digest; // SHA-256 over the identity key's SubjectPublicKeyInfo
    friend bool operator==(const Owner&, const Owner&) = default;
};

// A device goes on with another chip; a station said so (backup/package/replacement.h).
struct Replacement {
    std::string former, present; // chip identifiers
    pki::DeviceIdentity identity;
    pki::Time time; // of acceptance
    Bytes statement;
    friend bool operator==(const Replacement&, const Replacement&) = default;
};

// What is stored already and bears on a decision: the owners and replacements in which the identity occurs or one of
// the chips does, and the owner of the identity key. More of them do no harm.
struct Known {
    std::vector<Owner> owners;
    std::vector<Replacement> replacements;
};

// Whether records of this owner may come; true if the owner is known. One identity has one chip at a time, the last one
// of its replacements. Refusal(chip_replaced) for a former chip, Refusal(identity_taken) if the identity has another
// chip or the chip another identity, Refusal(key_mismatch) if the chip has another identity key.
Result<bool> judge_owner(const Owner& owner, const Known& known);

// Whether the replacement may be added; true if the very statement is there. A chip is replaced once and takes one
// place, before it has an identity; hence there are no circles. Refusal(chip_replaced | identity_taken).
Result<bool> judge_replacement(const Replacement& replacement, const Known& known);

} // namespace imprint::archive
