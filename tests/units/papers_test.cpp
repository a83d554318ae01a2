// SPDX-License-Identifier: Apache-2.0
// Options in manual pages and papers against what the programs' --help says.
#include "tests/support/paper.h"
#include "tests/units/help.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <sstream>

namespace imprint::test {
namespace {

using testing::IsEmpty;
using testing::IsSupersetOf;

namespace fs = std::filesystem;

const fs::path source = IMPRINT_SOURCE;

std::string text_of(const fs::path& path) { return to_string(read_file(path, 1 << 18).value()); }

// By the programs' names.
const std::map<std::string, Words>& options()
{
    static const auto all = [] {
        std::map<std::string, Words> found;
        for (const auto* path : {IMPRINT_PROGRAMS})
            found.emplace(fs::path(path).filename(), all_options(path));
        return found;
    }();
    return all;
}

// The papers with these endings, but for what a build leaves.
std::vector<fs::path> papers(const std::set<std::string>& endings)
{
    std::vector<fs::path> found;
    for (auto entry = fs::recursive_directory_iterator(source); entry != fs::recursive_directory_iterator(); ++entry) {
        const auto name = entry->path().filename().string();
        if (entry->is_directory() && (name == "build" || name == "debian" || name.front() == '.'))
            entry.disable_recursion_pending();
        else if (endings.contains(entry->path().extension()) && entry->is_regular_file())
            found.push_back(entry->path());
    }
    return found;
}

// Options that the lines give to one of our programs, and that it does not know.
std::vector<std::string> unknown(const std::string& text)
{
    static const std::regex line_end(R"(\s*\\e?\n\s*)"), word(R"([^\s"'`()]+)"), command_end(R"([|;&]+)");
    std::vector<std::string> unknown;
    std::istringstream lines(std::regex_replace(text, line_end, " "));
    for (std::string line; std::getline(lines, line);) {
        const Words* known = nullptr;
        for (std::sregex_iterator at(line.begin(), line.end(), word), end; at != end; ++at) {
            const auto found = at->str();
            if (const auto program = options().find(found); program != options().end())
                known = &program->second;
            else if (std::regex_match(found, command_end))
                known = nullptr;
            else if (const auto option = found.substr(0, found.find('='));
                     known != nullptr && option.starts_with("--") && option.size() > 2 && !known->contains(option))
                unknown.push_back(line);
        }
    }
    return unknown;
}

// What stands behind the macro .Fl in a manual page: "--name", "-n".
Words flags(const std::string& page)
{
    static const std::regex flag("-[a-z][a-z-]+");
    Words found;
    std::istringstream lines(page);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string before;
        for (std::string word; line.find("Fl ") != std::string::npos && words >> word; before = word)
            if (std::regex_match(word, flag) || (before.ends_with("Fl") && word.size() == 1))
                found.insert("-" + word);
    }
    return found;
}

TEST(ManPages, TellEveryOptionOfTheirPrograms)
{
    for (const auto& page : papers({".1", ".8"})) {
        const auto program = options().find(page.stem().string());
        if (program == options().end())
            continue;
        auto told = flags(text_of(page));
        told.insert({"-h", "--help", "--version"}); // as everywhere
        EXPECT_THAT(told, IsSupersetOf(program->second)) << page;
    }
}

TEST(ManPages, TellNoOptionThatNoProgramHas)
{
    Words all{"--"};
    for (const auto& [program, known] : options())
        all.insert(known.begin(), known.end());
    for (const auto& page : papers({".1", ".5", ".8"}))
        EXPECT_THAT(all, IsSupersetOf(flags(text_of(page)))) << page;
}

TEST(ManPages, GiveNoOptionToAProgramThatDoesNotHaveIt)
{
    for (const auto& page : papers({".1", ".5", ".8"}))
        EXPECT_THAT(unknown(text_of(page)), IsEmpty()) << page;
}

TEST(Papers, GiveNoOptionToAProgramThatDoesNotHaveIt)
{
    for (const auto& path : papers({".md"})) {
        const Paper paper(path);
        std::string text;
        for (const auto& [section, commands] : paper.scripts())
            for (const auto& command : commands)
                text += command.text;
        for (const auto& quoted : paper.quoted())
            text += quoted + '\n';
        EXPECT_THAT(unknown(text), IsEmpty()) << path;
    }
}

} // namespace
} // namespace imprint::test
