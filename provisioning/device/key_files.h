// SPDX-License-Identifier: Apache-2.0
// The data package's keys as files for programs that use the TPM by themselves, where the operator wants them: TSS2
// keys under the package's parent, which stands at a persistent handle for as long as there are any.
#pragma once

#include "daemon/lifecycle/store.h"
#include "daemon/tpm/worker.h"
#include "provisioning/device/key_directory.h"

#include <optional>

namespace imprint::device {

struct KeyFiles {
    std::map<std::string, std::filesystem::path> written; // by label
    std::vector<std::string> problems; // sentences for people; nothing else of the device depends on key files
    std::optional<Refusal> parent_fault; // why the parent is not where it should be, or still where it should not be
};

// Brings parent and directory in line with the file whose keys are in use, or with nullptr: none are. Without a
// directory there are no key files and no parent. In line already: nothing changes; a crash anywhere is mended by the
// next call. [1 where the parent is as it should be; SecurityModule::persist_parent(), evict_parent()]
KeyFiles align_key_files(tpm::Worker& worker, const std::filesystem::path& directory,
                         const lifecycle::Personalization* in_use);

} // namespace imprint::device
