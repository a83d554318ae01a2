// SPDX-License-Identifier: Apache-2.0
// What the archive's timers start, and what a reload of the servers does, as their packages install them.
#include "tests/container/appliance.h"

#include <gtest/gtest.h>

namespace imprint::test {
namespace {

// As imprint-archive(8) says it, on the archive's own machine.
const std::string line_script = R"(
cd /root
imprint-authority --directory authority mirror line --output mirror >/dev/null
cp mirror/tls.pem /etc/imprint-archive/mirror.pem
systemd-creds encrypt --with-key=host --name=tls.key mirror/tls.key \
    /etc/credstore.encrypted/imprint-archive-mirror-line.tls.key 2>/dev/null
sed 's,archive.example,127.0.0.1,; s,NAME,line,' /usr/share/doc/imprint-archive/examples/mirror.conf \
    >/etc/imprint-archive/line.conf
systemctl --quiet enable --now imprint-archive-mirror@line.timer imprint-archive-verify@line.timer \
    imprint-archive-verify@archive.timer
)";

class Mirrors : public testing::Test {
protected:
    Mirrors()
    {
        appliance.make_operating();
        appliance.must(line_script);
    }
    int status(const std::string& script) const { return appliance.container().run({"sh", "-c", script}).status; }

    const Appliance appliance{Appliance::Factory::running};
    const std::string line = "/var/lib/imprint-archive-mirror/line";
};

TEST_F(Mirrors, B1_TheirTimersStartWhatFillsAndProvesThem)
{
    for (const auto* timer : {"imprint-archive-mirror@line", "imprint-archive-verify@line"}) {
        EXPECT_EQ(appliance.show(std::string(timer) + ".timer", "ActiveState"), "active");
        EXPECT_EQ(appliance.show(std::string(timer) + ".timer", "Unit"), std::string(timer) + ".service");
    }
    appliance.must("systemctl start imprint-archive-mirror@line imprint-archive-mirror@archive");
    EXPECT_EQ(appliance.must("diff -r " + line + " /var/lib/imprint-archive-mirror/archive"), "");
    EXPECT_EQ(appliance.must("find " + line + " -name newest | wc -l"), "1\n");
    EXPECT_EQ(appliance.must("find " + line + " ! -user imprint-archive"), "");
    EXPECT_EQ(
        appliance.container().run({"find", line, "-name", "newest", "-exec", "cat", "{}", "+"}, {}, "alice").status, 0)
        << "a web server could not read it";
    EXPECT_EQ(status("systemctl start imprint-archive-verify@line imprint-archive-verify@archive"), 0);

    appliance.must("echo >>$(find " + line + "/v1/records -name newest)");
    EXPECT_NE(status("systemctl start imprint-archive-verify@line"), 0);
    EXPECT_EQ(appliance.show("imprint-archive-verify@line", "Result"), "exit-code");
    EXPECT_NE(appliance.journal("imprint-archive-verify@line").find("newest-unproven"), std::string::npos);
}

TEST_F(Mirrors, Attack07_AReloadTakesUpWhatIsGoodAndLeavesTheRest)
{
    for (const std::string server : {"imprint-archive", "imprint-station", "imprint-central"}) {
        const auto process = appliance.show(server, "MainPID");
        appliance.must("systemctl reload " + server + "; mv /etc/" + server +
                       "/trust.pem /root/good.pem; echo no >/etc/" + server + "/trust.pem; systemctl reload " + server +
                       "; mv /root/good.pem /etc/" + server + "/trust.pem");
        appliance.wait_for_journal(server, "the new files are not used");
        EXPECT_NE(appliance.journal(server).find("the new files are in use"), std::string::npos);
        EXPECT_EQ(appliance.show(server, "ActiveState"), "active");
        EXPECT_EQ(appliance.show(server, "MainPID"), process);
    }
    EXPECT_EQ(appliance.failure({"Connect", "sa{sv}", "", "0"}), "");
}

} // namespace
} // namespace imprint::test
