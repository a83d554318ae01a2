// SPDX-License-Identifier: Apache-2.0
#include "tests/dbus/polkit.h"

#include <stdexcept>

namespace imprint::test {

WithPolkit::WithPolkit(const std::string& rules_text)
{
    const auto actions = files / "actions";
    const auto rules = files / "rules";
    for (const auto& directory : {files.path(), actions, rules}) {
        std::filesystem::create_directories(directory);
        std::filesystem::permissions(directory, std::filesystem::perms(0755));
    }
    // The owner annotation names a user that exists only where Imprint is installed, and root needs none.
    const auto policy = run({"grep", "-v", "policykit.owner", IMPRINT_SOURCE "/units/org.imprint.Device1.policy"});
    write_file(actions / "org.imprint.Device1.policy", as_bytes(policy.out), 0644);
    write_file(rules / "50-test.rules", as_bytes(rules_text), 0644);
    polkit.emplace(Arguments{"unshare", "--mount", "sh", "-ec",
                             "mount --bind " + actions.string() + " /usr/share/polkit-1/actions; mount --bind " +
                                 rules.string() + " /etc/polkit-1/rules.d; exec /usr/lib/polkit-1/polkitd --no-debug"},
                   device.bus().environment(), device.directory() / "polkit.log");
    const auto owned = device.run({"gdbus", "wait", "--system", "--timeout", "30", "org.freedesktop.PolicyKit1"});
    if (owned.status != 0)
        throw std::runtime_error("polkitd does not start: " + owned.err);
    device.start();
}

PolkitMonitor::PolkitMonitor(const DaemonProcess& device)
    : monitor_({"dbus-monitor", "--address", device.bus().address(), "type='method_call',member='CheckAuthorization'"})
{
    if (!monitor_.line_after("signal"))
        throw std::runtime_error("dbus-monitor does not start");
}

std::string PolkitMonitor::action()
{
    auto rest = monitor_.line_after("   string \"org.imprint.Device1.").value_or("");
    return rest.substr(0, rest.find('"'));
}

} // namespace imprint::test
