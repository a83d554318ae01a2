// SPDX-License-Identifier: Apache-2.0
// Every option by which a unit takes something away is tried out: without it the probe can do it, with it not.
// What a container cannot show is named at the end.
#include "tests/container/container.h"

#include <gtest/gtest.h>

#include <iostream>
#include <map>
#include <set>
#include <sstream>

namespace imprint::test {
namespace {

struct Probe {
    const char* name;
    const char* user;
    // What stands in place of the option in the run that has to succeed, where the default would not do.
    const char* instead = "";
    const char* program = "/opt/imprint-probe/container-probe";
};

const std::multimap<std::string, Probe> proofs{
    {"CapabilityBoundingSet", {"change-user", "root"}},
    {"DevicePolicy", {"open-device", "root"}},
    {"IPAddressDeny", {"send-to-loopback", "root"}},
    {"KeyringMode", {"find-key", "alice", "KeyringMode=shared"}},
    {"LimitCORE", {"dump-core", "alice"}},
    {"LockPersonality", {"set-personality", "root"}},
    {"MemoryDenyWriteExecute", {"map-writable-code", "root"}},
    {"NoNewPrivileges", {"be-root", "alice", "", "/usr/local/bin/setuid-probe"}},
    {"PrivateDevices", {"open-device", "root"}},
    {"PrivateIPC", {"see-queue", "root"}},
    {"PrivateMounts", {"share-mounts", "root"}},
    {"PrivateNetwork", {"share-network", "root"}},
    {"PrivateTmp", {"see-tmp", "root"}},
    {"PrivateUsers", {"see-owner", "root"}},
    {"ProcSubset", {"see-kernel", "root"}},
    {"ProtectControlGroups", {"make-control-group", "root"}},
    {"ProtectHome", {"read-home", "root"}},
    {"ProtectHostname", {"set-hostname", "root"}},
    {"ProtectProc", {"see-processes", "alice"}},
    {"ProtectSystem", {"write-usr", "root"}},
    {"RestrictAddressFamilies", {"netlink", "root"}},
    {"RestrictAddressFamilies", {"packet", "root"}},
    {"RestrictNamespaces", {"make-namespace", "root"}},
    {"RestrictRealtime", {"be-realtime", "root"}},
    {"RestrictSUIDSGID", {"make-setuid-file", "root"}},
    {"SystemCallArchitectures", {"other-architecture", "root"}},
    {"SystemCallFilter", {"change-root", "root"}},
    {"SystemCallFilter", {"change-priority", "root"}},
    {"UMask", {"make-open-file", "root", "UMask=0022"}},
};

// Proved by tests of their own below.
const std::set<std::string> proved_apart{"RemoveIPC", "SystemCallErrorNumber"};

const std::map<std::string, std::string> not_provable{
    {"AmbientCapabilities", "empty is the default"},
    {"DeviceAllow", "there is no TPM device in a container"},
    {"IPAccounting", "it only counts"},
    {"ProtectClock", "the container takes the clock away"},
    {"ProtectKernelLogs", "the container takes the kernel's log away"},
    {"ProtectKernelModules", "the container takes modules away"},
    {"ProtectKernelTunables", "the container takes tunables away, and they are this machine's"},
};

// What tells how to run the service.
const std::set<std::string> no_hardening{"BusName",
                                         "Environment",
                                         "ExecReload",
                                         "ExecStart",
                                         "ExecStartPre",
                                         "Group",
                                         "LimitNOFILE",
                                         "LoadCredential",
                                         "LoadCredentialEncrypted",
                                         "Restart",
                                         "RestartPreventExitStatus",
                                         "RestartSec",
                                         "StandardError",
                                         "StandardInput",
                                         "StandardOutput",
                                         "StateDirectory",
                                         "StateDirectoryMode",
                                         "SupplementaryGroups",
                                         "TTYPath",
                                         "TTYReset",
                                         "TTYVHangup",
                                         "TimeoutStartSec",
                                         "TimeoutStopSec",
                                         "Type",
                                         "User",
                                         "WatchdogSec",
                                         "RuntimeDirectory"};

using Options = std::map<std::string, Arguments>; // name, values in their order

Options parse(const std::string& unit)
{
    Options options;
    std::istringstream lines(unit);
    std::string section;
    bool continued = false;
    for (std::string line; std::getline(lines, line);) {
        const bool whole = !continued;
        continued = line.ends_with("\\");
        if (line.starts_with("["))
            section = line;
        else if (const auto equals = line.find('=');
                 whole && section == "[Service]" && equals != std::string::npos && !line.starts_with("#"))
            options[line.substr(0, equals)].push_back(line.substr(equals + 1));
    }
    return options;
}

class Hardening : public testing::Test {
protected:
    Hardening()
        : container(shared_container())
    {
        container.must("touch /tmp/probe-outside; "
                       "/opt/imprint-probe/container-probe make-queue; "
                       "setpriv --reuid=alice --clear-groups /opt/imprint-probe/container-probe make-key");
    }

