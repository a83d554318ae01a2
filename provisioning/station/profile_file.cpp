// SPDX-License-Identifier: Apache-2.0
// Reads profiles. Nothing in them is skipped: a key that is not known here is a key that somebody relies upon.
#include "backup/package/opaque_secret.h"
#include "daemon/base/file.h"
#include "provisioning/station/package_profile.h"

#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <sstream>
#include <toml.hpp>

namespace imprint::station {

namespace {

constexpr std::size_t max_profile = 256 * 1024;
constexpr std::size_t max_label = 64;

Error invalid(const std::string& file, const toml::source_location& at, const std::string& what)
{
    return {Reason::profile_invalid,
            file + ":" + std::to_string(at.line()) + ":" + std::to_string(at.column()) + ": " + what};
}

// The first line of what the parser says, without the names of its functions.
std::string sentence(const std::string& what)
{
    const auto line = what.substr(0, what.find('\n'));
    const auto colon = line.find(": ");
    return colon == std::string::npos ? line : line.substr(colon + 2);
}

bool is_label(const std::string& text)
{
    return !text.empty() && text.size() <= max_label && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
    });
}

// One [[entry]]: each key is taken out once, and none may be left.
class EntryReader {
public:
    EntryReader(const std::filesystem::path& file, const toml::value& entry)
        : file_(file)
        , entry_(entry)
    {
        if (!entry.is_table())
            throw error(entry, "an entry is a table");
        rest_ = entry.as_table();
    }

    ProfileEntry read()
    {
        ProfileEntry entry;
        entry.label = label("label");
        const auto type = required("type");
        const auto type_name = text(type, "a type");
        if (type_name == "hmac")
            entry.what = derived_key(entry.label);
        else if (type_name == "opaque")
            entry.what = opaque_secret();
        else if (const auto kind = pair_kind(type_name))
            entry.what = pair(*kind);
        else
            throw error(type, "a type is hmac, p256, p384, rsa2048, rsa3072 or opaque");
        if (!std::holds_alternative<OpaqueSecret>(entry.what))
            entry.key_file = flag("key-file");
        if (!rest_.empty())
            throw error(first_left(), "an entry of type " + type_name + " has no " + name_of_first());
        return entry;
    }

    // Where its label stands.
    toml::source_location label_location() const { return entry_.at("label").location(); }

private:
    Error error(const toml::value& at, const std::string& what) const
    {
        return invalid(file_.string(), at.location(), what);
    }

    // In the order of the file.
    toml::table::const_iterator first() const
    {
        return std::ranges::min_element(rest_, {}, [](const auto& item) {
            return std::pair(item.second.location().line(), item.second.location().column());
        });
    }
    const toml::value& first_left() const { return first()->second; }
    const std::string& name_of_first() const { return first()->first; }

    std::optional<toml::value> take(const std::string& name)
    {
        auto node = rest_.extract(name);
        return node.empty() ? std::nullopt : std::optional(std::move(node.mapped()));
    }
    toml::value required(const std::string& name)
    {
        auto value = take(name);
        if (!value)
            throw error(entry_, "this entry has no " + name);
        return *std::move(value);
    }
    std::string text(const toml::value& value, const std::string& what) const
    {
        if (!value.is_string())
            throw error(value, what + " is a string");
        return value.as_string().str;
    }
    std::string label_in(const toml::value& value) const
    {
        auto out = text(value, "a label");
        if (!is_label(out))
            throw error(value, "a label is 1 to 64 of a-z, 0-9, dot and hyphen");
        return out;
    }
    std::string label(const std::string& name) { return label_in(required(name)); }
    bool flag(const std::string& name)
    {
        const auto value = take(name);
        if (value && !value->is_boolean())
            throw error(*value, name + " is true or false");
        return value && value->as_boolean();
    }
    // One of two words; the first one if there is none.
    bool second_of(const std::string& name, const std::string& one, const std::string& other)
    {
        const auto value = take(name);
        if (!value)
            return false;
        const auto word = text(*value, name);
        if (word != one && word != other)
            throw error(*value, name + " is " + one + " or " + other + " here");
        return word == other;
    }

