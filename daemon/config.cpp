// SPDX-License-Identifier: Apache-2.0
#include "daemon/config.h"

#include "daemon/base/error.h"
#include "daemon/base/owned.h"

#include <libeconf.h>
#include <libeconf_ext.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <span>
#include <vector>

namespace imprint {

namespace {

using File = Owned<econf_file, econf_freeFile>;
using Entry = Owned<econf_ext_value, econf_freeExtValue>;

// A list of names as econf gives it.
struct Names {
    char** list = nullptr;
    std::size_t size = 0;
    Names() = default;
    Names(const Names&) = delete;
    Names& operator=(const Names&) = delete;
    ~Names() { econf_freeArray(list); }
    auto begin() const { return list; }
    auto end() const { return list + size; }
};

[[noreturn]] void refuse(const std::string& why) { throw Error(Reason::not_configured, why); }

// --- values

std::string text(const std::string& value)
{
    if (value.empty())
        refuse("the value is empty");
    return value;
}

std::filesystem::path absolute_path(const std::string& value)
{
    std::filesystem::path path(value);
    if (!path.is_absolute())
        refuse("'" + value + "' is no absolute path");
    return path;
}

std::filesystem::path path_or_none(const std::string& value)
{
    return value.empty() ? std::filesystem::path() : absolute_path(value);
}

std::string unix_socket(const std::string& value)
{
    if (!value.starts_with("unix:/"))
        refuse("'" + value + "' is not unix: and an absolute path");
    return value;
}

bool truth(const std::string& value)
{
    if (value != "yes" && value != "no")
        refuse("'" + value + "' is neither yes nor no");
    return value == "yes";
}

std::uint32_t number(std::string_view value, int base)
{
    std::uint32_t out = 0;
    const auto* end = value.data() + value.size();
    const auto [rest, fault] = std::from_chars(value.data(), end, out, base);
    if (fault != std::errc() || rest != end || value.empty())
        refuse("'" + std::string(value) + "' is no number");
    return out;
}

std::chrono::seconds seconds(const std::string& value)
{
    constexpr std::uint32_t longest = 3600;
    const auto count = number(value, 10);
    if (count < 1 || count > longest)
        refuse("'" + value + "' is not between 1 and 3600 seconds");
    return std::chrono::seconds(count);
}

struct Range {
    std::uint32_t first, last;
    const char* name;
};
constexpr Range owner_nv{0x01800000, 0x01BFFFFF, "the owner's NV indices, 0x01800000 to 0x01BFFFFF"};
constexpr Range owner_persistent{0x81000000, 0x817FFFFF, "the owner's persistent handles, 0x81000000 to 0x817FFFFF"};

TPM2_HANDLE handle(const std::string& value, const Range& range)
{
    if (!value.starts_with("0x"))
        refuse("'" + value + "' does not start with 0x");
    const auto out = number(std::string_view(value).substr(2), 16);
    if (out < range.first || out > range.last)
        refuse("'" + value + "' is not one of " + range.name);
    return out;
}

// --- the keys

struct Key {
    std::string_view section, name;
    void (*set)(Config&, const std::string& value);
};

constexpr std::array keys{
    Key{"Device", "StateDirectory",
        [](Config& c, const std::string& v) { c.device.state_directory = absolute_path(v); }},
    Key{"Device", "TrustBundle", [](Config& c, const std::string& v) { c.device.trust_bundle = absolute_path(v); }},
    Key{"Device", "StationAddress", [](Config& c, const std::string& v) { c.station_address = text(v); }},
    Key{"Device", "ArchiveAddress", [](Config& c, const std::string& v) { c.archive_address = text(v); }},
    Key{"Device", "RequireCentral", [](Config& c, const std::string& v) { c.device.central.required = truth(v); }},
    Key{"Device", "RequireCrossCertificate",
        [](Config& c, const std::string& v) {
            using protocol::CrossCertificates;
            c.device.central.cross = truth(v) ? CrossCertificates::required : CrossCertificates::where_present;
        }},
    Key{"Central", "Address", [](Config& c, const std::string& v) { c.central_address = text(v); }},
    Key{"Central", "TransactionKeys", [](Config& c, const std::string& v) { c.device.transaction_keys = truth(v); }},
    Key{"KeyFiles", "Directory",
        [](Config& c, const std::string& v) { c.device.key_file_directory = path_or_none(v); }},
    Key{"Introduction", "InputUnit",
        [](Config& c, const std::string& v) { c.device.input_unit.address = unix_socket(v); }},
    Key{"Introduction", "InputSec", [](Config& c, const std::string& v) { c.device.input_unit.timeout = seconds(v); }},
    Key{"TPM", "TCTI", [](Config& c, const std::string& v) { c.tpm.tcti = text(v); }},
    Key{"TPM", "EpochIndex", [](Config& c, const std::string& v) { c.tpm.epoch_index = handle(v, owner_nv); }},
    Key{"TPM", "AnchorIndex", [](Config& c, const std::string& v) { c.tpm.anchor_index = handle(v, owner_nv); }},
    Key{"TPM", "StorageKeyHandle",
        [](Config& c, const std::string& v) { c.tpm.storage_key = handle(v, owner_persistent); }},
    Key{"TPM", "IdentityKeyHandle",
        [](Config& c, const std::string& v) { c.tpm.identity_key = handle(v, owner_persistent); }},
    Key{"TPM", "KeyFileParentHandle",
        [](Config& c, const std::string& v) { c.tpm.key_file_parent = handle(v, owner_persistent); }},
    Key{"Timeouts", "ConnectSec", [](Config& c, const std::string& v) { c.device.connect_timeout = seconds(v); }},
    Key{"Timeouts", "MessageSec", [](Config& c, const std::string& v) { c.device.message_timeout = seconds(v); }},
};

const Key& find(std::string_view section, std::string_view name)
{
    const auto* found =
        std::ranges::find_if(keys, [&](const Key& key) { return key.section == section && key.name == name; });
    if (found == keys.end())
        refuse("there is no setting '" + std::string(name) + "'" +
               (section.empty() ? " outside of sections" : " in section [" + std::string(section) + "]"));
    return *found;
}

// --- reading

void check(econf_err result, const std::string& what)
{
    if (result == ECONF_SUCCESS)
        return;
    char* file = nullptr;
    std::uint64_t line = 0;
    econf_errLocation(&file, &line);
    const Owned<char, ::free> owned(file);
    const bool located = file != nullptr && *file != '\0' && line > 0;
    refuse((located ? std::string(file) + ":" + std::to_string(line) : what) + ": " + econf_errString(result));
}

std::string joined(char** values)
{
    std::string out;
    for (; values != nullptr && *values != nullptr; ++values)
        out += (out.empty() ? "" : "\n") + std::string(*values);
    return out;
}

void apply(Config& config, econf_file* file, const char* section, const char* name)
{
    econf_ext_value* raw = nullptr;
    check(econf_getExtValue(file, section, name, &raw), name);
    const Entry entry(raw);
    try {
        find(section != nullptr ? section : "", name).set(config, joined(entry->values));
    } catch (const Error& error) {
        refuse(std::string(entry->file) + ":" + std::to_string(entry->line_number) + ": " + name + ": " + error.what());
    }
}

void apply_section(Config& config, econf_file* file, const char* section)
{
    Names names;
    const auto result = econf_getKeys(file, section, &names.size, &names.list);
    if (result == ECONF_NOKEY || result == ECONF_NOGROUP)
        return;
    check(result, "the configuration");
    for (const char* name : names)
        apply(config, file, section, name);
}

void require_distinct(const Config& config)
{
    if (config.tpm.storage_key == config.tpm.identity_key)
        refuse("StorageKeyHandle and IdentityKeyHandle are the same");
    if (config.tpm.key_file_parent == config.tpm.storage_key || config.tpm.key_file_parent == config.tpm.identity_key)
        refuse("KeyFileParentHandle is that of another key");
    if (config.tpm.epoch_index == config.tpm.anchor_index)
        refuse("EpochIndex and AnchorIndex are the same");
}

void apply_file(Config& config, econf_file* file)
{
    apply_section(config, file, nullptr);
    Names sections;
    const auto result = econf_getGroups(file, &sections.size, &sections.list);
    if (result != ECONF_NOGROUP)
        check(result, "the configuration");
    for (const char* section : sections)
        apply_section(config, file, section);
}

Secret read_auth(const std::filesystem::path& path)
{
    constexpr std::size_t longest = 64;
    try {
        return read_secret_file(path, longest).value_or(Secret{});
    } catch (const Error& error) {
        refuse(error.what());
    }
}

} // namespace

Config load_config(const std::filesystem::path& vendor, const std::filesystem::path& administrator)
{
    // Each file by itself: merged ones (econf_readDirs) forget where a value stood.
    econf_file** raw = nullptr;
    std::size_t size = 0;
    const auto result =
        econf_readDirsHistory(&raw, &size, vendor.c_str(), administrator.c_str(), "imprintd", "conf", "=", "#");
    // libeconf 0.5.1 frees the array at a mistake in a file, but not where there is no file.
    if (result != ECONF_NOFILE)
        check(result, "the configuration");
    const Owned<econf_file*, ::free> array(raw);
    if (result == ECONF_NOFILE)
        return {};
    std::vector<File> files;
    for (auto* file : std::span(raw, size))
        files.emplace_back(file);
    Config config;
    for (const auto& file : files)
        apply_file(config, file.get());
    require_distinct(config);
    return config;
}

Config load_config(const std::filesystem::path& path)
{
    econf_file* raw = nullptr;
    const auto result = econf_readFile(&raw, path.c_str(), "=", "#");
    const File file(raw);
    check(result, path.string());
    Config config;
    apply_file(config, file.get());
    require_distinct(config);
    return config;
}

void read_credentials(tpm::Settings& settings, const std::filesystem::path& directory)
{
    settings.owner_auth = read_auth(directory / "owner-auth");
    settings.endorsement_auth = read_auth(directory / "endorsement-auth");
}

} // namespace imprint
