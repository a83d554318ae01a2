// SPDX-License-Identifier: Apache-2.0
// The main job, end to end: real programs, a real (software) TPM, a real bus.
#include "tests/system/fixture.h"

#include "daemon/base/file.h"
#include "daemon/pki/certificate.h"

#include <fstream>

namespace imprint::test {

namespace {

using MainJob = WholeSystem;

TEST_F(MainJob, A22_B1_PersonalizedSwitchedAndBackedUp)
{
    device.start();
    EXPECT_EQ(state(), "s \"blank\"");
    ASSERT_EQ(personalize(), "");
    EXPECT_EQ(state(), "s \"operating\"");
    EXPECT_EQ(device.property("DeviceIdentity"), "(ss) \"serial\" \"SN000001\"");

    factory.wait_for_outbox();
    const auto published = run({"curl", "-sSf", factory.archive_address() + "/v1/records/" + chip()});
    EXPECT_EQ(published.status, 0) << published.err;
    EXPECT_GT(published.out.size(), 4096U);
    EXPECT_EQ(device.imprintctl({"export-backup", "-"}).out, published.out);
}

TEST_F(MainJob, OverBusctlAlone)
{
    device.start();
    const auto granted = device.call({"Personalize", "sa{sv}", factory.station_address(), "0"});
    ASSERT_EQ(granted.status, 0) << granted.err;
    EXPECT_EQ(state(), "s \"personalization\"");
    EXPECT_EQ(device.property("ReadyToSwitch"), "b true");
    const auto switched = device.call({"EnterOperating"});
    ASSERT_EQ(switched.status, 0) << switched.err;
    EXPECT_EQ(state(), "s \"operating\"");
    const auto back = device.call({"EnterPersonalization"});
    ASSERT_EQ(back.status, 0) << back.err;
    EXPECT_EQ(state(), "s \"personalization\"");
    EXPECT_EQ(device.property("ReadyToSwitch"), "b false");
}

TEST_F(MainJob, B17_OperatingAgainAfterTheDiskWasLost)
{
    device.start();
    ASSERT_EQ(personalize(), "");
    factory.wait_for_outbox();
    const auto identity = device.property("IdentityCertificate");
    const auto module = device.property("ModuleCertificate");
    device.kill();
    device.wipe_disk();

    device.start();
    EXPECT_EQ(state(), "s \"disk-lost\"");
    ASSERT_EQ(recover(), "");
    EXPECT_EQ(state(), "s \"operating\"");
    EXPECT_EQ(device.property("IdentityCertificate"), identity);
    EXPECT_EQ(device.property("ModuleCertificate"), module);
}

TEST_F(MainJob, B17_TheKeysComeBackAfterTpm2Clear)
{
    device.start();
    ASSERT_EQ(personalize(), "");
    factory.wait_for_outbox();
    ASSERT_EQ(device.stop(), 0);
    device.tpm().clear();

    device.start();
    EXPECT_EQ(state(), "s \"tpm-cleared\"");
    ASSERT_EQ(recover(), "");
    EXPECT_EQ(state(), "s \"recovered\"");
    EXPECT_EQ(device.property("Keys"), "as 1 \"manufacturer-channel\"");
    ASSERT_EQ(personalize(), "") << "a recovered device is known by its identity certificate";
    EXPECT_EQ(device.property("DeviceIdentity"), "(ss) \"serial\" \"SN000001\"");
}

TEST_F(MainJob, B17_AnotherDevicesRecordIsRefusedByName)
{
    DaemonProcess other({.chip = 1, .trust_bundle = factory.trust_bundle()});
    device.start();
    other.start();
    ASSERT_EQ(personalize(), "");
    ASSERT_EQ(failure(other.imprintctl({"personalize", factory.station_address()})), "");
    const auto record = device.imprintctl({"export-backup", "-"}).out;
    other.kill();
    other.wipe_disk();
    other.start();
    const auto refused = other.imprintctl({"restore", "-"}, record);
    EXPECT_NE(refused.status, 0);
    EXPECT_NE(refused.err.find("record-foreign"), std::string::npos) << refused.err;
    EXPECT_EQ(other.property("State"), "s \"disk-lost\"");
}

// The same identity at every personalization, without the endorsement key from the second one on.
TEST_F(MainJob, A29_PersonalizedAgain)
{
    device.start();
    ASSERT_EQ(personalize(), "");
    const auto first = device.property("ModuleCertificate");
    ASSERT_EQ(enter_personalization(), "");
    ASSERT_EQ(personalize(), "");
    EXPECT_EQ(device.property("DeviceIdentity"), "(ss) \"serial\" \"SN000001\"");
    EXPECT_NE(device.property("ModuleCertificate"), first);
    factory.wait_for_outbox();
    EXPECT_EQ(factory.archive_command({"verify"}).status, 0);
}

// A copy of the whole disk from an earlier epoch is of no use.
TEST_F(MainJob, A23_ARolledBackDiskIsToldApart)
{
    device.start();
    ASSERT_EQ(personalize(), "");
    device.kill();
    const TemporaryDirectory copy;
    std::filesystem::copy(device.state_directory(), copy / "state", std::filesystem::copy_options::recursive);
    device.start();
    ASSERT_EQ(enter_personalization(), "");
    ASSERT_EQ(personalize(), "");
    factory.wait_for_outbox();
    device.kill();
    device.wipe_disk();
    std::filesystem::copy(copy / "state", device.state_directory(), std::filesystem::copy_options::recursive);

    device.start();
    EXPECT_EQ(state(), "s \"disk-rolled-back\"");
    ASSERT_EQ(recover(), "");
    EXPECT_EQ(state(), "s \"operating\"");
}

// Whoever lost the disk and does not recover is not given a new identity silently.
TEST_F(MainJob, AKnownChipWithoutItsIdentityIsRefused)
{
    device.start();
    ASSERT_EQ(personalize(), "");
    factory.wait_for_outbox();
    device.kill();
    device.wipe_disk();
    device.start();
    ASSERT_EQ(enter_personalization(), "");
    const auto refused = device.imprintctl({"personalize", factory.station_address()});
    EXPECT_NE(refused.status, 0);
    EXPECT_NE(refused.err.find("chip-already-known"), std::string::npos) << refused.err;

    ASSERT_EQ(factory.station_command({"chip", "readmit", chip()}).status, 0);
    ASSERT_EQ(personalize(), "");
    EXPECT_EQ(device.property("DeviceIdentity"), "(ss) \"serial\" \"SN000001\"");
}

// Stock tools can check everything that is published.
TEST_F(MainJob, B2_StockToolsVerifyIdentityAndRecord)
{
    device.start();
    ASSERT_EQ(personalize(), "");
    const auto directory = device.directory();
    const auto record = directory / "record";
    ASSERT_EQ(failure(device.imprintctl({"export-backup", record.string()})), "");
    const auto verified = run({"openssl", "cms", "-verify", "-inform", "DER", "-in", record.string(), "-CAfile",
                               factory.trust_bundle().string(), "-purpose", "any", "-out", "/dev/null"});
    EXPECT_EQ(verified.status, 0) << verified.err;

    // Two signatures: nobody can make a record of this chip without it, nor without a station.
    const auto printed =
        run({"openssl", "cms", "-cmsout", "-print", "-noout", "-inform", "DER", "-in", record.string()});
    std::size_t signers = 0;
    for (auto at = printed.out.find("signatureAlgorithm", printed.out.find("signerInfos")); at != std::string::npos;
         at = printed.out.find("signatureAlgorithm", at + 1))
        ++signers;
    EXPECT_EQ(signers, 2U) << printed.out;
}

} // namespace

} // namespace imprint::test
