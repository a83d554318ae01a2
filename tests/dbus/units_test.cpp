// SPDX-License-Identifier: Apache-2.0
// What is installed beside the programs: checked by the tools that will read it.
#include "tests/support/process.h"

#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <set>

namespace imprint::test {
namespace {

const std::filesystem::path source = IMPRINT_SOURCE;

TEST(Units, ImprintdIsHardened)
{
    const auto result = run({"systemd-analyze", "security", "--offline=true", "--threshold=13", IMPRINT_UNIT});
    EXPECT_EQ(result.status, 0) << result.out << result.err;
}

TEST(Units, ImprintdIsUnderstood)
{
    // The service manager's own parser; the program and its man pages are not installed here.
    TemporaryDirectory directory;
    const auto unit = directory / "imprintd.service";
    const auto edited = run({"sed", "-e", "s,^ExecStart=.*,ExecStart=/bin/true,", "-e", "/^Documentation=/d", "-e",
                             "s,^User=.*,User=root,", "-e", "s,^Group=.*,Group=root,", IMPRINT_UNIT});
    write_file(unit, as_bytes(edited.out), 0644);
    const auto result = run({"systemd-analyze", "verify", "--man=no", unit.string()});
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(result.err.find("imprintd.service"), std::string::npos) << result.err;
}

TEST(Units, TheUserIsMade)
{
    TemporaryDirectory root;
    std::filesystem::create_directories(root / "etc");
    const auto result = run({"systemd-sysusers", "--root=" + root.path().string(), source / "units/imprintd.sysusers"});
    EXPECT_EQ(result.status, 0) << result.err;
    const auto groups = to_string(read_file(root / "etc/group", 65536).value());
    EXPECT_NE(groups.find("tss:x:"), std::string::npos);
    EXPECT_NE(groups.find(":imprint\n"), std::string::npos) << "not a member of tss: " << groups;
}

TEST(Units, XmlIsWellFormed)
{
    for (const auto* file :
         {"units/org.imprint.Device1.conf", "units/org.imprint.Device1.policy", "dbus/org.imprint.Device1.xml"})
        EXPECT_EQ(run({"xmllint", "--noout", "--nonet", source / file}).status, 0) << file;
}

TEST(Units, TheActivationFileNamesTheUnit)
{
    const auto text = to_string(read_file(source / "units/org.imprint.Device1.service", 65536).value());
    EXPECT_NE(text.find("\nName=org.imprint.Device1\n"), std::string::npos);
    EXPECT_NE(text.find("\nSystemdService=imprintd.service\n"), std::string::npos);
}

TEST(Units, EveryActionIsAskedForAndDeclared)
{
    const auto asked = run({"grep", "-ohE", "org\\.imprint\\.Device1\\.[a-z-]+\"", source / "dbus/service.cpp",
                            source / "dbus/service_keys.cpp"});
    const auto declared =
        run({"grep", "-oE", "org\\.imprint\\.Device1\\.[a-z-]+\"", source / "units/org.imprint.Device1.policy"});
    EXPECT_FALSE(asked.out.empty());
    EXPECT_EQ(asked.out, declared.out);
}

TEST(Units, ServersAreHardenedAndUnderstood)
{
    for (const auto* name : {"imprint-archive.service", "imprint-central.service", "imprint-station.service"}) {
        TemporaryDirectory directory;
        const auto edited = run({"sed", "-e", "s,@sbindir@/imprint-[a-z]*,/bin/true,", "-e", "/^Documentation=/d",
                                 source / "units" / name});
        write_file(directory / name, as_bytes(edited.out), 0644);
        const std::string unit = directory / name;
        const auto security = run({"systemd-analyze", "security", "--offline=true", "--threshold=13", unit});
        EXPECT_EQ(security.status, 0) << security.out << security.err;
        const auto verified = run({"systemd-analyze", "verify", "--man=no", unit});
        EXPECT_EQ(verified.status, 0) << verified.err;
        EXPECT_EQ(verified.err.find(name), std::string::npos) << verified.err;
    }
}

TEST(Units, TheCouriersLinkIsHardenedUnderstoodAndNotStartedByItself)
{
    TemporaryDirectory directory;
    const auto edit = [&](const std::string& name, const std::string& instance) {
        const auto edited =
            run({"sed", "-e", "s,@bindir@/imprintctl,/bin/true,", "-e", "/^Documentation=/d", source / "units" / name});
        write_file(directory / instance, as_bytes(edited.out), 0644);
        return (directory / instance).string();
    };
    const auto socket = edit("imprint-link.socket", "imprint-link.socket");
    const auto connection = edit("imprint-link@.service", "imprint-link@0.service");
    const auto serial = edit("imprint-link-serial@.service", "imprint-link-serial@ttyS1.service");
    edit("imprint-link@.service", "imprint-link@.service");
    for (const auto& unit : {connection, serial}) {
        const auto security = run({"systemd-analyze", "security", "--offline=true", "--threshold=13", unit});
        EXPECT_EQ(security.status, 0) << security.out << security.err;
    }
    const auto verified = run({"systemd-analyze", "verify", "--man=no", socket, connection, serial});
    EXPECT_EQ(verified.status, 0) << verified.err;
    EXPECT_EQ(verified.err.find("imprint-link"), std::string::npos) << verified.err;
}

constexpr std::array pages{"daemon/imprintd.8",
                           "daemon/imprintd.conf.5",
                           "dbus/org.imprint.Device1.5",
                           "dbus/imprintctl/imprintctl.1",
                           "provisioning/authority/imprint-authority.1",
                           "provisioning/courier/imprint-courier.1",
                           "provisioning/station/imprint-station.8",
                           "provisioning/station/imprint-station.profile.5",
                           "provisioning/central/imprint-central.8",
                           "backup/archive/imprint-archive.8"};

TEST(ManPages, AreCleanAndComplete)
{
    for (const auto* page : pages) {
        const auto result = run({"mandoc", "-Tlint", "-W", "warning", source / page});
        EXPECT_EQ(result.status, 0) << result.out;
    }
}

TEST(ManPages, PointToPagesThatExist)
{
    std::set<std::string> names;
    for (const auto* page : pages)
        names.insert(std::filesystem::path(page).filename());
    for (const auto* page : pages) {
        std::ifstream lines(source / page);
        for (std::string macro, name, section, rest; lines >> macro; std::getline(lines, rest))
            if (macro == ".Xr" && lines >> name >> section && name.find("imprint") != std::string::npos) {
                EXPECT_TRUE(names.contains(name + "." + section)) << page << ": " << name << " " << section;
            }
    }
}

} // namespace
} // namespace imprint::test
