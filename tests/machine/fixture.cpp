// SPDX-License-Identifier: Apache-2.0
#include "tests/machine/fixture.h"

#include <nlohmann/json.hpp>

namespace imprint::test {

namespace {

// One key for the daemon's callers, one for programs that use the TPM by themselves.
constexpr auto* profile = "[[entry]]\nlabel = \"manufacturer-channel\"\ntype = \"hmac\"\n"
                          "[[entry]]\nlabel = \"telemetry\"\ntype = \"p256\"\n"
                          "[[entry]]\nlabel = \"web\"\ntype = \"p256\"\ncertificate = true\nkey-file = true\n";

} // namespace

OnAMachine::OnAMachine()
{
    write_file(factory / "profile.toml", as_bytes(profile), 0644);
    factory.start_station({"--profile", factory / "profile.toml", "--module-lifetime", "9000"});
    equip(device);
}

void OnAMachine::equip(const Machine& machine) const
{
    constexpr std::size_t limit = 1 << 16;
    machine.put("/usr/share/imprint/trust.pem", to_string(read_file(factory.trust_bundle(), limit).value()));
    machine.put("/etc/imprint/imprintd.conf.d/50-site.conf",
                "[Device]\nStationAddress=" + Machine::seen_by_guest(factory.station_address()) +
                    "\nArchiveAddress=" + Machine::seen_by_guest(factory.archive_address()) +
                    "\n[KeyFiles]\nDirectory=/var/lib/imprint/keys\n");
}

std::string OnAMachine::ctl(Machine& machine, const std::string& arguments)
{
    const auto finished = machine.run("imprintctl " + arguments);
    return finished.status == 0 ? "" : finished.out + finished.err + " (" + std::to_string(finished.status) + ")";
}

std::string OnAMachine::reason(Machine& machine, const std::string& arguments)
{
    const auto finished = machine.run("imprintctl --json " + arguments);
    return finished.status == 0 ? "" : nlohmann::json::parse(finished.out)["error"]["reason"].get<std::string>();
}

std::string OnAMachine::property(Machine& machine, const std::string& name)
{
    auto value =
        machine.must("busctl get-property org.imprint.Device1 /org/imprint/Device1 org.imprint.Device1 " + name);
    value.erase(value.find_last_not_of('\n') + 1);
    return value;
}

std::string OnAMachine::state(Machine& machine)
{
    const auto value = property(machine, "State"); // s "operating"
    return value.substr(3, value.size() - 4);
}

std::string OnAMachine::everything(Machine& machine)
{
    return machine.must("cd /var/lib/imprint && sha256sum -- * 2>/dev/null | sort; "
                        "busctl get-property org.imprint.Device1 /org/imprint/Device1 org.imprint.Device1 State Epoch "
                        "ChipId DeviceIdentity ModuleCertificate IdentityCertificate ReadyToSwitch Sequence Keys") +
        tpm_contents(machine);
}

std::string OnAMachine::tpm_contents(Machine& machine, const std::string& tcti)
{
    return machine.must("export TPM2TOOLS_TCTI=" + tcti +
                        "\nfor kind in persistent nv-index loaded-session saved-session; do tpm2_getcap "
                        "handles-$kind; done; for index in 0x180494D 0x180494E; do tpm2_nvread -C o $index "
                        "2>/dev/null | sha256sum; done");
}

void OnAMachine::lose_state(Machine& machine)
{
    machine.must("systemctl stop imprintd && rm -r /var/lib/imprint/* && sync && systemctl start imprintd");
}

} // namespace imprint::test
