// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemon/base/file.h"

#include <array>
#include <sys/socket.h>

namespace imprint::test {

inline std::pair<Fd, Fd> socket_pair()
{
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
        throw_errno("no pair of sockets");
    return {Fd(ends[0]), Fd(ends[1])};
}

} // namespace imprint::test
