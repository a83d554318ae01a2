// SPDX-License-Identifier: Apache-2.0
#include "dbus/imprintctl/link.h"

#include "daemon/tls/link.h"

#include <array>
#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

namespace imprint::ctl {

namespace {

constexpr std::chrono::minutes patience{5};
constexpr std::chrono::seconds answer_limit{30};

// A terminal line as it has to be: no echo, nothing translated. As it was, at the end; descriptors too, since others
// may share them.
class RawLine {
public:
    RawLine()
    {
        if (tcgetattr(STDIN_FILENO, &before_) != 0)
            return;
        termios raw = before_;
        cfmakeraw(&raw);
        raw.c_cflag |= CLOCAL;
        changed_ = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
    }
    ~RawLine()
    {
        for (std::size_t i = 0; i < flags_.size(); ++i)
            fcntl(static_cast<int>(i), F_SETFL, flags_[i]);
        if (changed_)
            tcsetattr(STDIN_FILENO, TCSANOW, &before_);
    }
    RawLine(const RawLine&) = delete;
    RawLine& operator=(const RawLine&) = delete;

private:
    std::array<int, 2> flags_{fcntl(STDIN_FILENO, F_GETFL), fcntl(STDOUT_FILENO, F_GETFL)};
    termios before_{};
    bool changed_ = false;
};

Fd duplicate(int fd)
{
    Fd own(fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!own)
        throw_errno("cannot use standard input or output");
    return own;
}

void send(tls::Link& out, BytesView line)
{
    out.until(std::chrono::steady_clock::now() + answer_limit);
    while (!line.empty())
        line = line.subspan(out.send(line));
}

} // namespace

void serve_link(protocol::Introducible& device)
{
    const RawLine raw;
    const tls::Cancel never;
    tls::Link in(duplicate(STDIN_FILENO), never);
    tls::Link out(duplicate(STDOUT_FILENO), never);
    protocol::LinkReader reader;
    protocol::LinkResponder responder(device);
    in.until(std::chrono::steady_clock::now() + patience);
    Secret buffer(protocol::max_link_line);
    while (const auto size = in.receive({buffer.data(), buffer.size()})) {
        for (const auto& content : reader.take(buffer.view().first(size))) {
            const auto answer = responder.respond(content);
            if (!answer)
                continue;
            send(out, protocol::link_line(as_bytes(*answer)).view());
            in.until(std::chrono::steady_clock::now() + patience);
        }
    }
}

} // namespace imprint::ctl
