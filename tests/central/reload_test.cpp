// SPDX-License-Identifier: Apache-2.0
// What `systemctl reload` does.
#include "tests/central/running_central.h"

#include <gtest/gtest.h>

#include <csignal>

namespace imprint::central {
namespace {

using test::refusal_of;
using test::SoftwareModule;

class Reload : public testing::Test {
protected:
    Reload() { central.start(); }
    void reload(const Bytes& trust) const
    {
        write_file(central.directory / "trust.pem", trust);
        ASSERT_EQ(kill(central.pid(), SIGHUP), 0);
    }
    bool let_in(const SoftwareModule& one) const { return refusal_of(central.address, one.settings()).empty(); }

    test::RunningCentral central;
    test::TestPki elsewhere;
    SoftwareModule device{central.pki, "SN-1"}, stranger{elsewhere, "SN-9"};
};

TEST_F(Reload, A22_WhoIsTrustedChangesWithoutARestart)
{
    EXPECT_FALSE(let_in(stranger));
    reload(central.pki.trust_pem_with(elsewhere));
    EXPECT_TRUE(test::eventually([&] { return let_in(stranger); }));
    EXPECT_TRUE(let_in(device));
    reload(central.pki.trust_pem());
    EXPECT_TRUE(test::eventually([&] { return !let_in(stranger); }));
    EXPECT_TRUE(let_in(device));
    EXPECT_EQ(central.stop(), 0);
}

TEST_F(Reload, Attack07_ABundleThatIsOfNoUseLeavesTheOneBeforeInUse)
{
    reload(to_bytes("nothing"));
    EXPECT_TRUE(central.logged("reason=not-configured"));
    reload(elsewhere.trust_pem());
    EXPECT_TRUE(central.logged("the new files are not used", 2)) << central.log();
    EXPECT_TRUE(let_in(device));
    EXPECT_FALSE(let_in(stranger));
}

} // namespace
} // namespace imprint::central