    // One for all: what the probes may do they undo, or it is made anew above.
    static const Container& shared_container()
    {
        static const Container container{{{IMPRINT_TEST_PROBES, "/opt/imprint-probe"}, {"/dev/kmsg", "/dev/probe"}}};
        static const auto prepared =
            container.must("useradd --create-home alice; "
                           "install -m 4755 /opt/imprint-probe/container-probe /usr/local/bin/setuid-probe");
        return container;
    }
    Finished in_service(const std::string& user, const Arguments& properties, const Arguments& command) const
    {
        Arguments all{"systemd-run", "--quiet", "--wait", "--pipe", "-p", "User=" + user};
        for (const auto& property : properties)
            all.insert(all.end(), {"-p", property});
        for (const auto& argument : command)
            all.push_back(Container::unexpanded(argument));
        return container.run(all);
    }
    // Without the option it is the same each time.
    const Finished& free_probe(const Probe& with)
    {
        const Arguments properties = *with.instead != 0 ? Arguments{with.instead} : Arguments{};
        auto& finished = free_probes[{with.name, properties}];
        if (finished.status == -1)
            finished = probe(with, properties);
        return finished;
    }
    Finished probe(const Probe& probe, const Arguments& properties) const
    {
        return in_service(probe.user, properties, {probe.program, probe.name});
    }
    // The units as they are installed, and the drop-in that is offered.
    std::map<std::string, Options> units() const
    {
        std::map<std::string, Options> all;
        for (const std::string name : {"imprintd.service", "imprint-link@.service", "imprint-link-serial@.service",
                                       "imprint-station.service", "imprint-archive.service", "imprint-central.service"})
            all[name] = parse(container.must("cat /lib/systemd/system/" + name));
        all["network-less.conf"] = parse(container.must("cat /usr/share/doc/imprintd/examples/network-less.conf"));
        return all;
    }
    static Arguments properties(const std::string& name, const Arguments& values)
    {
        Arguments all;
        for (const auto& value : values)
            if (value != "none") // which only takes back what stood before
                all.push_back(name + "=" + value);
        return all;
    }
    // A drop-in that leaves no address of the Internet takes those, too.
    void prove_option(const std::string& name, const Arguments& values)
    {
        const auto [first, last] = proofs.equal_range(name);
        for (auto proof = first; proof != last; ++proof)
            prove(proof->second, properties(name, values));
        if (name == "RestrictAddressFamilies" && values.back().find("AF_INET") == std::string::npos)
            prove({"internet", "root"}, properties(name, values));
    }
    void prove(const Probe& with, const Arguments& options)
    {
        const auto& free = free_probe(with);
        EXPECT_EQ(free.status, 0) << options.front() << ": the probe " << with.name << " proves nothing: " << free.out
                                  << free.err;
        const auto bound = probe(with, options);
        EXPECT_NE(bound.status, 0) << options.front() << " does not keep it from: " << with.name;
        // Or it was killed for it.
        EXPECT_TRUE(bound.out.starts_with("refused: ") || options.front().starts_with("SystemCall"))
            << options.front() << ": " << bound.out << bound.err;
    }

