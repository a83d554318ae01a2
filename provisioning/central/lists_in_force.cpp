// SPDX-License-Identifier: Apache-2.0
#include "provisioning/central/lists_in_force.h"

#include "provisioning/central/revocation.h"

namespace imprint::central {

namespace {

constexpr std::size_t max_file = 8 * 1024 * 1024;

} // namespace

ListsInForce::ListsInForce(Store& store, pki::Trust bundle, const std::vector<std::filesystem::path>& files)
    : store_(store)
    , bundle_(std::move(bundle))
{
    for (const auto& file : files)
        files_.emplace_back(file, max_file);
    for (auto& list : store_.lists())
        lists_.emplace(list.issuer, std::move(list));
    rebuild();
}

void ListsInForce::use(pki::Trust bundle)
{
    bundle_ = std::move(bundle);
    for (auto& file : files_)
        file.look_again();
    rebuild();
}

void ListsInForce::rebuild()
{
    auto trust = std::make_shared<pki::Trust>(bundle_);
    for (const auto& [issuer, list] : lists_)
        trust->crls.push_back(pki::Crl::from_der(list.crl).or_throw());
    trust_ = std::move(trust);
}

std::optional<ListsInForce::Notice> ListsInForce::consider(StoredList list)
{
    const auto before = lists_.find(list.issuer);
    if (before != lists_.end() && before->second.crl == list.crl)
        return std::nullopt;
    if (before != lists_.end() && before->second.number >= list.number)
        return Notice{list.path, 0,
                      Refusal{Reason::untrusted_certificate,
                              "the revocation list has number " + std::to_string(list.number) + ", and " +
                                  std::to_string(before->second.number) + " is in force"}};
    store_.keep(list);
    Notice notice{list.path, list.number, {}};
    const Bytes issuer = list.issuer;
    lists_.insert_or_assign(issuer, std::move(list));
    return notice;
}

void ListsInForce::read(const WatchedFile& file, std::vector<Notice>& notices, pki::Time now)
try {
    const auto content = file.read();
    auto lists = content ? open_lists(*content, *trust_, now)
                         : Result<std::vector<StoredList>>(Refusal{Reason::not_configured, "the file is missing"});
    if (!lists) {
        notices.push_back({file.path(), 0, lists.refusal()});
        return;
    }
    for (auto& list : *lists) {
        list.path = file.path();
        if (auto notice = consider(std::move(list)))
            notices.push_back(*std::move(notice));
    }
} catch (const Error& error) {
    notices.push_back({file.path(), 0, error.refusal()});
}

std::vector<ListsInForce::Notice> ListsInForce::look(pki::Time now)
{
    std::vector<Notice> notices;
    for (auto& file : files_)
        if (file.changed())
            read(file, notices, now);
    if (std::ranges::any_of(notices, [](const Notice& notice) { return !notice.refused; }))
        rebuild();
    return notices;
}

void ListsInForce::require_all() const
{
    for (const auto& file : files_)
        if (std::ranges::none_of(lists_, [&](const auto& list) { return list.second.path == file.path(); }))
            throw Error(Reason::not_configured,
                        "no revocation list was ever read from " + file.path().string() +
                            "; a station writes it as crl.pem in its state directory");
}

} // namespace imprint::central
