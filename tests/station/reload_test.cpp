// SPDX-License-Identifier: Apache-2.0
// What `systemctl reload` does: other vendors and another trust for what begins from then on, or those before where
// they are of no use.
#include "tests/station/running_station.h"
#include "tests/support/notify_socket.h"
#include "tests/support/reason.h"

#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace imprint::test {

namespace {

class Reload : public ::testing::Test {
protected:
    Reload()
    {
        write_file(vendors, pki::to_pem({pki.root.certificate})); // of no TPM
        station.start({"--vendor-ca", vendors}, {{"NOTIFY_SOCKET", station.directory / "notify"}});
    }
    void reload()
    {
        station.signal(SIGHUP);
        manager.wait_for("RELOADING=1");
        manager.wait_for("READY=1");
    }
    void personalize()
    {
        const auto stream = station.connect();
        DeviceSide side(device, stream->channel_binding());
        personalize_over(*stream, side);
    }
    std::optional<Reason> refusal()
    {
        return reason_of([this] { personalize(); });
    }
    std::string log() const { return to_string(read_file(station.directory / "log", 1 << 20).value_or(Bytes{})); }

    TestPki pki;
    RunningStation station{pki};
    HonestDevice device{SoftwareTpm::Kind::manufactured};
    const std::filesystem::path vendors = station.directory / "vendors.pem";
    NotifySocket manager{station.directory / "notify"};
};

TEST_F(Reload, Attack06_VendorsChangeWithoutARestart)
{
    EXPECT_EQ(refusal(), Reason::untrusted_endorsement_key);
    write_file(vendors, SoftwareTpm::vendor_ca());
    reload();
    EXPECT_NO_THROW(personalize());
    EXPECT_THAT(log(), testing::HasSubstr("the new files are in use"));
    EXPECT_EQ(station.stop(), 0);
}

TEST_F(Reload, Attack07_WhereOneFileIsOfNoUseAllStayAsTheyWere)
{
    const TestPki elsewhere;
    write_file(vendors, SoftwareTpm::vendor_ca());
    for (const auto& [bundle, reason] : {std::pair(to_bytes("nothing"), "reason=not-configured"),
                                         std::pair(elsewhere.trust_pem(), "reason=untrusted-certificate")}) {
        write_file(station.directory / "trust.pem", bundle);
        reload();
        EXPECT_THAT(log(), testing::HasSubstr("the new files are not used"));
        EXPECT_THAT(log(), testing::HasSubstr(reason));
        EXPECT_EQ(refusal(), Reason::untrusted_endorsement_key);
    }
}

} // namespace

} // namespace imprint::test
