// SPDX-License-Identifier: Apache-2.0
#include "tests/units/help.h"

#include <regex>
#include <sstream>

namespace imprint::test {

// The first words of the indented lines, by section. A group of options has sections of its own, indented further.
Help help_of(const std::filesystem::path& program, const Arguments& command)
{
    static const std::regex title("^ *([A-Z][a-z]+):$"), item("^(?:  )?  (-?[a-z-][^ ]*).*");
    Arguments call{program};
    call.insert(call.end(), command.begin(), command.end());
    call.emplace_back("--help");
    Help help;
    std::string section;
    std::smatch match;
    std::istringstream lines(run(call).out);
    for (std::string line; std::getline(lines, line);) {
        if (std::regex_match(line, match, title))
            section = match[1];
        if (!std::regex_match(line, match, item))
            continue;
        std::istringstream names(match[1]);
        for (std::string name; std::getline(names, name, ',');)
            if (section == "Subcommands")
                help.commands.push_back(name);
            else if (section == "Options" && name.starts_with('-'))
                help.options.insert(name);
    }
    return help;
}

Words all_options(const std::filesystem::path& program, const Arguments& command)
{
    const auto help = help_of(program, command);
    Words all = help.options;
    for (const auto& next : help.commands) {
        auto longer = command;
        longer.push_back(next);
        all.merge(all_options(program, longer));
    }
    return all;
}

} // namespace imprint::test
