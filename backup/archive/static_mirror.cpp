// SPDX-License-Identifier: Apache-2.0
#include "backup/archive/static_mirror.h"

#include "backup/archive/api.h"
#include "backup/package/record.h"
#include "daemon/base/file.h"
#include "daemon/structures/name.h"

#include <set>

namespace imprint::archive {

namespace {

namespace fs = std::filesystem;

constexpr auto newest_name = "newest";
constexpr mode_t for_everybody = 0644;

// Durable, each level of it.
void make_directory(const fs::path& path)
{
    if (path.empty() || fs::is_directory(path))
        return;
    make_directory(path.parent_path());
    std::error_code error;
    fs::create_directory(path, error);
    if (error)
        throw Error(Reason::storage_failed, "cannot make " + path.string() + ": " + error.message());
    sync_directory(path);
}

void write_in(const fs::path& directory, const std::string& name, BytesView content)
{
    make_directory(directory);
    write_file(directory / name, content, for_everybody);
}

std::vector<fs::path> children(const fs::path& directory)
{
    std::vector<fs::path> found;
    std::error_code error;
    for (fs::directory_iterator one(directory, error), end; !error && one != end; one.increment(error))
        found.push_back(one->path());
    if (error && error != std::errc::no_such_file_or_directory)
        throw Error(Reason::storage_failed, "cannot list " + directory.string() + ": " + error.message());
    return found;
}

} // namespace

std::optional<Bytes> StaticMirror::record(const std::string& chip, std::uint64_t sequence) const
{
    return read_file(records(chip) / std::to_string(sequence), package::max_record);
}

std::optional<Bytes> StaticMirror::receipt(const std::string& chip, std::uint64_t sequence) const
{
    return read_file(receipts(chip) / std::to_string(sequence), package::max_record);
}

std::optional<Bytes> StaticMirror::newest(const std::string& chip) const
{
    return read_file(records(chip) / newest_name, package::max_record);
}

std::optional<Bytes> StaticMirror::replacement(const std::string& chip) const
{
    return read_file(replacements() / chip, package::max_record);
}

void StaticMirror::add(const Entry& entry) const
{
    const std::string& chip = entry.owner.chip_identifier;
    const std::string sequence = std::to_string(entry.sequence);
    write_in(receipts(chip), sequence, entry.receipt);
    write_in(records(chip), sequence, entry.record);
}

void StaticMirror::add(const Replacement& replacement) const
{
    write_in(replacements(), replacement.present, replacement.statement);
}

void StaticMirror::settle(const std::string& chip, std::uint64_t sequence) const
{
    for (const auto& path : children(records(chip)))
        if (const auto other = parse_sequence(path.filename().string()); other && *other > sequence)
            return;
    const auto wanted = record(chip, sequence);
    if (wanted && newest(chip) != wanted)
        write_in(records(chip), newest_name, *wanted);
}

StaticMirror::Names StaticMirror::names() const
{
    Names names;
    std::set<std::pair<std::string, std::uint64_t>> entries;
    for (const bool receipt : {false, true}) {
        for (const auto& directory : children(receipt ? root_ / "receipts" : root_ / "v1" / "records")) {
            const std::string chip = directory.filename().string();
            if (!structures::is_chip_identifier(chip) || !fs::is_directory(fs::symlink_status(directory))) {
                names.strange.push_back(directory);
                continue;
            }
            for (const auto& file : children(directory)) {
                const std::string name = file.filename().string();
                if (const auto sequence = parse_sequence(name))
                    entries.emplace(chip, *sequence);
                else if (receipt || name != newest_name)
                    names.strange.push_back(file);
            }
        }
    }
    names.entries.assign(entries.begin(), entries.end());
    for (const auto& file : children(replacements()))
        if (structures::is_chip_identifier(file.filename().string()))
            names.replacements.push_back(file.filename().string());
        else
            names.strange.push_back(file);
    return names;
}

} // namespace imprint::archive
