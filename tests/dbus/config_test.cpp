// SPDX-License-Identifier: Apache-2.0
#include "daemon/config.h"

#include "daemon/base/error.h"
#include "tests/support/process.h"

#include <gtest/gtest.h>

namespace imprint {
namespace {

class Configuration : public testing::Test {
protected:
    Config load(const std::string& text)
    {
        write_file(directory / "imprintd.conf", as_bytes(text));
        return load_config(directory / "imprintd.conf");
    }
    // Why it is refused.
    std::string fault_of(const std::string& text)
    {
        try {
            load(text);
        } catch (const Error& error) {
            EXPECT_EQ(error.reason(), Reason::not_configured);
            return error.what();
        }
        return "accepted";
    }
    std::string place(int line) const
    {
        return (directory / "imprintd.conf").string() + ":" + std::to_string(line) + ": ";
    }

    test::TemporaryDirectory directory;
};

TEST_F(Configuration, NothingGivenIsTheDefault)
{
    const auto config = load_config(directory / "none", directory / "neither");
    EXPECT_EQ(config.device.state_directory, "/var/lib/imprint");
    EXPECT_EQ(config.device.trust_bundle, "/usr/share/imprint/trust.pem");
    EXPECT_EQ(config.tpm.tcti, "device:/dev/tpmrm0");
}

TEST_F(Configuration, EverySettingIsRead)
{
    const auto config =
        load("[Device]\nStateDirectory=/a\nTrustBundle=/b\nStationAddress=c:1\nArchiveAddress=http://d\n"
             "RequireCentral=yes\nRequireCrossCertificate=yes\n"
             "[Central]\nAddress=hub\nTransactionKeys=no\n"
             "[TPM]\nTCTI=swtpm:path=/e,f=g\nEpochIndex=0x01800001\nAnchorIndex=0x01800002\n"
             "StorageKeyHandle=0x81000003\nIdentityKeyHandle=0x81000004\nKeyFileParentHandle=0x81000005\n"
             "[KeyFiles]\nDirectory=/f\n"
             "[Introduction]\nInputUnit=unix:/run/keypad\nInputSec=7\n"
             "[Timeouts]\nConnectSec=5\nMessageSec=6\n");
    EXPECT_EQ(config.device.state_directory, "/a");
    EXPECT_EQ(config.device.trust_bundle, "/b");
    EXPECT_EQ(config.station_address, "c:1");
    EXPECT_EQ(config.archive_address, "http://d");
    EXPECT_TRUE(config.device.central.required);
    EXPECT_EQ(config.device.central.cross, protocol::CrossCertificates::required);
    EXPECT_EQ(config.central_address, "hub");
    EXPECT_FALSE(config.device.transaction_keys);
    EXPECT_EQ(config.tpm.tcti, "swtpm:path=/e,f=g");
    EXPECT_EQ(config.tpm.epoch_index, 0x01800001U);
    EXPECT_EQ(config.tpm.anchor_index, 0x01800002U);
    EXPECT_EQ(config.tpm.storage_key, 0x81000003U);
    EXPECT_EQ(config.tpm.identity_key, 0x81000004U);
    EXPECT_EQ(config.tpm.key_file_parent, 0x81000005U);
    EXPECT_EQ(config.device.key_file_directory, "/f");
    EXPECT_EQ(config.device.connect_timeout, std::chrono::seconds(5));
    EXPECT_EQ(config.device.message_timeout, std::chrono::seconds(6));
    EXPECT_EQ(config.device.input_unit.address, "unix:/run/keypad");
    EXPECT_EQ(config.device.input_unit.timeout, std::chrono::seconds(7));
}

TEST_F(Configuration, MistakesAreNamedWithTheirPlace)
{
    EXPECT_TRUE(fault_of("[Device]\n\nColour=red\n").starts_with(place(3) + "Colour: "));
    EXPECT_TRUE(fault_of("[Colours]\nTCTI=x\n").starts_with(place(2) + "TCTI: "));
    EXPECT_TRUE(fault_of("TCTI=x\n").starts_with(place(1) + "TCTI: "));
    EXPECT_TRUE(fault_of("[Device\nTCTI=x\n").starts_with(place(1)));
    EXPECT_NE(fault_of("[TPM]\nTCTI=\n"), "accepted");
    EXPECT_NE(fault_of("[Device]\nStateDirectory=relative\n"), "accepted");
    for (const auto* truth : {"", "true", "Yes", "1"})
        EXPECT_NE(fault_of(std::string("[Device]\nRequireCentral=") + truth + "\n"), "accepted") << truth;
}

TEST_F(Configuration, A34_TheInputUnitIsASocketWithAnAbsolutePath)
{
    for (const auto* unit : {"", "/run/keypad", "unix:keypad", "tcp:/a", "127.0.0.1:1"})
        EXPECT_NE(fault_of(std::string("[Introduction]\nInputUnit=") + unit + "\n"), "accepted") << unit;
    EXPECT_NE(fault_of("[Introduction]\nInputSec=0\n"), "accepted");
}

TEST_F(Configuration, HandlesStayInTheOwnersRanges)
{
    for (const auto* index :
         {"0x017FFFFF", "0x01C00000", "0x81000001", "25169997", "0x", "0x0180494Dx", "-1", "0x101800001"})
        EXPECT_NE(fault_of(std::string("[TPM]\nEpochIndex=") + index + "\n"), "accepted") << index;
    for (const auto* handle : {"0x80FFFFFF", "0x81800000", "0x01800001"})
        EXPECT_NE(fault_of(std::string("[TPM]\nStorageKeyHandle=") + handle + "\n"), "accepted") << handle;
    EXPECT_NE(fault_of("[TPM]\nEpochIndex=0x01800001\nAnchorIndex=0x01800001\n"), "accepted");
    EXPECT_NE(fault_of("[TPM]\nStorageKeyHandle=0x81000001\nIdentityKeyHandle=0x81000001\n"), "accepted");
    EXPECT_NE(fault_of("[TPM]\nKeyFileParentHandle=0x8100494D\n"), "accepted") << "the chip storage key's";
    EXPECT_NE(fault_of("[TPM]\nKeyFileParentHandle=0x8100494E\n"), "accepted") << "the identity key's";
    EXPECT_NE(fault_of("[TPM]\nKeyFileParentHandle=0x81800000\n"), "accepted");
}

TEST_F(Configuration, KeyFilesGoToAnAbsolutePathOrNowhere)
{
    EXPECT_NE(fault_of("[KeyFiles]\nDirectory=keys\n"), "accepted");
    EXPECT_EQ(load("[KeyFiles]\nDirectory=\n").device.key_file_directory, "");
}

TEST_F(Configuration, TimeoutsHaveBounds)
{
    for (const auto* seconds : {"0", "3601", "1.5", "-1", "ten", "4294967297"})
        EXPECT_NE(fault_of(std::string("[Timeouts]\nConnectSec=") + seconds + "\n"), "accepted") << seconds;
}

TEST_F(Configuration, DropInsAndTheAdministratorComeLast)
{
    std::filesystem::create_directories(directory / "usr/imprintd.conf.d");
    std::filesystem::create_directories(directory / "etc/imprintd.conf.d");
    write_file(directory / "usr/imprintd.conf", as_bytes("[TPM]\nTCTI=vendor\n[Device]\nStationAddress=vendor:1\n"));
    const auto load = [&] { return load_config(directory / "usr", directory / "etc"); };
    EXPECT_EQ(load().tpm.tcti, "vendor");
    write_file(directory / "usr/imprintd.conf.d/10-a.conf", as_bytes("[TPM]\nTCTI=vendor-drop-in\n"));
    EXPECT_EQ(load().tpm.tcti, "vendor-drop-in");
    write_file(directory / "etc/imprintd.conf.d/20-b.conf", as_bytes("[TPM]\nTCTI=site\n"));
    EXPECT_EQ(load().tpm.tcti, "site");
    EXPECT_EQ(load().station_address, "vendor:1");
    write_file(directory / "etc/imprintd.conf.d/30-c.conf", as_bytes("[TPM]\nTcti=typo\n"));
    EXPECT_THROW(load(), Error);
    write_file(directory / "etc/imprintd.conf.d/30-c.conf", as_bytes("[TPM\n"));
    EXPECT_THROW(load(), Error);
}

TEST_F(Configuration, TheShippedFileSaysTheDefaults)
{
    // Every line that is commented out, taken in, changes nothing.
    auto text = to_string(read_file(IMPRINT_SOURCE "/units/imprintd.conf", 65536).value());
    std::string active;
    for (std::size_t start = 0; start < text.size();) {
        const auto end = text.find('\n', start);
        auto line = text.substr(start, end - start);
        if (line.starts_with("#") && line.find('=') != std::string::npos && !line.ends_with('='))
            line.erase(0, 1);
        active += line + "\n";
        start = end + 1;
    }
    const auto shipped = load(active);
    const Config defaults;
    EXPECT_EQ(shipped.device.state_directory, defaults.device.state_directory);
    EXPECT_EQ(shipped.device.trust_bundle, defaults.device.trust_bundle);
    EXPECT_EQ(shipped.tpm.tcti, defaults.tpm.tcti);
    EXPECT_EQ(shipped.tpm.epoch_index, defaults.tpm.epoch_index);
    EXPECT_EQ(shipped.tpm.anchor_index, defaults.tpm.anchor_index);
    EXPECT_EQ(shipped.tpm.key_file_parent, defaults.tpm.key_file_parent);
    EXPECT_EQ(shipped.tpm.storage_key, defaults.tpm.storage_key);
    EXPECT_EQ(shipped.tpm.identity_key, defaults.tpm.identity_key);
    EXPECT_EQ(shipped.device.connect_timeout, defaults.device.connect_timeout);
    EXPECT_EQ(shipped.device.message_timeout, defaults.device.message_timeout);
}

TEST_F(Configuration, CredentialsAreTheirBytes)
{
    tpm::Settings settings;
    read_credentials(settings, directory.path());
    EXPECT_TRUE(settings.owner_auth.empty());
    write_file(directory / "owner-auth", as_bytes("secret"));
    write_file(directory / "endorsement-auth", as_bytes(std::string(64, 'x')));
    read_credentials(settings, directory.path());
    EXPECT_TRUE(equal(settings.owner_auth.view(), as_bytes("secret")));
    EXPECT_EQ(settings.endorsement_auth.size(), 64U);
    write_file(directory / "owner-auth", as_bytes(std::string(65, 'x')));
    EXPECT_THROW(read_credentials(settings, directory.path()), Error);
}

} // namespace
} // namespace imprint
