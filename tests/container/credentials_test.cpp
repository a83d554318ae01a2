// SPDX-License-Identifier: Apache-2.0
// The TPM's authorization values as encrypted credentials, and what TPM2_Clear does to them.
#include "tests/container/appliance.h"

#include <gtest/gtest.h>

namespace imprint::test {
namespace {

class Credentials : public testing::Test {
protected:
    // As imprintd's manual page says it; `key` is host or tpm2.
    void encrypt(const std::string& credential, const std::string& key) const
    {
        appliance.must("printf secret | SYSTEMD_TPM2_DEVICE=swtpm:path=/run/test-tpm/tpm.sock systemd-creds encrypt "
                       "--with-key=" +
                       key + " --name=" + credential + " - /etc/credstore.encrypted/imprint." + credential);
    }
    void set_owner_auth() const { appliance.tpm("tpm2_changeauth -c owner secret"); }

    const Appliance appliance{Appliance::Factory::running};
};

TEST_F(Credentials, TheOwnersAuthorizationIsUsed)
{
    set_owner_auth();
    EXPECT_NE(appliance.personalize(), "") << "the value is not needed";
    encrypt("owner-auth", "host");
    appliance.must("systemctl restart imprintd");
    EXPECT_EQ(appliance.personalize(), "");
    EXPECT_EQ(appliance.enter_operating(), "");
    EXPECT_EQ(appliance.state(), "operating");
    const auto log = appliance.must("journalctl --no-pager --output=export; systemctl show imprintd");
    EXPECT_EQ(log.find("secret\n"), std::string::npos) << "it stands in the log";
}

TEST_F(Credentials, Attack48_EncryptedForTheHostTheyOutliveTpm2Clear)
{
    set_owner_auth();
    encrypt("owner-auth", "host");
    appliance.make_operating();
    appliance.clear_tpm();
    appliance.must("systemctl start imprintd");
    EXPECT_EQ(appliance.show("imprintd", "ActiveState"), "active");
    EXPECT_EQ(appliance.state(), "tpm-cleared");
    // The owner takes the TPM anew, with the authorization value that the device knows.
    set_owner_auth();
    EXPECT_EQ(appliance.failure({"Recover", "sa{sv}", Appliance::archive, "0"}), "");
    EXPECT_EQ(appliance.state(), "recovered");
}

// Why: this is what would happen. (With an owner's authorization systemd could not open it even before.)
TEST_F(Credentials, Attack48_BoundToTheTpmTheyKeepTheUnitFromStartingAfterTpm2Clear)
{
    encrypt("endorsement-auth", "tpm2");
    appliance.tpm("tpm2_changeauth -c endorsement secret");
    appliance.make_operating();
    appliance.clear_tpm();
    EXPECT_NE(appliance.container().run({"systemctl", "start", "imprintd"}).status, 0);
    EXPECT_EQ(appliance.show("imprintd", "ExecMainStatus"), "243") << "EXIT_CREDENTIALS";
}

} // namespace
} // namespace imprint::test
