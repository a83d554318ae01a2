// SPDX-License-Identifier: Apache-2.0
// The parent of keys that may leave as files, and such keys, as a station makes them: what a test then makes wrong.
#pragma once

#include "backup/package/package.pb.h"
#include "daemon/base/secret.h"
#include "daemon/structures/child.h"
#include "tests/structures/software_key.h"

#include <string>

namespace imprint::test {

class SoftwareParent {
public:
    SoftwareParent();

    package::Parent wrapped_for(const TPMT_PUBLIC& storage_key) const;
    package::Entry child(const std::string& label, const TPMT_PUBLIC& object, const Secret& value) const;
    package::Entry child(const std::string& label) const; // a P-256 signing key

    const TPMT_PUBLIC& area() const { return area_; }
    const Secret& seed() const { return seed_; }

private:
    structures::SoftwareKey key_;
    TPMT_PUBLIC area_;
    Secret seed_;
};

} // namespace imprint::test
