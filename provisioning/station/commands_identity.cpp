// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/commands.h"

#include "daemon/structures/name.h"
#include "provisioning/station/commands_format.h"

#include <nlohmann/json.hpp>

namespace imprint::station {

namespace {

using Json = nlohmann::ordered_json;

IdentityRange range_of(const RangeOptions& options)
{
    if (options.kind != pki::serial_kind) {
        if (!options.prefix.empty() || options.width != 0)
            throw Error(Reason::invalid_argument, "--prefix and --width are for serial numbers");
        return range_between(options.kind, options.first, options.last).or_throw();
    }
    const auto number = [](const std::string& text) -> std::uint64_t {
        if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos)
            throw Error(Reason::invalid_argument, "not a number of at most 18 digits: " + text);
        return std::stoull(text);
    };
    if (options.width == 0 || options.width > 18)
        throw Error(Reason::invalid_argument, "serial numbers want --width, from 1 to 18");
    return {
        .prefix = options.prefix, .width = options.width, .first = number(options.first), .last = number(options.last)};
}

std::string text_of(const IdentityRange& range)
{
    return range.kind + " " + identity_at(range, range.first).value + " to " + identity_at(range, range.last).value;
}

Json document(const RangeEntry& entry)
{
    const auto& range = entry.range;
    return {{"kind", range.kind},
            {"first", identity_at(range, range.first).value},
            {"last", identity_at(range, range.last).value},
            {"next", entry.next > range.last ? "" : identity_at(range, entry.next).value},
            {"left", range.last - entry.next + 1}};
}

Json document(const std::string& chip, const pki::DeviceIdentity& identity)
{
    return {{"chip", chip}, {"kind", identity.kind}, {"identity", identity.value}};
}

void print(const Json& list, const char* what)
{
    for (const auto& entry : list)
        std::cout << what << ' ' << entry["kind"].get<std::string>() << ' ' << entry["identity"].get<std::string>()
                  << " chip " << entry["chip"].get<std::string>() << '\n';
}

void print(const Json& all)
{
    for (const auto& range : all["ranges"])
        std::cout << "range " << range["kind"].get<std::string>() << ' ' << range["first"].get<std::string>() << " to "
                  << range["last"].get<std::string>() << ", " << range["left"] << " left\n";
    print(all["listed"], "listed");
    print(all["given"], "given");
}

RequestEntry asked_for(Store& store, const std::string& chip)
{
    if (!structures::is_chip_identifier(chip))
        throw Error(Reason::invalid_argument, "a chip identifier is 64 hexadecimal digits in lower case");
    const auto request = store.request(chip);
    if (!request)
        throw Error(Reason::invalid_argument, "this chip does not ask for an identity");
    return *request;
}

} // namespace

int add_range(Store& store, const RangeOptions& options)
{
    const auto range = range_of(options);
    auto transaction = store.begin();
    store.add_range(range);
    audit(store, "range-added", "", text_of(range));
    transaction.commit();
    return exit_ok;
}

int close_ranges(Store& store, bool yes)
{
    if (!yes && !confirmed("Give nothing more from the ranges that there are, for good?"))
        return exit_failed;
    auto transaction = store.begin();
    const auto left = store.close_ranges();
    audit(store, "ranges-closed", "", std::to_string(left) + " identities are not given any more");
    transaction.commit();
    std::cout << left << " identities of the ranges are not given any more; add another range to go on\n";
    return exit_ok;
}

int list_identities(Store& store, bool json)
{
    Json all{{"ranges", Json::array()}, {"listed", Json::array()}, {"given", Json::array()}};
    for (const auto& entry : store.ranges())
        all["ranges"].push_back(document(entry));
    for (const auto& listed : store.identity_list())
        if (!store.chip(listed.chip))
            all["listed"].push_back(document(listed.chip, listed.identity));
    for (const auto& chip : store.chips())
        if (chip.replaced_by.empty())
            all["given"].push_back(document(chip.id, chip.identity));
    if (json)
        std::cout << all.dump(2) << '\n';
    else
        print(all);
    return exit_ok;
}

int list_requests(Store& store, bool json)
{
    auto all = Json::array();
    for (const auto& request : store.requests()) {
        all.push_back(document(request.chip, request.identity));
        all.back()["time"] = utc(request.time);
    }
    if (json)
        std::cout << all.dump(2) << '\n';
    else
        for (const auto& request : all)
            std::cout << request["time"].get<std::string>() << " chip " << request["chip"].get<std::string>()
                      << " asks for " << request["kind"].get<std::string>() << ' '
                      << request["identity"].get<std::string>() << '\n';
    return exit_ok;
}

int confirm_request(Store& store, const std::string& chip)
{
    auto transaction = store.begin();
    const auto request = asked_for(store, chip);
    if (const auto listed = store.list_identity({chip, request.identity}); !listed)
        throw Error(listed.refusal());
    store.remove_request(chip);
    audit(store, "identity-confirmed", chip, request.identity.kind + " " + request.identity.value);
    transaction.commit();
    return exit_ok;
}

int refuse_request(Store& store, const std::string& chip)
{
    auto transaction = store.begin();
    const auto request = asked_for(store, chip);
    store.remove_request(chip);
    audit(store, "identity-refused", chip, request.identity.kind + " " + request.identity.value);
    transaction.commit();
    return exit_ok;
}

} // namespace imprint::station
