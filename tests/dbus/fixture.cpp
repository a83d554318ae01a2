// SPDX-License-Identifier: Apache-2.0
#include "tests/dbus/fixture.h"

#include <algorithm>
#include <poll.h>
#include <regex>
#include <sys/socket.h>
#include <sys/un.h>

namespace imprint::test {

SilentPeer::SilentPeer(const std::filesystem::path& path)
    : address_("unix:" + path.string())
    , listening_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::ranges::copy(path.native(), address.sun_path);
    if (bind(listening_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        listen(listening_.get(), 16) != 0)
        throw_errno("cannot listen on " + path.string());
}

Fd SilentPeer::accept() const
{
    constexpr int patience = 30'000; // milliseconds
    pollfd waiting{listening_.get(), POLLIN, 0};
    if (poll(&waiting, 1, patience) != 1)
        throw std::runtime_error("nobody connects");
    return Fd(accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
}

std::string error_of(const Finished& finished)
{
    if (finished.status == 0)
        return {};
    std::smatch found;
    if (std::regex_search(finished.err, found, std::regex("GDBus\\.Error:([A-Za-z0-9_.]+): ")))
        return found[1];
    return "no D-Bus error: " + finished.err;
}

OnTheBus::OnTheBus(DaemonProcess::Settings settings)
    : device(with_trust(std::move(settings), manufacturer, files))
    , station(device.directory() / "station")
{
}

DaemonProcess::Settings OnTheBus::with_trust(DaemonProcess::Settings settings, const TestPki& manufacturer,
                                             const TemporaryDirectory& files)
{
    settings.trust_bundle = files / "trust.pem";
    write_file(settings.trust_bundle, manufacturer.trust_pem());
    return settings;
}

Arguments OnTheBus::gdbus(const std::string& method, const Arguments& arguments, unsigned user)
{
    Arguments all;
    if (user != 0)
        all = {"setpriv", "--reuid", std::to_string(user), "--regid", std::to_string(user), "--clear-groups"};
    const Arguments call{"gdbus",         "call",
                         "--system",      "--timeout=60",
                         "--dest",        "org.imprint.Device1",
                         "--object-path", "/org/imprint/Device1",
                         "--method",      "org.imprint.Device1." + method};
    all.insert(all.end(), call.begin(), call.end());
    all.insert(all.end(), arguments.begin(), arguments.end());
    return all;
}

Finished OnTheBus::call(const std::string& method, const Arguments& arguments, unsigned user) const
{
    return device.run(gdbus(method, arguments, user));
}

Process OnTheBus::start_call(const std::string& method, const Arguments& arguments, const std::string& log,
                             const std::vector<int>& descriptors, unsigned user) const
{
    return Process(gdbus(method, arguments, user), device.bus().environment(), device.directory() / log, descriptors);
}

std::string OnTheBus::end_of(Process& call, const std::string& log) const
{
    Finished finished;
    finished.status = call.wait();
    finished.err = to_string(read_file(device.directory() / log, 65536).value_or(Bytes{}));
    return error_of(finished);
}

} // namespace imprint::test
