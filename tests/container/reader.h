// SPDX-License-Identifier: Apache-2.0
// Somebody who types in what a paper says, command by command, and keeps account of what was left out.
#pragma once

#include "tests/container/appliance.h"
#include "tests/support/paper.h"

namespace imprint::test {

class Reader {
public:
    // `placeholders`: what the paper leaves to its reader, and what he types. `elsewhere`: of the paper's machines
    // those that have configuration and state of the servers for themselves; all others are the container as it is.
    Reader(const Appliance& appliance, const std::filesystem::path& paper,
           std::map<std::string, std::string> placeholders = {}, std::set<std::string> elsewhere = {});

    std::map<std::string, std::string> placeholders;

    // The commands of a section: all, the one that begins so, those before it, those from it on. What they print.
    // Throws std::runtime_error if one fails, or is not there.
    std::string type(const std::string& section);
    std::string type(const std::string& section, const std::string& beginning);
    std::string type_until(const std::string& section, const std::string& beginning);
    std::string type_from(const std::string& section, const std::string& beginning);
    // A command that stands between backticks.
    std::string type_quoted(const std::string& command);
    // The same, for one that does not end by itself.
    Arguments arguments(const std::string& section, const std::string& beginning);
    Arguments quoted_arguments(const std::string& command);

    // The paper's commands that were not typed in yet.
    std::vector<std::string> left() const;

private:
    using Commands = std::vector<PaperCommand>;
    const Commands& commands(const std::string& section) const;
    std::size_t find(const std::string& section, const std::string& beginning) const;
    std::string type(const std::string& section, std::size_t from, std::size_t to);
    PaperCommand quoted(const std::string& command) const;
    std::string enter(const PaperCommand& command);
    Arguments shell(const PaperCommand& command, const std::string& how = {}) const;

    const Appliance& appliance_;
    Paper paper_;
    std::set<std::string> elsewhere_;
    std::set<std::string> typed_; // texts, as the paper has them
};

// A test starts services more often in a few seconds than systemd likes.
void without_start_limits(const Appliance& appliance);

} // namespace imprint::test
