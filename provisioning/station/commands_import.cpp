// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/commands.h"

#include "daemon/base/file.h"
#include "provisioning/server/owner.h"
#include "provisioning/station/channel_key.h"
#include "provisioning/station/commands_format.h"
#include "provisioning/station/identity_lists.h"
#include "provisioning/station/server.h"

#include <nlohmann/json.hpp>

namespace imprint::station {

namespace {

constexpr std::size_t max_list = 64 * 1024 * 1024;

std::string read_list(const std::filesystem::path& file)
{
    const auto content = read_file(file, max_list);
    if (!content)
        throw Error(Reason::invalid_argument, file.string() + " does not exist");
    return to_string(*content);
}

int report(const std::filesystem::path& file, const std::vector<CsvError>& errors)
{
    for (const auto& error : errors)
        std::cerr << file.string() << ':' << error.line << ':' << error.column << ": " << error.text << '\n';
    std::cerr << "nothing was imported\n";
    return exit_failed;
}

// `add` enters one entry: whether it was new, or why it cannot be.
template <class T, class Add>
int import(Store& store, const std::filesystem::path& file, CsvContent<T> content, const std::string& event,
           bool dry_run, Add add)
{
    std::size_t added = 0;
    auto transaction = store.begin();
    if (content.errors.empty())
        for (const auto& entry : content.entries) {
            const Result<bool> fresh = add(entry.value);
            if (!fresh)
                content.errors.push_back({entry.line, 1, fresh.refusal().detail});
            else if (*fresh)
                ++added;
        }
    if (!content.errors.empty())
        return report(file, content.errors);
    const std::string summary =
        std::to_string(added) + " new, " + std::to_string(content.entries.size() - added) + " known already";
    if (!dry_run) {
        if (added != 0)
            audit(store, event, "", file.filename().string() + ": " + summary);
        transaction.commit();
    }
    std::cout << summary << (dry_run ? "; nothing was changed\n" : "\n");
    return exit_ok;
}

} // namespace

int init(const std::filesystem::path& state)
{
    std::filesystem::create_directories(state);
    std::filesystem::permissions(state, std::filesystem::perms::owner_all);
    const auto key = state / "master.key";
    for (const auto& copied : {key, state / "pool.key"})
        server::give_to_owner(copied);
    if (!std::filesystem::exists(key)) {
        make_master_key(key);
        std::cout << "made the master key " << key.string() << ": keep a copy in a safe\n";
    }
    const Store store(database_path(state));
    std::cout << "the station's state is in " << state.string() << '\n';
    return exit_ok;
}

int back_up(Store& store, const std::filesystem::path& file)
{
    store.copy_to(file);
    std::cout << "wrote " << file.string() << "; the keys are not in it\n";
    return exit_ok;
}

int import_allow_list(Store& store, const std::filesystem::path& file, bool dry_run)
{
    return import(store, file, parse_allow_list(read_list(file)), "ek-imported", dry_run,
                  [&](const AllowedKey& key) -> Result<bool> { return store.allow(key); });
}

int import_identities(Store& store, const std::filesystem::path& file, const std::string& format, bool dry_run)
{
    const auto ending = file.extension();
    const bool lines = format.empty() ? ending == ".jsonl" || ending == ".ndjson" : format == "jsonl";
    const auto text = read_list(file);
    return import(store, file, lines ? parse_identity_lines(text) : parse_identities(text), "identities-imported",
                  dry_run, [&](const ListedIdentity& listed) { return store.list_identity(listed); });
}

int list_allow_list(Store& store, bool json)
{
    auto all = nlohmann::ordered_json::array();
    for (const auto& key : store.allow_list())
        if (json)
            all.push_back({{"chip", key.chip}, {"note", key.note}});
        else
            std::cout << key.chip << (key.note.empty() ? "" : " ") << key.note << '\n';
    if (json)
        std::cout << all.dump(2) << '\n';
    return exit_ok;
}

} // namespace imprint::station
