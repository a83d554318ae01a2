// SPDX-License-Identifier: Apache-2.0
#include "dbus/imprintctl/recovery.h"

#include "backup/package/record.h"
#include "daemon/base/file.h"

#include <charconv>
#include <filesystem>
#include <iostream>

namespace imprint::ctl {

namespace {

// A file's name as an archive writes a sequence: decimal, no leading zero.
std::optional<std::uint64_t> sequence_of(const std::string& name)
{
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), value);
    if (error != std::errc() || std::to_string(value) != name)
        return std::nullopt;
    return value;
}

std::uint64_t highest(const std::filesystem::path& records)
{
    std::uint64_t highest = 0;
    for (const auto& entry : std::filesystem::directory_iterator(records))
        highest = std::max(highest, sequence_of(entry.path().filename()).value_or(0));
    return highest;
}

// Of all the records in the directory, the one that the device will want; the device finds out whether it is.
std::filesystem::path choose(const std::filesystem::path& records, std::uint64_t epoch,
                             std::optional<std::uint64_t> sequence)
{
    const auto wanted = records / std::to_string(sequence.value_or(epoch));
    if (std::filesystem::exists(wanted))
        return wanted;
    if (const auto last = highest(records); last != 0 && !sequence)
        return records / std::to_string(last);
    const auto newest = records / "newest"; // as somebody fetched it who did not know its number
    return std::filesystem::exists(newest) ? newest : wanted;
}

Bytes read_from_mirror(const std::filesystem::path& directory, const nlohmann::ordered_json& properties,
                       std::optional<std::uint64_t> sequence)
{
    const auto records = directory / "v1" / "records" / properties["ChipId"].get<std::string>();
    if (properties["ChipId"].get<std::string>().empty() || !std::filesystem::is_directory(records))
        throw Error(Reason::record_not_found, directory.string() + " has no record of this chip");
    const auto file = choose(records, properties["Epoch"], sequence);
    auto record = read_file(file, package::max_record);
    if (!record)
        throw Error(Reason::record_not_found, file.string() + " does not exist");
    return *std::move(record);
}

} // namespace

bool is_archive(const std::string& source)
{
    if (source.starts_with("http://"))
        return true;
    if (source.find("://") != std::string::npos)
        throw Error(Reason::invalid_argument,
                    source +
                        " is no source of records: they come over http:// (and prove themselves), from a file, "
                        "from the directory of a mirror, or from stdin (-)");
    return false;
}

Bytes read_record(const std::string& source, const nlohmann::ordered_json& properties,
                  std::optional<std::uint64_t> sequence)
{
    if (source != "-" && std::filesystem::is_directory(source))
        return read_from_mirror(source, properties, sequence);
    return read_input(source, package::max_record, "a record");
}

Bytes read_input(const std::string& file, std::size_t limit, const std::string& what)
{
    if (file != "-") {
        auto content = read_file(file, limit);
        if (!content)
            throw Error(Reason::invalid_argument, file + " does not exist");
        return *std::move(content);
    }
    Bytes content(limit + 1);
    std::cin.read(reinterpret_cast<char*>(content.data()), static_cast<std::streamsize>(content.size()));
    content.resize(static_cast<std::size_t>(std::cin.gcount()));
    if (content.empty() || content.size() > limit)
        throw Error(Reason::invalid_argument, "stdin does not hold " + what);
    return content;
}

} // namespace imprint::ctl
