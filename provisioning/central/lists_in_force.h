// SPDX-License-Identifier: Apache-2.0
// The revocation lists in force: what stations and manufacturer last wrote, or the last that was good.
#pragma once

#include "daemon/pki/verify.h"
#include "provisioning/central/store.h"
#include "provisioning/central/watched_file.h"

#include <map>
#include <memory>

namespace imprint::central {

class ListsInForce {
public:
    // What became of a file that had changed; for the log.
    struct Notice {
        std::string path;
        std::uint64_t number = 0; // of a list that came into force
        std::optional<Refusal> refused; // ... or why none did: the one before stays
    };

    // Takes up what the store keeps. `bundle` is the manufacturer's; the store is borrowed.
    ListsInForce(Store& store, pki::Trust bundle, const std::vector<std::filesystem::path>& files);

    // Another bundle from now on, by which every file is looked at again.
    void use(pki::Trust bundle);

    // Looks at the files. A list comes into force when it is signed as open_lists() says, has a higher number than the
    // one before of its signer, and is durable.
    std::vector<Notice> look(pki::Time now);
    // Throws Error(not_configured) for a file of which there never was a list: nobody would notice that it is missing.
    void require_all() const;

    // The bundle with every list in force; another object after a change.
    std::shared_ptr<const pki::Trust> trust() const { return trust_; }

private:
    void read(const WatchedFile& file, std::vector<Notice>& notices, pki::Time now);
    std::optional<Notice> consider(StoredList list);
    void rebuild();

    Store& store_;
    pki::Trust bundle_;
    std::vector<WatchedFile> files_;
    std::map<Bytes, StoredList> lists_; // by signer
    std::shared_ptr<const pki::Trust> trust_;
};

} // namespace imprint::central
