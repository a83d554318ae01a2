// SPDX-License-Identifier: Apache-2.0
#include "dbus/imprintctl/output.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <iomanip>
#include <iostream>
#include <sstream>
#include <sys/ioctl.h>
#include <unistd.h>

namespace imprint::ctl {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t bar_width = 30;

std::size_t terminal_width()
{
    winsize size{};
    constexpr std::size_t usual = 80;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : usual;
}

std::string joined(const Json& texts, const char* separator)
{
    std::string out;
    for (const auto& text : texts)
        if (!text.get<std::string>().empty())
            out += (out.empty() ? "" : separator) + text.get<std::string>();
    return out;
}

std::string utc(std::uint64_t since_1970)
{
    const auto seconds = static_cast<std::time_t>(since_1970);
    std::tm parts{};
    std::ostringstream text;
    text << std::put_time(gmtime_r(&seconds, &parts), "%Y-%m-%d %H:%M:%S UTC");
    return text.str();
}

std::string present(const Json& pem) { return pem.get<std::string>().empty() ? "" : "present"; }

// Label and value of every line; a line without a value is left out.
std::vector<std::pair<const char*, std::string>> lines(const Json& p)
{
    const bool counting = p["Epoch"] != 0;
    return {
        {"State", p["State"]},
        {"What next", p["StateHint"]},
        {"Running call",
         p["Busy"] ? std::to_string(p["Progress"][0].get<unsigned>()) + "% " + p["Progress"][1].get<std::string>()
                   : ""},
        {"Device identity", joined(p["DeviceIdentity"], " ")},
        {"Chip", p["ChipId"]},
        {"Epoch", counting ? std::to_string(p["Epoch"].get<std::uint64_t>()) : ""},
        {"Newest record", p["Sequence"] != 0 ? std::to_string(p["Sequence"].get<std::uint64_t>()) : ""},
        {"Ready to switch", p["ReadyToSwitch"] ? "yes" : ""},
        {"Keys", joined(p["Keys"], ", ")},
        {"Key files", joined(p["KeyFiles"], ", ")},
        {"Central system",
         p["CentralSet"] != 0 ? "keys of list " + std::to_string(p["CentralSet"].get<std::uint64_t>()) : ""},
        {"Module certificate", present(p["ModuleCertificate"])},
        {"Identity certificate", present(p["IdentityCertificate"])},
        {"TPM", joined(Json{p["TpmVendor"], p["TpmFirmware"]}, ", firmware ")},
        {"Version", p["Version"]},
    };
}

} // namespace

Output::Output(Style style)
    : style_(style)
    , terminal_(isatty(STDERR_FILENO) != 0)
{
}

void Output::progress(unsigned percent, const std::string& step)
{
    const auto shown = std::min(percent, 100U);
    if (!terminal_) {
        std::cerr << std::setw(3) << shown << "% " << step << std::endl;
        return;
    }
    const auto filled = bar_width * shown / 100;
    const auto room = std::max<std::size_t>(terminal_width(), bar_width + 10) - bar_width - 9;
    std::cerr << "\r[" << std::string(filled, '#') << std::string(bar_width - filled, ' ') << "] " << std::setw(3)
              << shown << "% " << step.substr(0, room) << "\033[K" << std::flush;
    bar_shown_ = true;
}

void Output::end_progress()
{
    if (std::exchange(bar_shown_, false))
        std::cerr << "\r\033[K" << std::flush;
}

void Output::status(const Json& properties) const
{
    if (style_.json) {
        std::cout << properties.dump(2) << std::endl;
        return;
    }
    for (const auto& [label, value] : lines(properties))
        if (!value.empty())
            std::cout << std::left << std::setw(21) << label << value << "\n";
    std::cout << std::flush;
}

void Output::done(const Json& properties) const
{
    if (style_.json)
        return status(properties);
    if (style_.quiet)
        return;
    std::cout << "The device is in the state " << properties["State"].get<std::string>();
    const auto identity = joined(properties["DeviceIdentity"], " ");
    std::cout << (identity.empty() ? "" : ", its identity is " + identity) << "." << std::endl;
}

void Output::report(const Json& report) const
{
    if (style_.json) {
        std::cout << report.dump(2) << std::endl;
        return;
    }
    const std::array<std::pair<const char*, std::string>, 6> all{
        {{"Record", "sequence " + std::to_string(report["sequence"].get<std::uint64_t>())},
         {"Recorded", utc(report["recorded"])},
         {"Chip", report["chip-id"]},
         {"Device identity", joined(report["identity"], " ")},
         {"Keys", joined(report["keys"], ", ")},
         {"Module key",
          report["operating"] ? "comes back: the device would be operating"
                              : "does not come back: Personalize makes another one"}}};
    std::cout << "This record would bring the device back.\n";
    for (const auto& [label, value] : all)
        if (!value.empty())
            std::cout << std::left << std::setw(21) << label << value << "\n";
    std::cout << std::flush;
}

void Output::passed_over(const std::string& source, const Failure& failure) const
{
    if (style_.json)
        return;
    std::cerr << "imprintctl: " << source << ": " << failure.what << " (" << failure.reason << ")"
              << (failure.why.empty() ? "" : " " + failure.why) << std::endl;
}

void Output::failure(const Failure& failure) const
{
    if (style_.json) {
        const Json error{
            {"error",
             {{"reason", failure.reason}, {"what", failure.what}, {"why", failure.why}, {"advice", failure.advice}}}};
        std::cout << error.dump(2) << std::endl;
        return;
    }
    std::cerr << "imprintctl: " << failure.what << " (" << failure.reason << ")\n";
    if (!failure.why.empty())
        std::cerr << "  Why:        " << failure.why << "\n";
    std::cerr << "  What to do: " << failure.advice << std::endl;
}

void Output::key(const Json& key) const
{
    if (style_.json)
        return document(key);
    for (const auto* name : {"label", "kind"})
        std::cout << std::left << std::setw(21) << name << key[name].get<std::string>() << "\n";
    const auto algorithms = joined(key["algorithms"], ", ");
    if (!algorithms.empty())
        std::cout << std::left << std::setw(21) << "algorithms" << algorithms << "\n";
    if (key.contains("key-file-path"))
        std::cout << std::left << std::setw(21) << "key file" << key["key-file-path"].get<std::string>() << "\n";
    for (const auto* name : {"public-key", "certificate"})
        if (key.contains(name))
            std::cout << key[name].get<std::string>();
    std::cout << std::flush;
}

void Output::document(const Json& document) const { std::cout << document.dump(2) << std::endl; }

void Output::line(const std::string& text) const { std::cout << text << std::endl; }

} // namespace imprint::ctl
