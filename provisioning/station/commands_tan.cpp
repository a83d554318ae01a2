// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/commands.h"

#include "daemon/base/file.h"
#include "provisioning/server/qr.h"
#include "provisioning/station/commands_format.h"

#include <nlohmann/json.hpp>

#include <unistd.h>

namespace imprint::station {

namespace {

std::string_view state_of(const IntroductionEntry& entry)
{
    return entry.state == IntroductionState::open && now() >= entry.expires ? "expired" : name(entry.state);
}

std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }

nlohmann::ordered_json describe(const IntroductionEntry& entry)
{
    return {{"selector", entry.selector},
            {"kind", name(entry.kind)},
            {"state", state_of(entry)},
            {"chip", entry.chip},
            {"identity", entry.identity ? entry.identity->value : ""},
            {"issued", utc(entry.issued)},
            {"expires", utc(entry.expires)},
            {"issuer", entry.issuer},
            {"reason", entry.reason},
            {"used-by", entry.used_by},
            {"used", entry.used_by.empty() ? "" : utc(entry.used)},
            {"sequence", entry.sequence},
            {"recorded", entry.recorded}};
}

void print(const IntroductionEntry& entry)
{
    std::cout << entry.selector << ' ' << name(entry.kind) << ' ' << state_of(entry) << " until " << utc(entry.expires)
              << " for " << (entry.chip.empty() ? "any chip" : entry.chip) << " as "
              << or_dash(entry.identity ? entry.identity->value : "") << " by " << entry.issuer << " used by "
              << or_dash(entry.used_by) << ' ' << entry.reason << '\n';
}

// The only time that a number is shown.
void show(const std::vector<protocol::IntroductionCode>& codes, const Terms& terms, const TanOutput& output)
{
    const std::string expires = utc(now() + terms.valid);
    auto all = nlohmann::ordered_json::array();
    for (const auto& code : codes) {
        const Secret text = text_of(code);
        if (output.json)
            all.push_back({{"number", as_text(text.view())}, {"selector", code.selector}, {"expires", expires}});
        else
            std::cout << as_text(text.view()) << "  until " << expires << '\n';
        if (output.qr)
            std::cout << as_text(server::qr_text(as_text(text.view()), isatty(STDOUT_FILENO) != 0).view());
        if (!output.svg.empty())
            write_file(output.svg, server::qr_svg(as_text(text.view())).view());
    }
    if (output.json)
        std::cout << all.dump(2) << '\n';
    if (!std::cout.flush())
        throw Error(Reason::storage_failed, "standard output took no numbers: revoke them, see tan list");
}

} // namespace

int issue_tans(Store& store, const Terms& terms, unsigned count, const TanOutput& output)
{
    std::vector<protocol::IntroductionCode> codes;
    auto transaction = store.begin();
    for (unsigned i = 0; i < count; ++i)
        codes.push_back(issue_transaction_number(store, terms, now()));
    transaction.commit();
    show(codes, terms, output);
    return exit_ok;
}

int list_tans(Store& store, bool json)
{
    auto all = nlohmann::ordered_json::array();
    for (const auto& entry : store.introductions())
        if (json)
            all.push_back(describe(entry));
        else
            print(entry);
    if (json)
        std::cout << all.dump(2) << '\n';
    return exit_ok;
}

int revoke_tan(Store& store, const std::string& selector)
{
    // A whole number is not repeated: it is a secret.
    if (!protocol::is_selector(selector))
        throw Error(Reason::invalid_argument, "a selector is the first 7 letters and digits of a number, see tan list");
    auto transaction = store.begin();
    if (!store.revoke_introduction(selector))
        throw Error(Reason::invalid_argument,
                    selector + " does not exist, was revoked already, or its personalization is complete");
    const auto entry = store.introduction(selector).value();
    audit(store, "introduction-revoked", entry.chip, described(entry));
    transaction.commit();
    return exit_ok;
}

} // namespace imprint::station
