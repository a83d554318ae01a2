// SPDX-License-Identifier: Apache-2.0
// A device with its bus, and peers that misbehave.
#pragma once

#include "tests/support/daemon_process.h"
#include "tests/support/test_pki.h"

#include <gtest/gtest.h>

#include <optional>

namespace imprint::test {

// A Unix socket that accepts, and then says nothing until the connection is dropped.
class SilentPeer {
public:
    explicit SilentPeer(const std::filesystem::path& path);
    const std::string& address() const { return address_; } // "unix:/path"
    // Waits for the next connection: from then on its other end hangs.
    Fd accept() const;

private:
    std::string address_;
    Fd listening_;
};

// The name of the error that gdbus reports, "org.imprint.Error.Busy"; empty if it succeeded.
std::string error_of(const Finished& finished);

class OnTheBus : public testing::Test {
protected:
    explicit OnTheBus(DaemonProcess::Settings settings = {});

    // gdbus call of a method with arguments in GVariant text. `user`: as another user than root.
    Finished call(const std::string& method, const Arguments& arguments = {}, unsigned user = 0) const;
    // The same in the background; its stderr goes to <directory>/<log>.
    Process start_call(const std::string& method, const Arguments& arguments, const std::string& log,
                       const std::vector<int>& descriptors = {}, unsigned user = 0) const;
    // The end of a call in the background: the error's name, or empty.
    std::string end_of(Process& call, const std::string& log) const;

    TestPki manufacturer;
    TemporaryDirectory files;
    DaemonProcess device;
    SilentPeer station;

private:
    static Arguments gdbus(const std::string& method, const Arguments& arguments, unsigned user);
    static DaemonProcess::Settings with_trust(DaemonProcess::Settings settings, const TestPki& manufacturer,
                                              const TemporaryDirectory& files);
};

inline constexpr unsigned nobody = 65534;
inline const std::string no_options = "@a{sv} {}";

} // namespace imprint::test