    DerivedKey derived_key(const std::string& own_label)
    {
        DerivedKey key{own_label, 1};
        if (const auto as = take("derived-as"))
            key.derived_as = label_in(*as);
        if (const auto version = take("key-version")) {
            if (!version->is_integer() || version->as_integer() < 1 ||
                version->as_integer() > std::numeric_limits<std::uint32_t>::max())
                throw error(*version, "a key-version is a number from 1 to 4294967295");
            key.version = static_cast<std::uint32_t>(version->as_integer());
        }
        return key;
    }

    PairKey pair(PairKind kind)
    {
        PairKey key{.kind = kind};
        if (second_of("use", "sign", is_rsa(kind) ? "decrypt" : "agree"))
            key.use = structures::KeyUse::decrypt;
        key.from_pool = second_of("source", "assembly", "pool");
        key.certificate = flag("certificate");
        return key;
    }

    OpaqueSecret opaque_secret()
    {
        const auto file = take("file"), directory = take("directory");
        if (file.has_value() == directory.has_value())
            throw error(entry_, "a secret has either a file or a directory");
        return file ? one_for_all(*file) : one_for_each(*directory);
    }
    OpaqueSecret one_for_all(const toml::value& file) const
    {
        const auto path = beside(text(file, "a file"));
        auto content = read_secret_file(path, package::max_opaque + 1);
        if (!content)
            throw error(file, path.string() + " does not exist");
        if (content->empty() || content->size() > package::max_opaque)
            throw error(file, path.string() + " has not 1 to 65536 bytes");
        return {.content = std::make_shared<const Secret>(*std::move(content)), .directory = {}};
    }
    OpaqueSecret one_for_each(const toml::value& directory) const
    {
        auto path = beside(text(directory, "a directory"));
        if (!std::filesystem::is_directory(path))
            throw error(directory, path.string() + " is no directory");
        return {.content = nullptr, .directory = std::move(path)};
    }
    std::filesystem::path beside(const std::filesystem::path& path) const { return file_.parent_path() / path; }

    const std::filesystem::path& file_;
    const toml::value& entry_;
    toml::table rest_;
};

toml::value parse(const std::filesystem::path& file)
{
    const auto bytes = read_file(file, max_profile);
    if (!bytes)
        throw Error(Reason::profile_invalid, file.string() + " does not exist");
    std::istringstream in(to_string(*bytes));
    try {
        return toml::parse(in, file.string());
    } catch (const toml::syntax_error& e) {
        throw invalid(file.string(), e.location(), sentence(e.what()));
    } catch (const std::exception& e) { // a number that is too large, for one
        throw Error(Reason::profile_invalid, file.string() + ": " + sentence(e.what()));
    }
}

const toml::array& entries_of(const std::filesystem::path& file, const toml::value& profile)
{
    for (const auto& [name, value] : profile.as_table())
        if (name != "entry")
            throw invalid(file.string(), value.location(), "a profile has entries, and no " + name);
    if (!profile.contains("entry") || !profile.at("entry").is_array() || profile.at("entry").as_array().empty())
        throw invalid(file.string(), profile.location(), "a profile has [[entry]] at least once");
    return profile.at("entry").as_array();
}

} // namespace

PackageProfile read_profile(const std::filesystem::path& file)
{
    const auto toml = parse(file);
    PackageProfile profile{.entries = {}};
    std::set<std::string> labels;
    for (const auto& value : entries_of(file, toml)) {
        EntryReader reader(file, value);
        profile.entries.push_back(reader.read());
        if (!labels.insert(profile.entries.back().label).second)
            throw invalid(file.string(), reader.label_location(), "there is an entry with this label already");
        if (profile.entries.size() > package::max_entries)
            throw invalid(file.string(), value.location(), "more than 64 entries");
        if (largest_package(profile) > package::max_data_package)
            throw invalid(file.string(), value.location(),
                          "with this entry a package may be larger than the 128 KiB that it can have");
    }
    return profile;
}

} // namespace imprint::station
