// SPDX-License-Identifier: Apache-2.0
// A new checking key with the real programs: old and new certificates, old and new bundles, side by side.
#include "tests/system/fixture.h"

#include <csignal>

namespace imprint::test {

namespace {

class CheckingKeyRollover : public WholeSystem {
protected:
    CheckingKeyRollover()
    {
        device.start();
        EXPECT_EQ(personalize(), "");
        const auto made = authority("authority", {"rollover", "--output", factory / "next"});
        EXPECT_EQ(made.status, 0) << made.err;
    }

    Finished authority(const std::string& directory, const Arguments& arguments) const
    {
        Arguments all{IMPRINT_TEST_AUTHORITY, "--directory", (factory / directory).string()};
        all.insert(all.end(), arguments.begin(), arguments.end());
        return run(all);
    }
    // The station's certificates come from the new key, and everybody at the factory has the new bundle.
    void renew_factory()
    {
        const auto made = authority("next",
                                    {"station", "line-1", "--host", "127.0.0.1", "--delegate-identity-ca", "--output",
                                     (factory / "renewed").string()});
        ASSERT_EQ(made.status, 0) << made.err;
        std::filesystem::remove_all(factory / "station-keys");
        std::filesystem::rename(factory / "renewed", factory / "station-keys");
        for (const auto& file : {"archive-keys/trust.pem", "central-keys/trust.pem"})
            write_file(factory / file, as_bytes(authority("next", {"trust-bundle"}).out), 0644);
    }
    void give_bundle(const Arguments& options)
    {
        Arguments arguments{"trust-bundle"};
        arguments.insert(arguments.end(), options.begin(), options.end());
        write_file(factory.trust_bundle(), as_bytes(authority("next", arguments).out), 0644);
        device.stop();
        device.start();
    }
    void restart_factory()
    {
        for (auto* server : {&factory.station(), &factory.archive()}) {
            server->signal(SIGTERM);
            EXPECT_EQ(server->wait(), 0);
        }
        factory.start_archive();
        factory.start_station();
    }
    std::string personalize_anew()
    {
        const auto refused = enter_personalization();
        return refused.empty() ? personalize() : refused;
    }
};

// The device follows the renewed station by the link that comes with its certificates. (The archive of this factory
// has the device's bundle file: it takes records by the link as well.)
TEST_F(CheckingKeyRollover, A28_ADeviceWithTheOldBundleFollowsTheLink)
{
    renew_factory();
    restart_factory();
    ASSERT_EQ(personalize_anew(), "");
    EXPECT_EQ(state(), "s \"operating\"");
    EXPECT_EQ(device.property("DeviceIdentity"), "(ss) \"serial\" \"SN000001\"");
    factory.wait_for_outbox();
    EXPECT_EQ(factory.archive_command({"verify"}).status, 0);

    // A disk that is lost now comes back by the new station's record.
    device.kill();
    device.wipe_disk();
    device.start();
    ASSERT_EQ(failure(device.imprintctl({"recover", factory.archive_address()})), "");
    EXPECT_EQ(state(), "s \"operating\"");
}

TEST_F(CheckingKeyRollover, A28_ADeviceWithTheNewBundleTakesOldAndNewAndAdoptsTheRoot)
{
    give_bundle({});
    EXPECT_EQ(state(), "s \"operating\"");
    restart_factory(); // the archive, with the new bundle; the station still has its old certificates
    ASSERT_EQ(personalize_anew(), "") << "at a station of the old key";
    factory.wait_for_outbox();
    renew_factory();
    restart_factory();
    ASSERT_EQ(personalize_anew(), "") << "at a station of the new key";
    factory.wait_for_outbox();
    EXPECT_EQ(factory.archive_command({"verify"}).status, 0);

    give_bundle({"--without-former"});
    EXPECT_EQ(state(), "s \"anchor-mismatch\"") << "the TPM remembers the old key";
    const auto refused = device.imprintctl({"adopt-root"});
    EXPECT_EQ(refused.status, 3);
    EXPECT_NE(refused.err.find("root-not-certified"), std::string::npos) << refused.err;

    give_bundle({});
    ASSERT_EQ(failure(device.imprintctl({"adopt-root"})), "");
    give_bundle({"--without-former"});
    EXPECT_EQ(state(), "s \"operating\"");
}

TEST_F(CheckingKeyRollover, StockToolsCheckTheLink)
{
    const auto next = [this](const std::string& file) { return (factory / "next" / file).string(); };
    const auto old = (factory / "authority/checking-ca.pem").string();
    const auto link = run({"openssl", "verify", "-CAfile", old, next("links.pem")});
    EXPECT_EQ(link.status, 0) << link.out << link.err;
    EXPECT_NE(run({"openssl", "verify", "-CAfile", old, next("checking-ca.pem")}).status, 0);
    const auto identity =
        run({"openssl", "verify", "-CAfile", old, "-untrusted", next("links.pem"), next("identity-ca.pem")});
    EXPECT_EQ(identity.status, 0) << identity.out << identity.err;
    EXPECT_EQ(authority("authority", {"rollover", "--output", factory / "next"}).status, 2) << "nothing is overwritten";
}

} // namespace

} // namespace imprint::test
