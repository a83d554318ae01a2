// SPDX-License-Identifier: Apache-2.0
#include "provisioning/server/handed_socket.h"

#include "daemon/base/error.h"

#include <cstdlib>
#include <memory>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <vector>

namespace imprint::server {

namespace {

struct FreeNames {
    void operator()(char** names) const noexcept
    {
        for (char** name = names; name != nullptr && *name != nullptr; ++name)
            std::free(*name);
        std::free(static_cast<void*>(names));
    }
};

std::vector<int> named(const std::string& name)
{
    char** raw = nullptr;
    const int count = sd_listen_fds_with_names(0, &raw);
    const std::unique_ptr<char*, FreeNames> names(raw);
    std::vector<int> found;
    for (int i = 0; i < count; ++i)
        if (name == names.get()[i])
            found.push_back(SD_LISTEN_FDS_START + i);
    return found;
}

} // namespace

Fd handed_socket(const std::string& name)
{
    const auto found = named(name);
    if (found.empty())
        throw Error(Reason::not_configured,
                    "systemd handed over no socket called \"" + name +
                        "\": start the socket unit with FileDescriptorName=" + name);
    if (found.size() > 1)
        throw Error(Reason::not_configured,
                    "systemd handed over " + std::to_string(found.size()) + " sockets called \"" + name +
                        "\": give each a socket unit with a FileDescriptorName= of its own");
    if (sd_is_socket(found.front(), AF_UNSPEC, SOCK_STREAM, 1) <= 0)
        throw Error(Reason::not_configured, "the socket called \"" + name + "\" does not listen for streams");
    return duplicate(found.front());
}

} // namespace imprint::server
