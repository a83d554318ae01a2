// SPDX-License-Identifier: Apache-2.0
#include "provisioning/device/key_directory.h"

#include "backup/package/data_package.h"
#include "daemon/base/file.h"

#include <algorithm>

namespace imprint::device {

namespace {

namespace fs = std::filesystem;

constexpr mode_t mode = 0640; // the directory's group, or imprintd's: those who may use the TPM
constexpr std::string_view ending = ".pem";
constexpr std::string_view unfinished_ending = ".pem.new"; // what write_file() writes before it is whole

enum class Standing { nothing, ours, foreign };

// Whatever cannot be read as a file of at most that size is not ours.
std::optional<Bytes> content_of(const fs::path& path)
{
    try {
        return read_file(path, pki::max_tss2_key);
    } catch (const Error&) {
        return std::nullopt;
    }
}

bool is_there(const fs::path& path)
{
    std::error_code ignored;
    return fs::exists(fs::symlink_status(path, ignored));
}

Standing standing(const fs::path& path, const auto& is_ours)
{
    if (!is_there(path))
        return Standing::nothing;
    const auto content = content_of(path);
    return content && is_ours(*content) ? Standing::ours : Standing::foreign;
}

bool begins_like_ours(BytesView content)
{
    constexpr std::string_view begin = "-----BEGIN TSS2 PRIVATE KEY-----\n";
    const auto text = as_text(content);
    return text.starts_with(begin) || begin.starts_with(text);
}

class Aligned {
public:
    Aligned(const fs::path& directory, std::uint32_t parent, const KeysByLabel& keys)
        : directory_(directory)
        , parent_(parent)
        , keys_(keys)
    {
    }

    DirectoryOutcome run()
    {
        attempt([this] { remove_others(); });
        for (const auto& [label, key] : keys_)
            attempt([&] { write(label, pki::to_pem(key)); });
        return std::move(outcome_);
    }

private:
    template <class F>
    void attempt(F step)
    {
        try {
            step();
        } catch (const Error& error) {
            outcome_.problems.emplace_back(error.what());
        }
    }

    Standing of(const std::string& label) const
    {
        return standing(path_of(label), [this](BytesView content) {
            const auto key = pki::tss2_key_from_pem(content);
            return key && key->parent == parent_;
        });
    }
    Standing of_unfinished(const std::string& label) const
    {
        return standing(directory_ / (label + std::string(unfinished_ending)), begins_like_ours);
    }
    fs::path path_of(const std::string& label) const { return directory_ / (label + std::string(ending)); }

    std::vector<std::string> names() const
    {
        std::vector<std::string> found;
        std::error_code error;
        for (fs::directory_iterator entry(directory_, error); !error && entry != fs::directory_iterator();
             entry.increment(error))
            found.push_back(entry->path().filename().string());
        if (error && !(error == std::errc::no_such_file_or_directory && keys_.empty()))
            throw Error(Reason::storage_failed,
                        "cannot read the directory of key files " + directory_.string() + ": " + error.message());
        return found;
    }

    void remove_others()
    {
        for (const auto& name : names()) {
            const auto label = [&name](std::string_view end) {
                return name.ends_with(end) ? name.substr(0, name.size() - end.size()) : std::string();
            };
            if (const auto of_file = label(ending);
                package::is_label(of_file) && !keys_.contains(of_file) && of(of_file) == Standing::ours)
                attempt([&] { remove_file(directory_ / name); });
            if (const auto of_rest = label(unfinished_ending);
                package::is_label(of_rest) && of_unfinished(of_rest) == Standing::ours)
                attempt([&] { remove_file(directory_ / name); });
        }
    }

    void write(const std::string& label, const Bytes& pem)
    {
        if (!package::is_label(label))
            throw Error(Reason::storage_failed, "a key in the files has a label that is none");
        const auto path = path_of(label);
        if (content_of(path) != pem) {
            if (of(label) == Standing::foreign || of_unfinished(label) == Standing::foreign)
                throw Error(Reason::storage_failed,
                            path.string() + " or its .new is not one of imprintd's key files, and stays; the key " +
                                label + " has no file until it is moved away");
            write_file(path, pem, mode);
        }
        outcome_.written.emplace(label, path);
    }

    const fs::path& directory_;
    const std::uint32_t parent_;
    const KeysByLabel& keys_;
    DirectoryOutcome outcome_;
};

} // namespace

DirectoryOutcome align_directory(const fs::path& directory, std::uint32_t parent, const KeysByLabel& keys)
{
    return Aligned(directory, parent, keys).run();
}

} // namespace imprint::device
