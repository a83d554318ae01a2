// SPDX-License-Identifier: Apache-2.0
// The Debian packages in build/packages, made of the very build that is tested.
#include "tests/support/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

namespace imprint::test {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::filesystem::path source = IMPRINT_SOURCE;
const std::filesystem::path packages = source / "build" / "packages";
constexpr std::chrono::minutes patience(3);

// By name.
std::map<std::string, std::filesystem::path> all_packages()
{
    std::map<std::string, std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator(packages))
        if (entry.path().extension() == ".deb")
            found.emplace(entry.path().filename().string().substr(0, entry.path().filename().string().find('_')),
                          entry.path());
    return found;
}

std::string field(const std::filesystem::path& package, const std::string& name)
{
    return run({"dpkg-deb", "--field", package, name}).out;
}

// Files and links with their paths from the root.
std::vector<std::string> contents(const std::filesystem::path& package)
{
    TemporaryDirectory root;
    const auto unpacked = run({"dpkg-deb", "--extract", package, root.path()});
    EXPECT_EQ(unpacked.status, 0) << unpacked.err;
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root.path()))
        if (!entry.is_directory())
            files.push_back("/" + entry.path().lexically_relative(root.path()).string());
    return files;
}

// What Debian adds to every package, or compresses.
bool is_debians(const std::string& file)
{
    const std::filesystem::path path(file);
    return file.starts_with("/usr/share/lintian/") ||
        (file.starts_with("/usr/share/doc/") &&
         (path.filename() == "copyright" || path.filename().string().starts_with("changelog") ||
          path.filename().string().starts_with("README.Debian")));
}

std::string uncompressed(const std::string& file)
{
    return file.starts_with("/usr/share/man/") && file.ends_with(".gz") ? file.substr(0, file.size() - 3) : file;
}

TEST(Packages, AreThoseOfTheControlFile)
{
    std::vector<std::string> made, wanted;
    for (const auto& [name, file] : all_packages())
        made.push_back(name);
    std::istringstream lines(run({"sed", "-n", "s/^Package: //p", source / "debian" / "control"}).out);
    for (std::string name; std::getline(lines, name);)
        wanted.push_back(name);
    EXPECT_THAT(made, testing::UnorderedElementsAreArray(wanted));
}

// Who builds for Yocto or Buildroot gets by `meson install` what Debian's users get.
TEST(Packages, HoldWhatMesonInstalls)
{
    TemporaryDirectory destination;
    const auto installed =
        run({"meson", "install", "-C", IMPRINT_BUILD, "--no-rebuild", "--quiet", "--destdir", destination.path()}, {},
            {}, patience);
    ASSERT_EQ(installed.status, 0) << installed.out << installed.err;
    std::vector<std::string> wanted, packaged;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(destination.path()))
        if (!entry.is_directory())
            wanted.push_back("/" + entry.path().lexically_relative(destination.path()).string());
    for (const auto& [name, package] : all_packages())
        for (const auto& file : contents(package))
            if (!is_debians(file))
                packaged.push_back(uncompressed(file));
    EXPECT_GT(wanted.size(), 40U);
    EXPECT_THAT(packaged, testing::UnorderedElementsAreArray(wanted));
}

TEST(Packages, BelongToThisVersion)
{
    const auto project = run({"meson", "introspect", "--projectinfo", IMPRINT_BUILD}).out;
    for (const auto& [name, package] : all_packages()) {
        auto version = field(package, "Version");
        version.pop_back();
        EXPECT_THAT(project, HasSubstr("\"version\": \"" + version + '"')) << name;
    }
}

TEST(Packages, TheDaemonNeedsNothingOfTheServers)
{
    const auto needed = field(all_packages().at("imprintd"), "Depends");
    for (const auto* library : {"boost", "sqlite", "libpq", "qrencode", "libprotobuf32 ", "imprint-"})
        EXPECT_THAT(needed, Not(HasSubstr(library)));
    for (const auto* library : {"libtss2-esys", "libssl3", "libsystemd0", "libprotobuf-lite", "libeconf0"})
        EXPECT_THAT(needed, HasSubstr(library));
}

TEST(Packages, AreCleanUnderLintian)
{
    Arguments call{"lintian", "--fail-on", "error,warning", "--pedantic", "--allow-root"};
    for (const auto& [name, package] : all_packages())
        call.push_back(package);
    const auto result = run(call, {}, {}, patience);
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(result.out, "");
}

TEST(Packages, TheirSourceIsCleanUnderLintian)
{
    TemporaryDirectory work;
    const auto result = run(
        {"sh", "-ec",
         "mkdir \"$2/imprint\"; cd \"$1\"; git -c safe.directory=\"*\" ls-files -z | tar -c --null -T - | tar -x -C "
         "\"$2/imprint\"; cd \"$2\"; dpkg-source --build imprint >/dev/null; "
         "exec lintian --fail-on error,warning --pedantic --allow-root *.dsc",
         "sh", source, work.path()},
        {}, {}, patience);
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(result.out, "");
}

// A hint that is silenced without a reason would come back in another shape.
TEST(Packages, EveryOverrideHasAReason)
{
    for (const auto& entry : std::filesystem::recursive_directory_iterator(source / "debian")) {
        const auto name = entry.path().filename().string();
        if (!name.ends_with("lintian-overrides") || entry.path().string().find("/usr/") != std::string::npos)
            continue;
        std::ifstream lines(entry.path());
        std::string before;
        for (std::string line; std::getline(lines, line); before = line)
            if (!line.empty() && line.front() != '#') {
                EXPECT_TRUE(before.starts_with("#")) << entry.path() << ": " << line;
            }
    }
}

} // namespace
} // namespace imprint::test
