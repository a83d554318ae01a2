// SPDX-License-Identifier: Apache-2.0
// The configurations that are shipped as examples, read by their programs: as they are, and with all that is commented
// out.
#include "tests/support/process.h"

#include <gtest/gtest.h>

namespace imprint::test {
namespace {

const std::filesystem::path examples = IMPRINT_SOURCE "/units/examples";
constexpr int exit_usage = 2; // of the command line or the configuration

class Examples : public testing::Test {
protected:
    // The example, changed by a sed script.
    std::filesystem::path changed(const std::string& name, const std::string& script) const
    {
        const auto path = directory / name;
        write_file(path, as_bytes(run({"sed", "-e", script, examples / name}).out));
        return path;
    }
    void expect_understood(const std::string& name, const std::string& program, const Arguments& command) const
    {
        const auto status = [&](const std::string& script) {
            Arguments call{program, "--config", changed(name, script)};
            call.insert(call.end(), command.begin(), command.end());
            const auto finished = run(call);
            return std::pair{finished.status, finished.err};
        };
        for (const std::string script : {"", "s/^#\\([a-z-]* = \\)/\\1/"}) {
            const auto [code, error] = status(script);
            EXPECT_NE(code, exit_usage) << name << " with " << script << ": " << error;
        }
        EXPECT_EQ(status("$anothing-like-this = 1").first, exit_usage) << "mistakes are not seen";
    }
    TemporaryDirectory directory;
};

TEST_F(Examples, OfTheStation)
{
    expect_understood("station.conf", IMPRINT_STATION, {"--state", directory / "state", "ek", "list"});
    const auto profile = run({IMPRINT_STATION, "profile", "check", examples / "profile.toml"});
    EXPECT_EQ(profile.status, 0) << profile.err;
    EXPECT_NE(profile.out.find("tls.client"), std::string::npos) << profile.out;
}

TEST_F(Examples, OfTheArchive)
{
    expect_understood("archive.conf", IMPRINT_ARCHIVE,
                      {"--database", directory / "archive.db", "show", std::string(64, '0')});
    expect_understood("mirror.conf", IMPRINT_ARCHIVE, {"mirror", "--key", "/nowhere", directory / "copy"});
}

TEST_F(Examples, OfTheCentralSystem)
{
    expect_understood("central.conf", IMPRINT_CENTRAL, {"--state", directory / "state", "keys", "list"});
}

} // namespace
} // namespace imprint::test