    const Container& container;
    std::map<std::pair<std::string, Arguments>, Finished> free_probes;
};

TEST_F(Hardening, EveryOptionIsProvedOrNamed)
{
    std::set<std::pair<std::string, Arguments>> done;
    std::set<std::string> named;
    for (const auto& [unit, options] : units()) {
        EXPECT_FALSE(options.empty()) << unit;
        for (const auto& [name, values] : options) {
            if (no_hardening.contains(name) || proved_apart.contains(name) || !done.emplace(name, values).second)
                continue;
            if (not_provable.contains(name))
                named.insert(name + " (" + not_provable.at(name) + ")");
            else if (proofs.contains(name))
                prove_option(name, values);
            else
                ADD_FAILURE() << unit << ": nothing proves " << name << "=";
        }
    }
    std::cout << "Not provable in a container:";
    for (const auto& option : named)
        std::cout << " " << option << (option == *named.rbegin() ? ".\n" : ",");
}

TEST_F(Hardening, AForbiddenCallFailsAndDoesNotKill)
{
    const Probe call{"change-root", "root"};
    const auto killed = probe(call, {"SystemCallFilter=~@privileged"});
    EXPECT_EQ(killed.out, "");
    for (const auto& [unit, options] : units()) {
        if (!options.contains("SystemCallFilter"))
            continue;
        ASSERT_TRUE(options.contains("SystemCallErrorNumber")) << unit;
        auto all = properties("SystemCallFilter", options.at("SystemCallFilter"));
        all.push_back("SystemCallErrorNumber=" + options.at("SystemCallErrorNumber").front());
        EXPECT_EQ(probe(call, all).out, "refused: Operation not permitted\n") << unit;
    }
}

TEST_F(Hardening, WhatAServiceLeavesInSharedMemoryIsRemoved)
{
    const std::string look = "/opt/imprint-probe/container-probe see-left-queue";
    const Probe leave{"leave-queue", "alice"};
    EXPECT_EQ(probe(leave, {"RemoveIPC=yes"}).status, 0);
    EXPECT_NE(container.run({"sh", "-c", look}).status, 0);
    EXPECT_EQ(probe(leave, {}).status, 0);
    EXPECT_EQ(container.run({"sh", "-c", look}).status, 0) << "the probe proves nothing";
    for (const auto& [unit, options] : units())
        if (options.contains("PrivateIPC") && !options.contains("User"))
            ADD_FAILURE() << unit << " runs as root without need";
}

// All of a unit's options together: what one takes away no other one gives back.
TEST_F(Hardening, UnderAUnitsOptionsNoProbeSucceeds)
{
    for (const auto& [unit, options] : units()) {
        if (!options.contains("ExecStart"))
            continue;
        Arguments all;
        std::map<std::string, std::string> probes_of; // user, names
        for (const auto& [name, values] : options)
            if (proofs.contains(name))
                for (const auto& property : properties(name, values))
                    all.push_back(property);
        for (const auto& [name, proof] : proofs)
            if (options.contains(name))
                probes_of[proof.user] += std::string(" ") + proof.name;
        for (const auto& [user, names] : probes_of) {
            const auto each = "for name in" + names +
                "; do /opt/imprint-probe/container-probe $name >/dev/null 2>&1 && "
                "echo $name; done; echo end";
            EXPECT_EQ(in_service(user, all, {"sh", "-c", each}).out, "end\n") << unit << " as " << user;
        }
    }
}

} // namespace
} // namespace imprint::test
