// SPDX-License-Identifier: Apache-2.0
// The archive as a directory of plain files, for any web server: v1/records/<chip>/<sequence>, beside them `newest`,
// and v1/replacements/<chip>. receipts/<chip>/<sequence> lies outside of what is served; with it every record can go
// back into a database. archive.md has the three lines that a web server needs.
#pragma once

#include "backup/archive/store.h"

#include <filesystem>

namespace imprint::archive {

class StaticMirror {
public:
    explicit StaticMirror(std::filesystem::path root)
        : root_(std::move(root))
    {
    }

    // All of it throws Error(storage_failed), for what is there and is no regular file, too.
    std::optional<Bytes> record(const std::string& chip, std::uint64_t sequence) const;
    std::optional<Bytes> receipt(const std::string& chip, std::uint64_t sequence) const;
    std::optional<Bytes> newest(const std::string& chip) const;
    std::optional<Bytes> replacement(const std::string& chip) const;

    // Each file appears whole, the record after its receipt; what stands is durable.
    void add(const Entry& entry) const;
    void add(const Replacement& replacement) const;
    // Makes this record the newest, unless a higher one is there: of a mirror that had more to copy from.
    void settle(const std::string& chip, std::uint64_t sequence) const;

    struct Names {
        std::vector<std::pair<std::string, std::uint64_t>> entries; // with a record or a receipt, in order
        std::vector<std::string> replacements;
        std::vector<std::filesystem::path> strange; // what does not belong there
    };
    Names names() const;

private:
    std::filesystem::path records(const std::string& chip) const { return root_ / "v1" / "records" / chip; }
    std::filesystem::path receipts(const std::string& chip) const { return root_ / "receipts" / chip; }
    std::filesystem::path replacements() const { return root_ / "v1" / "replacements"; }
    std::filesystem::path root_;
};

} // namespace imprint::archive
