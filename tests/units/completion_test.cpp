// SPDX-License-Identifier: Apache-2.0
// Completion in both shells against what each command's --help says: everything, and nothing else.
#include "tests/support/process.h"
#include "tests/units/help.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace imprint::test {
namespace {

using testing::Contains;

const std::filesystem::path build = IMPRINT_BUILD;

// Calls the completion with the words of a command line, of which the last one is being typed, and prints what it
// offers, one a line. What the shells would have around it is put in its place.
constexpr auto* bash_driver = R"(. "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); "_$1"; printf '%s\n' "${COMPREPLY[@]}")";
constexpr auto* zsh_driver = R"(
_describe() { local list=${@[-1]} item; for item in ${(P)list}; print -r -- ${item%%:*} }
_files() { print -r -- FILES }
compadd() { print -rl -- $@ }
file=$1; shift; words=("$@"); CURRENT=$#; source $file)";

class Completion : public testing::TestWithParam<std::string> {
protected:
    std::filesystem::path program = build / GetParam();
    std::string name = program.filename();

    Words ask(const Arguments& shell, const Arguments& words) const
    {
        Arguments call = shell;
        call.push_back(name);
        call.insert(call.end(), words.begin(), words.end());
        const auto path = program.parent_path().string() + ":/usr/bin:/bin";
        const auto finished = run(call, {}, {{"PATH", path}});
        EXPECT_EQ(finished.err, "");
        Words offered;
        std::istringstream lines(finished.out);
        for (std::string line; std::getline(lines, line);)
            if (!line.empty())
                offered.insert(line);
        return offered;
    }
    // Of both shells, which agree.
    Words offered(const Arguments& words) const
    {
        const auto bash = ask({"bash", "-c", bash_driver, "bash", build / "units" / name}, words);
        const auto zsh = ask({"zsh", "-fc", zsh_driver, "zsh", build / "units" / ("_" + name)}, words);
        EXPECT_EQ(bash, zsh);
        return zsh;
    }
    void check(const Arguments& command, const Words& inherited) const
    {
        const auto help = help_of(program, command);
        ASSERT_FALSE(help.options.empty());
        Arguments line = command;
        line.emplace_back("-");
        Words expected = inherited;
        expected.insert(help.options.begin(), help.options.end());
        EXPECT_EQ(offered(line), expected) << testing::PrintToString(command);
        if (help.commands.empty())
            return;
        line.back() = "";
        EXPECT_EQ(offered(line), Words(help.commands.begin(), help.commands.end())) << testing::PrintToString(command);
        for (const auto& next : help.commands) {
            line.back() = next;
            check(line, expected);
        }
    }
};

TEST_P(Completion, OffersEveryCommandAndOptionAndNothingElse) { check({}, {}); }

INSTANTIATE_TEST_SUITE_P(Programs, Completion, testing::Values(IMPRINT_PROGRAMS), [](const auto& program) {
    auto name = std::filesystem::path(program.param).filename().string();
    std::erase(name, '-');
    return name;
});

// What only some command lines have.
class Values : public Completion { };

TEST_P(Values, OfAnIdentityAreItsKinds)
{
    EXPECT_THAT(ask({"bash", "-c", bash_driver, "bash", build / "units" / name}, {"personalize", "--identity", ""}),
                Contains("imei:"));
}

TEST_P(Values, OfAnOptionAreNotTheCommands)
{
    EXPECT_THAT(offered({"key", "--json", ""}), Contains("sign")) << "a flag takes no value";
    EXPECT_EQ(ask({"zsh", "-fc", zsh_driver, "zsh", build / "units" / ("_" + name)}, {"key", "sign", "--out", ""}),
              Words{"FILES"});
}

INSTANTIATE_TEST_SUITE_P(Imprintctl, Values, testing::Values("dbus/imprintctl"));

} // namespace
} // namespace imprint::test
