// SPDX-License-Identifier: Apache-2.0
// One identity belongs to one chip at a time: whether the chips of each identity are joined by replacements, told from
// what was proved, and not from what a database says about itself.
#pragma once

#include "backup/archive/ownership.h"

#include <map>
#include <set>

namespace imprint::archive {

class Holders {
public:
    // A chip has records under this identity.
    void add(const std::string& chip, const pki::DeviceIdentity& identity);
    // A statement that holds: the former chip's identity went on to the present one.
    void join(const std::string& former, const std::string& present, const pki::DeviceIdentity& identity);

    // The chips that have an identity together with another one, and are not joined to it.
    std::vector<std::string> strangers() const;

private:
    using Digest = std::vector<std::uint8_t>;
    std::string last(const std::string& chip, const Digest& identity) const;

    std::map<Digest, Digest> holders_; // the first chip of each identity: a hundred bytes or two
    std::map<Digest, std::set<std::string>> shared_; // all chips of those that have several
    std::map<std::pair<Digest, std::string>, std::string> next_; // identity and former chip to the present one
};

} // namespace imprint::archive
