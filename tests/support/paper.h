// SPDX-License-Identifier: Apache-2.0
// The project's papers (*.md), for tests that type in what they say.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace imprint::test {

// A command of a paper's indented lines: one that a prompt begins ("desk# ") with the lines after it, or a whole block
// without prompts.
struct PaperCommand {
    std::string machine; // "desk", or empty
    std::string text;
};

class Paper {
public:
    explicit Paper(const std::filesystem::path& path);

    // In their order, by the headings of their sections.
    const std::map<std::string, std::vector<PaperCommand>>& scripts() const { return scripts_; }
    // What stands between backticks outside of the indented lines.
    const std::set<std::string>& quoted() const { return quoted_; }

private:
    void take_indented(const std::string& section, const std::string& line, bool begins);

    std::map<std::string, std::vector<PaperCommand>> scripts_;
    std::set<std::string> quoted_;
};

// What a reader puts in place of what a paper leaves to him.
std::string replaced(std::string text, const std::map<std::string, std::string>& placeholders);

} // namespace imprint::test
