// SPDX-License-Identifier: Apache-2.0
// What `systemctl reload` does: another trust for what begins from then on, or the one before where it is of no use.
#include "tests/archive/running_archive.h"
#include "tests/support/notify_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

namespace imprint::archive {
namespace {

class Reload : public testing::Test {
protected:
    Reload() { archive.start({}, {{"NOTIFY_SOCKET", archive.directory / "notify"}}); }
    void reload(const Bytes& trust)
    {
        write_file(archive.directory / "trust.pem", trust);
        ASSERT_EQ(kill(archive.pid(), SIGHUP), 0);
        manager.wait_for("RELOADING=1");
        manager.wait_for("READY=1");
    }
    // Of the other manufacturer's station, with a record of its device.
    unsigned put(std::uint64_t sequence) const
    {
        return archive.put(archive.path_of(stranger.chip, sequence), stranger.record(sequence), &elsewhere.station_tls)
            .status;
    }
    std::string log() const { return to_string(read_file(archive.directory / "log", 1 << 20).value_or(Bytes{})); }

    test::RunningArchive archive;
    test::TestPki elsewhere;
    test::SoftwareDevice device{archive.pki, "SN-1"}, stranger{elsewhere, "SN-9", std::string(64, '9')};
    test::NotifySocket manager{archive.directory / "notify"};
};

TEST_F(Reload, Attack01_WhoIsTrustedChangesWithoutARestart)
{
    EXPECT_EQ(put(3), 0U);
    reload(archive.pki.trust_pem_with(elsewhere));
    EXPECT_EQ(put(3), 201U);
    EXPECT_EQ(archive.put(device, 3, device.record(3)).status, 201U);
    reload(archive.pki.trust_pem());
    EXPECT_EQ(put(5), 0U);
    EXPECT_EQ(archive.put(device, 5, device.record(5)).status, 201U);
    EXPECT_THAT(log(), testing::HasSubstr("the new files are in use"));
    EXPECT_EQ(archive.stop(), 0);
}

TEST_F(Reload, Attack07_ABundleThatIsOfNoUseLeavesTheOneBeforeInUse)
{
    for (const auto& [bundle, reason] : {std::pair(to_bytes("nothing"), "reason=not-configured"),
                                         std::pair(elsewhere.trust_pem(), "reason=untrusted-certificate")}) {
        reload(bundle);
        EXPECT_THAT(log(), testing::HasSubstr("the new files are not used"));
        EXPECT_THAT(log(), testing::HasSubstr(reason));
        write_file(archive.directory / "trust.pem", archive.pki.trust_pem()); // which the client reads, too
        EXPECT_EQ(put(3), 0U);
    }
    EXPECT_EQ(archive.put(device, 3, device.record(3)).status, 201U) << log();
}

} // namespace
} // namespace imprint::archive
