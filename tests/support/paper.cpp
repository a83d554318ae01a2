// SPDX-License-Identifier: Apache-2.0
#include "tests/support/paper.h"

#include "daemon/base/file.h"

#include <algorithm>
#include <regex>
#include <sstream>

namespace imprint::test {

namespace {

constexpr std::size_t max_paper = 1 << 18;

std::string without_indentation(const std::string& line)
{
    const auto at = line.find_first_not_of(' ');
    return at == std::string::npos ? "" : line.substr(at);
}

} // namespace

Paper::Paper(const std::filesystem::path& path)
{
    std::istringstream lines(to_string(read_file(path, max_paper).value()));
    const std::regex quote("`([^`]+)`");
    std::string section, text;
    bool code = false, after_blank = true;
    for (std::string line; std::getline(lines, line);) {
        if (line.empty()) {
            after_blank = true;
            continue;
        }
        const bool begins = !code && after_blank;
        code = line.starts_with("    ") && (code || after_blank);
        after_blank = false;
        if (code) {
            take_indented(section, line, begins);
            continue;
        }
        if (line.starts_with("## "))
            section = line.substr(3);
        text += without_indentation(line) + ' '; // what is quoted may go on in the next line
    }
    for (std::sregex_iterator found(text.begin(), text.end(), quote), end; found != end; ++found)
        quoted_.insert((*found)[1]);
}

void Paper::take_indented(const std::string& section, const std::string& line, bool begins)
{
    static const std::regex prompt("^ +([a-z0-9-]+)# +(.*)$");
    auto& commands = scripts_[section];
    std::smatch match;
    if (std::regex_match(line, match, prompt))
        commands.push_back({match[1], match[2].str() + '\n'});
    else if (begins || commands.empty())
        commands.push_back({{}, line.substr(4) + '\n'});
    else
        commands.back().text += line.substr(4) + '\n';
}

std::string replaced(std::string text, const std::map<std::string, std::string>& placeholders)
{
    // The longer ones first: OLD-CHIP before CHIP.
    std::vector<std::pair<std::string, std::string>> sorted(placeholders.begin(), placeholders.end());
    std::ranges::stable_sort(sorted, std::ranges::greater{}, [](const auto& pair) { return pair.first.size(); });
    for (const auto& [what, with] : sorted)
        for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size())
            text.replace(at, what.size(), with);
    return text;
}

} // namespace imprint::test
