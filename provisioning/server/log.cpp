// SPDX-License-Identifier: Apache-2.0
#include "provisioning/server/log.h"

#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace imprint::server {

namespace {

// systemd.exec(5), $JOURNAL_STREAM: device and inode of what was connected as stderr.
bool stderr_is_journal()
{
    static const bool is = [] {
        const char* stream = std::getenv("JOURNAL_STREAM");
        struct stat info { };
        if (stream == nullptr || fstat(STDERR_FILENO, &info) != 0)
            return false;
        return std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino) == stream;
    }();
    return is;
}

void to_journal(Priority priority, std::string_view message, const Fields& fields)
{
    std::vector<std::string> entries{"PRIORITY=" + std::to_string(static_cast<int>(priority)),
                                     "MESSAGE=" + std::string(message)};
    for (const auto& [name, value] : fields)
        entries.push_back("IMPRINT_" + name + "=" + value);
    std::vector<iovec> vectors;
    vectors.reserve(entries.size());
    for (auto& entry : entries)
        vectors.push_back({entry.data(), entry.size()});
    sd_journal_sendv(vectors.data(), static_cast<int>(vectors.size()));
}

std::string lower(std::string name)
{
    std::ranges::transform(name, name.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return name;
}

void to_stderr(Priority priority, std::string_view message, const Fields& fields)
{
    // A person has no use for the prefix.
    static const bool terminal = isatty(STDERR_FILENO) != 0;
    std::string line = (terminal ? "" : "<" + std::to_string(static_cast<int>(priority)) + ">") + printable(message);
    for (const auto& [name, value] : fields)
        line += " " + lower(name) + "=" + printable(value);
    line += '\n';
    // One call, so that lines of several threads do not mix.
    std::fwrite(line.data(), 1, line.size(), stderr);
}

} // namespace

void log(Priority priority, std::string_view message, const Fields& fields) noexcept
try {
    if (stderr_is_journal())
        to_journal(priority, message, fields);
    else
        to_stderr(priority, message, fields);
} catch (const std::exception&) { // out of memory: a log line is not worth the process
}

void report(std::string_view program, const Refusal& refusal) noexcept
try {
    const std::string reason(name(refusal.reason));
    const std::string advice(hint(refusal.reason));
    if (stderr_is_journal())
        return to_journal(Priority::error, refusal.detail, {{"REASON", reason}, {"HINT", advice}});
    const std::string text = std::string(program) + ": " + std::string(sentence(refusal.reason)) + " (" + reason +
        ")\n  Why:        " + printable(refusal.detail) + "\n  What to do: " + advice + "\n";
    std::fwrite(text.data(), 1, text.size(), stderr);
} catch (const std::exception&) { // as above
}

int run_program(std::string_view program, const std::function<int()>& run) noexcept
try {
    return run();
} catch (const Error& error) {
    report(program, error.refusal());
    return EXIT_FAILURE;
} catch (const std::exception& error) {
    report(program, {Reason::internal, error.what()});
    return EXIT_FAILURE;
}

} // namespace imprint::server
