// SPDX-License-Identifier: Apache-2.0
// What is installed beside the programs: checked by the tools that will read it.
#include "tests/support/process.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <array>
#include <fstream>
#include <set>

namespace imprint::test {
namespace {

const std::filesystem::path source = IMPRINT_SOURCE;
const std::filesystem::path units = std::filesystem::path(IMPRINT_BUILD) / "units";

// The service manager's own judgement, in tenths; 0 is best.
void expect_exposure(const std::filesystem::path& unit, int at_most)
{
    const auto result = run({"systemd-analyze", "security", "--offline=true", "--threshold=" + std::to_string(at_most),
                             "--no-pager", unit});
    EXPECT_EQ(result.status, 0) << result.out << result.err;
}

std::string text_of(const std::filesystem::path& unit) { return to_string(read_file(unit, 65536).value()); }

// Every option that costs the unit something, and that its comments do not speak of.
std::string left_out_in_silence(const std::filesystem::path& unit)
{
    const auto result =
        run({"systemd-analyze", "security", "--offline=true", "--json=short", "--no-pager", unit.string()});
    const auto text = text_of(unit);
    std::string silent;
    for (const auto& option : nlohmann::json::parse(result.out)) {
        if (option.at("exposure").is_null())
            continue;
        const auto name = option.at("name").get<std::string>();
        if (text.find("# - " + name.substr(0, name.find('='))) == std::string::npos &&
            text.find(", " + name.substr(0, name.find('='))) == std::string::npos)
            silent += name + '\n';
    }
    return silent;
}

// In a directory of its own, as it is once its program is installed: the parser looks for that, and for man pages.
std::string installed_in(const TemporaryDirectory& directory, const std::filesystem::path& unit,
                         const std::string& instance = {})
{
    const auto edited =
        run({"sed", "-e", "s,[^ =]*bin[a-z@]*/imprint[a-z-]*,/bin/true,", "-e", "/^Documentation=/d", unit});
    const auto path = directory / (instance.empty() ? unit.filename().string() : instance);
    write_file(path, as_bytes(edited.out), 0644);
    return path;
}

void expect_understood(const std::vector<std::string>& paths)
{
    Arguments call{"systemd-analyze", "verify", "--man=no"};
    call.insert(call.end(), paths.begin(), paths.end());
    const auto result = run(call);
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(result.err.find("imprint"), std::string::npos) << result.err;
}

class Services : public testing::TestWithParam<const char*> { };

TEST_P(Services, AreHardened) { expect_exposure(units / GetParam(), 13); }

TEST_P(Services, ExplainWhatTheyLeaveOut) { EXPECT_EQ(left_out_in_silence(units / GetParam()), ""); }

TEST_P(Services, TakeSecretsEncryptedOnly)
{
    EXPECT_EQ(text_of(units / GetParam()).find("\nLoadCredential="), std::string::npos);
    EXPECT_EQ(text_of(units / GetParam()).find("\nSetCredential"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Installed, Services, testing::Values(IMPRINT_SERVICES));

TEST(Units, A40_ImprintdIsUnderstood)
{
    TemporaryDirectory directory;
    expect_understood({installed_in(directory, units / "imprintd.service")});
}

TEST(Units, ImprintdNeedsNoNetwork)
{
    TemporaryDirectory directory;
    const auto unit = installed_in(directory, units / "imprintd.service");
    const auto drop_in = directory / "imprintd.service.d";
    std::filesystem::create_directory(drop_in);
    std::filesystem::copy_file(source / "units/examples/network-less.conf", drop_in / "network-less.conf");
    expect_exposure(unit, 4);
    expect_understood({unit});
}

TEST(Units, A41_A42_ServersAreUnderstoodWithTheirSockets)
{
    TemporaryDirectory directory;
    std::vector<std::string> paths;
    for (const auto* name : {"imprint-archive", "imprint-central", "imprint-station"}) {
        paths.push_back(installed_in(directory, source / "units" / (std::string(name) + ".service")));
        paths.push_back(installed_in(directory, source / "units" / (std::string(name) + ".socket")));
    }
    for (const auto* name : {"imprint-archive-stations.socket", "imprint-station-operations.socket"})
        paths.push_back(installed_in(directory, source / "units" / name));
    expect_understood(paths);
}

TEST(Units, TheArchivesTimersAreUnderstoodAndWhatTheyStartIsHardenedAsItIs)
{
    const auto hardening = [](const std::string& unit) {
        const auto text = text_of(units / unit);
        const auto from = text.find("\nCapabilityBoundingSet=");
        return from == std::string::npos ? unit : text.substr(from, text.find("\n[Install]") - from);
    };
    TemporaryDirectory directory;
    std::vector<std::string> paths;
    for (const std::string name : {"imprint-archive-mirror@", "imprint-archive-verify@"}) {
        EXPECT_EQ(hardening(name + ".service"), hardening("imprint-archive.service"));
        paths.push_back(installed_in(directory, units / (name + ".service"), name + "line.service"));
        paths.push_back(installed_in(directory, source / "units" / (name + ".timer"), name + "line.timer"));
    }
    expect_understood(paths);
}

TEST(Units, TheUsersAreMadeWithTheirDirectories)
{
    TemporaryDirectory root;
    std::filesystem::create_directories(root / "etc");
    for (const auto* server : {"imprint-archive", "imprint-central", "imprint-station"})
        for (const std::string program : {"sysusers", "tmpfiles"}) {
            const auto made = run({"systemd-" + program, "--root=" + root.path().string(),
                                   program == "tmpfiles" ? "--create" : "--no-pager",
                                   source / "units" / (std::string(server) + "." + program)});
            EXPECT_EQ(made.status, 0) << made.err;
        }
    const auto result = run({"systemd-sysusers", "--root=" + root.path().string(), source / "units/imprintd.sysusers"});
    EXPECT_EQ(result.status, 0) << result.err;
    const auto status = std::filesystem::status(root / "var/lib/imprint-station");
    EXPECT_EQ(status.permissions(), std::filesystem::perms::owner_all);
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
    const auto asked = run({"grep", "-ohE", "org\\.imprint\\.Device1\\.[a-z-]+\"", source / "dbus/service_calls.cpp",
                            source / "dbus/service_keys.cpp"});
    const auto declared =
        run({"grep", "-oE", "org\\.imprint\\.Device1\\.[a-z-]+\"", source / "units/org.imprint.Device1.policy"});
    EXPECT_FALSE(asked.out.empty());
    EXPECT_EQ(asked.out, declared.out);
}

TEST(Units, TheCouriersLinkIsUnderstood)
{
    TemporaryDirectory directory;
    installed_in(directory, units / "imprint-link@.service");
    expect_understood(
        {installed_in(directory, source / "units/imprint-link.socket"),
         installed_in(directory, units / "imprint-link@.service", "imprint-link@0.service"),
         installed_in(directory, units / "imprint-link-serial@.service", "imprint-link-serial@ttyS1.service")});
}

// Nobody is let in who has not proven to be an administrator, and nobody from outside the device's own console.
TEST(Polkit, AsksAdministratorsAtTheConsoleAndRefusesEverybodyElse)
{
    const auto count = [](const std::string& what) {
        return run({"xmllint", "--nonet", "--xpath", "count(" + what + ")",
                    source / "units/org.imprint.Device1.policy"})
            .out;
    };
    EXPECT_EQ(count("//action"), count("//allow_any[.='no']"));
    EXPECT_EQ(count("//action"), count("//allow_inactive[.='no']"));
    EXPECT_EQ(count("//action"), count("//allow_active[starts-with(., 'auth_admin')]"));
    EXPECT_EQ(count("//action"), count("//annotate[@key='org.freedesktop.policykit.owner'][.='unix-user:imprint']"));
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

TEST(ManPages, A40_A41_A42_AreCleanAndComplete)
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
