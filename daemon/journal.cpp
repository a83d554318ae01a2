// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal.h"

#include <systemd/sd-journal.h>

#include <cstdlib>
#include <iostream>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

namespace imprint::journal {

namespace {

// systemd.exec(5), $JOURNAL_STREAM: device and inode of the stream, to be compared with stderr's.
bool leads_to_journal()
{
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat info { };
    if (stream == nullptr || fstat(STDERR_FILENO, &info) != 0)
        return false;
    return std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino) == stream;
}

} // namespace

void write(int priority, const char* id, const std::string& message, std::vector<Field> fields)
{
    static const bool structured = leads_to_journal();
    if (!structured) {
        std::cerr << "imprintd: " << message << std::endl;
        return;
    }
    fields.insert(fields.end(), {{"MESSAGE", message}, {"MESSAGE_ID", id}, {"PRIORITY", std::to_string(priority)}});
    std::vector<std::string> lines;
    for (const auto& field : fields)
        if (!field.value.empty())
            lines.push_back(field.name + "=" + field.value);
    std::vector<iovec> vectors;
    for (auto& line : lines)
        vectors.push_back({line.data(), line.size()});
    sd_journal_sendv(vectors.data(), static_cast<int>(vectors.size()));
}

} // namespace imprint::journal
