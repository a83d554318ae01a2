// SPDX-License-Identifier: Apache-2.0
#include "tests/container/reader.h"

#include <algorithm>
#include <regex>
#include <stdexcept>

namespace imprint::test {

namespace {

// The packages are installed already, and the TPM is a software one.
const std::string prelude = R"(cd /root
export TPM2TOOLS_TCTI=swtpm:path=/run/test-tpm/tpm.sock
apt() { for deb in "${@:2}"; do deb=${deb##*/}; dpkg-query --show "${deb%%_*}"; done; }
scp() { cp "$1" "${2#*:}"; }
)";

// In a mount namespace of its own.
std::string with_own_files(const std::string& machine)
{
    return "for own in /etc/imprint-{station,archive,courier} /var/lib/imprint-{station,archive}; do\n"
           "mkdir -p /machines/" +
        machine + "$own $own; mount --bind /machines/" + machine + "$own $own; done\n";
}

// For systemd-ask-password: what those who know it type when they are asked. At a keyboard no end comes.
const std::string passphrase = "half of it, and the other half";
const std::string at_a_terminal = R"(rm -f /run/keys; mkfifo /run/keys; exec 3<>/run/keys; echo "$1" >&3
exec script -qec 'bash -e /run/typed' /dev/null <&3)";

bool is_command(const std::string& quoted)
{
    static const std::regex command("^(imprint[a-z-]*|systemctl|journalctl|tpm2_[a-z]+|rm|ls|curl|openssl) [^|]+");
    return std::regex_match(quoted, command);
}

} // namespace

Reader::Reader(const Appliance& appliance, const std::filesystem::path& paper, std::map<std::string, std::string> with,
               std::set<std::string> elsewhere)
    : placeholders(std::move(with))
    , appliance_(appliance)
    , paper_(paper)
    , elsewhere_(std::move(elsewhere))
{
}

const Reader::Commands& Reader::commands(const std::string& section) const
{
    const auto found = paper_.scripts().find(section);
    if (found == paper_.scripts().end())
        throw std::runtime_error("the paper has no commands under '" + section + "'");
    return found->second;
}

std::size_t Reader::find(const std::string& section, const std::string& beginning) const
{
    const auto& all = commands(section);
    const auto found =
        std::ranges::find_if(all, [&](const auto& command) { return command.text.starts_with(beginning); });
    if (found == all.end())
        throw std::runtime_error("no command under '" + section + "' begins with: " + beginning);
    return static_cast<std::size_t>(found - all.begin());
}

Arguments Reader::shell(const PaperCommand& command, const std::string& how) const
{
    const auto text = prelude + how + replaced(command.text, placeholders);
    if (elsewhere_.contains(command.machine))
        return {"unshare", "--mount", "bash", "-ec", with_own_files(command.machine) + text};
    return {"bash", "-ec", text};
}

std::string Reader::enter(const PaperCommand& command)
{
    typed_.insert(command.text);
    Finished finished;
    if (command.text.find("systemd-ask-password") == std::string::npos) {
        finished = appliance_.container().run(shell(command));
    } else {
        appliance_.container().write("/run/typed", shell(command).back());
        finished = appliance_.container().run({"bash", "-ec", at_a_terminal, "bash", passphrase});
    }
    if (finished.status != 0)
        throw std::runtime_error(command.machine + "# " + command.text + finished.out + finished.err);
    return finished.out;
}

std::string Reader::type(const std::string& section, std::size_t from, std::size_t to)
{
    std::string shown;
    for (auto at = from; at < to; ++at)
        shown += enter(commands(section)[at]);
    return shown;
}

std::string Reader::type(const std::string& section) { return type(section, 0, commands(section).size()); }

std::string Reader::type(const std::string& section, const std::string& beginning)
{
    return enter(commands(section)[find(section, beginning)]);
}

std::string Reader::type_until(const std::string& section, const std::string& beginning)
{
    return type(section, 0, find(section, beginning));
}

std::string Reader::type_from(const std::string& section, const std::string& beginning)
{
    return type(section, find(section, beginning), commands(section).size());
}

PaperCommand Reader::quoted(const std::string& command) const
{
    if (!paper_.quoted().contains(command))
        throw std::runtime_error("the paper does not say: " + command);
    return {{}, command};
}

std::string Reader::type_quoted(const std::string& command) { return enter(quoted(command)); }

Arguments Reader::arguments(const std::string& section, const std::string& beginning)
{
    const auto& command = commands(section)[find(section, beginning)];
    typed_.insert(command.text);
    return shell(command, "exec ");
}

Arguments Reader::quoted_arguments(const std::string& command)
{
    typed_.insert(command);
    return shell(quoted(command), "exec ");
}

std::vector<std::string> Reader::left() const
{
    std::vector<std::string> left;
    for (const auto& [section, all] : paper_.scripts())
        for (const auto& command : all)
            if (!typed_.contains(command.text))
                left.push_back(command.text);
    for (const auto& quoted : paper_.quoted())
        if (is_command(quoted) && !typed_.contains(quoted) && !typed_.contains(quoted + "\n"))
            left.push_back(quoted);
    return left;
}

void without_start_limits(const Appliance& appliance)
{
    for (const auto* unit : {"imprintd", "imprint-station", "test-tpm"})
        appliance.container().write("/etc/systemd/system/" + std::string(unit) + ".service.d/limits.conf",
                                    "[Unit]\nStartLimitIntervalSec=0\n");
    appliance.must("systemctl daemon-reload");
}

} // namespace imprint::test
