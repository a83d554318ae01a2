// SPDX-License-Identifier: Apache-2.0
// The directory where key files stand. Its files tell by themselves which are ours: a regular file "<label>.pem" that
// is, byte for byte, what we write for a key under our parent's handle (under which nobody else makes keys, and without
// which it is of no use), and "<label>.pem.new" that begins like one, which a crash has left. No list of them could be
// lost with the disk, or be behind. All else belongs to somebody else: it is neither overwritten nor removed.
#pragma once

#include "daemon/pki/tss2_key.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace imprint::device {

using KeysByLabel = std::map<std::string, pki::Tss2Key>;

struct DirectoryOutcome {
    std::map<std::string, std::filesystem::path> written; // by label: what programs find there now
    std::vector<std::string> problems; // what could not be done, one sentence each
};

// Leaves of our files those of `keys` and no others; what is there already is not touched. Every change of a file is
// one step; a crash is mended by the next call. A directory that is not there matters only where keys are to go there.
DirectoryOutcome align_directory(const std::filesystem::path& directory, std::uint32_t parent, const KeysByLabel& keys);

} // namespace imprint::device
