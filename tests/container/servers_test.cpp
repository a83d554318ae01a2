// SPDX-License-Identifier: Apache-2.0
// Station, archive and central system as the units that their packages install.
#include "tests/container/appliance.h"

#include <gtest/gtest.h>

namespace imprint::test {
namespace {

const std::string servers[] = {"imprint-station", "imprint-archive", "imprint-central"};

class Servers : public testing::Test {
protected:
    int status(const std::string& script) const { return appliance.container().run({"sh", "-c", script}).status; }
    void configure(const std::string& server, const std::string& from, const std::string& to) const
    {
        appliance.must("sed -i 's,^" + from + " = .*," + from + " = \"" + to + "\",' /etc/imprint-" + server + "/" +
                       server + ".conf");
    }

    const Appliance appliance{Appliance::Factory::running};
};

TEST_F(Servers, EachIsAUserOfItsOwnAndAnOperatorWorksBesideItAndWhileItIsStopped)
{
    for (const auto& server : servers) {
        EXPECT_EQ(appliance.must("stat -c %U /proc/" + appliance.show(server, "MainPID")), server + "\n");
        EXPECT_EQ(appliance.must("stat -c '%U %a' /var/lib/" + server), server + " 700\n");
        EXPECT_NE(appliance.container().run({"ls", "/var/lib/" + server}, {}, "alice").status, 0);
        EXPECT_EQ(appliance.must("find /var/lib/" + server + " ! -user " + server), "") << "root's file in its state";
    }

    configure("station", "listen", "127.0.0.1:7443\"\\nrequire-introduction = \"first");
    appliance.must("systemctl restart imprint-station");
    EXPECT_NE(appliance.personalize().find("transaction number"), std::string::npos);
    appliance.must("imprint-station tan issue --valid 1h | grep -oE -m 1 '[0-9A-Z]{5}(-[0-9A-Z]{5}){3}' >/root/number");
    appliance.must("systemctl stop imprint-station; imprint-station tan list; "
                   "runuser -u imprint-station -- imprint-station chip list; systemctl start imprint-station");
    EXPECT_EQ(appliance.must("find /var/lib/imprint-station ! -user imprint-station"), "");
    appliance.must("imprintctl personalize --transaction-number-file /root/number " + std::string(Appliance::station) +
                   " 2>&1");
    EXPECT_EQ(appliance.state(), "operating");
    appliance.wait_for_outbox();
    EXPECT_NE(appliance.must("imprint-station audit").find("SN000001"), std::string::npos);
    EXPECT_EQ(status("imprint-archive --trust /etc/imprint-archive/trust.pem verify"), 0);

    // Their keys are where systemd keeps them, and for root alone.
    EXPECT_NE(appliance.must("imprint-central certify-station /etc/imprint-station/signing.pem").find("BEGIN"),
              std::string::npos);
    EXPECT_EQ(status("imprint-station central export --output /root/keys.set"), 0);
    EXPECT_NE(status("runuser -u imprint-station -- imprint-station central export"), 0);
}

TEST_F(Servers, SocketsStartThemAndKeepWhoComesMeanwhile)
{
    appliance.must("systemctl stop imprint-station imprint-archive imprint-central");
    configure("station", "listen", "systemd:devices");
    configure("archive", "listen", "systemd:public");
    configure("archive", "listen-tls", "systemd:stations");
    configure("central", "listen", "systemd:devices");
    appliance.must("systemctl start imprint-station.socket imprint-archive.socket imprint-archive-stations.socket "
                   "imprint-central.socket");
    EXPECT_EQ(appliance.show("imprint-station", "ActiveState"), "inactive");
    appliance.make_operating();
    EXPECT_EQ(appliance.failure({"Connect", "sa{sv}", "", "0"}), "");
    for (const auto& server : servers)
        EXPECT_EQ(appliance.show(server, "ActiveState"), "active") << server;

    // Who comes while the archive is down waits until it is back.
    const auto before = appliance.show("imprint-archive", "MainPID");
    appliance.must("for i in 1 2 3; do systemctl stop imprint-archive; "
                   "curl -sS --fail --max-time 60 http://127.0.0.1:7480/healthz >/dev/null; done");
    EXPECT_NE(appliance.show("imprint-archive", "MainPID"), before);
}

TEST_F(Servers, KilledTheyComeBackAndNothingIsLost)
{
    ASSERT_EQ(appliance.personalize(), "");
    for (const auto& server : servers)
        appliance.must("systemctl kill --signal=KILL " + server);
    for (const auto& server : servers) {
        appliance.wait_for_journal(server, server + ".service: Scheduled restart job");
        appliance.must("systemctl start " + server); // waits for it
    }
    appliance.wait_for_outbox();
    EXPECT_EQ(appliance.enter_operating(), "");
    EXPECT_EQ(appliance.failure({"CheckRecovery", "sa{sv}", Appliance::archive, "0"}), "");
    EXPECT_EQ(appliance.failure({"Connect", "sa{sv}", "", "0"}), "");
}

} // namespace
} // namespace imprint::test
