// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/serial.h"

#include "daemon/base/error.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>

namespace imprint {

namespace {

constexpr std::string_view prefix = "serial:";

[[noreturn]] void throw_unusable(const SerialAddress& address, int code)
{
    throw Error(code == EBUSY || code == EWOULDBLOCK ? Reason::busy : Reason::not_configured,
                "cannot use the serial line " + address.device + ": " + std::strerror(code));
}

// Three wires have to do: no modem signals, no flow control.
void make_raw(int fd, const SerialAddress& address)
{
    termios settings{};
    if (tcgetattr(fd, &settings) != 0)
        throw_unusable(address, errno);
    cfmakeraw(&settings);
    settings.c_iflag &= ~static_cast<tcflag_t>(IXOFF | IXANY);
    settings.c_iflag |= IGNBRK;
    settings.c_cflag &= ~static_cast<tcflag_t>(CSTOPB | CRTSCTS | HUPCL);
    settings.c_cflag |= CLOCAL | CREAD;
    settings.c_cc[VMIN] = 1;
    settings.c_cc[VTIME] = 0;
    if (cfsetspeed(&settings, address.baud) != 0)
        throw Error(Reason::not_configured, "no serial line has the speed " + std::to_string(address.baud));
    if (tcsetattr(fd, TCSANOW, &settings) != 0)
        throw_unusable(address, errno);
}

} // namespace

bool is_serial(std::string_view address) { return address.starts_with(prefix); }

SerialAddress parse_serial(const std::string& address)
{
    const Error bad(Reason::invalid_argument,
                    "not a serial line (serial:/dev/NAME or serial:/dev/NAME,BAUD): " + address);
    if (!is_serial(address) || address.find('\0') != std::string::npos)
        throw bad;
    const auto comma = address.find(',');
    const auto end_of_device = std::min(comma, address.size());
    SerialAddress parsed{.device = address.substr(prefix.size(), end_of_device - prefix.size())};
    if (!parsed.device.starts_with('/'))
        throw bad;
    if (comma == std::string::npos)
        return parsed;
    const char* end = address.data() + address.size();
    const auto [stop, fault] = std::from_chars(address.data() + comma + 1, end, parsed.baud);
    if (fault != std::errc() || stop != end || parsed.baud == 0)
        throw bad;
    return parsed;
}

Fd open_serial(const SerialAddress& address)
{
    Fd fd(open(address.device.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    if (!fd)
        throw_unusable(address, errno);
    if (isatty(fd.get()) == 0)
        throw_unusable(address, ENOTTY);
    // The first keeps out everybody but root, the second those who ask for it, as we do.
    if (ioctl(fd.get(), TIOCEXCL) != 0 || flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
        throw_unusable(address, errno);
    make_raw(fd.get(), address);
    tcflush(fd.get(), TCIOFLUSH);
    return fd;
}

} // namespace imprint
