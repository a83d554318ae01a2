// SPDX-License-Identifier: Apache-2.0
#include "provisioning/device/key_files.h"

namespace imprint::device {

namespace {

KeysByLabel keys_of(const lifecycle::Personalization& file, std::uint32_t parent)
{
    KeysByLabel keys;
    for (const auto& key : file.keys())
        if (key.key_file())
            keys[key.label()] = {parent, to_bytes(key.object()), to_bytes(key.sensitive())};
    return keys;
}

struct Parent {
    std::optional<TPM2_HANDLE> handle; // nothing: the TPM cannot be reached
    std::optional<Refusal> fault; // why it is not where it should be
};

Parent settle(tpm::Worker& worker, const lifecycle::Parent* wanted)
{
    Parent parent;
    try {
        worker.call([&](tpm::SecurityModule& module) {
            parent.handle = module.key_file_parent();
            if (wanted == nullptr)
                module.evict_parent();
            else
                module.persist_parent(as_bytes(wanted->object()), as_bytes(wanted->sensitive()));
        });
    } catch (const Error& error) {
        parent.fault = error.refusal();
    }
    return parent;
}

// What failed may be right the next time, and then the files are, too. But where somebody else's key is the parent,
// they have none.
bool leaves_files_alone(const Parent& parent, bool wanted)
{
    return !parent.handle || (wanted && parent.fault && parent.fault->reason != Reason::tpm_handle_taken);
}

std::string problem(const Refusal& fault, bool wanted)
{
    return (wanted ? "the parent of key files cannot be had, and without it they are of no use: "
                   : "the parent of key files is still there: ") +
        fault.detail;
}

} // namespace

// The parent comes before the files and goes before them: a file without it is of no use to anybody.
KeyFiles align_key_files(tpm::Worker& worker, const std::filesystem::path& directory,
                         const lifecycle::Personalization* in_use)
{
    const bool wanted = in_use != nullptr && in_use->has_parent() && !directory.empty();
    const auto parent = settle(worker, wanted ? &in_use->parent() : nullptr);
    KeyFiles out;
    if (!directory.empty() && !leaves_files_alone(parent, wanted)) {
        const auto keys = wanted && !parent.fault ? keys_of(*in_use, *parent.handle) : KeysByLabel{};
        auto outcome = align_directory(directory, *parent.handle, keys);
        out.written = std::move(outcome.written);
        out.problems = std::move(outcome.problems);
    }
    if (parent.fault)
        out.problems.push_back(problem(*parent.fault, wanted));
    out.parent_fault = parent.fault;
    return out;
}

} // namespace imprint::device
