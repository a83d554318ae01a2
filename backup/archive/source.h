// SPDX-License-Identifier: Apache-2.0
// Where a mirror copies from: a database, or another archive. Nothing that comes from there is trusted.
#pragma once

#include "backup/archive/store.h"

namespace imprint::archive {

struct Copy {
    std::string chip;
    std::uint64_t sequence = 0;
    Bytes record, receipt;
};

class Source {
public:
    Source() = default;
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    virtual ~Source() = default;

    // All of it throws Error where the source cannot be read.
    virtual void visit(const std::function<void(const Listed&)>& visitor) = 0; // every record, the oldest first
    // In the same order; a Refusal for what is not there in spite of the list.
    virtual std::vector<Result<Copy>> fetch(std::span<const Listed> records) = 0;
    virtual std::vector<Replacement> replacements() = 0; // the oldest first
};

class DatabaseSource : public Source {
public:
    explicit DatabaseSource(Store& store)
        : store_(store)
    {
    }
    void visit(const std::function<void(const Listed&)>& visitor) override;
    std::vector<Result<Copy>> fetch(std::span<const Listed> records) override;
    std::vector<Replacement> replacements() override;

private:
    Store& store_;
};

} // namespace imprint::archive
