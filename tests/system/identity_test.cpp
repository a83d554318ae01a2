// SPDX-License-Identifier: Apache-2.0
// Which device a chip is, end to end: network identifiers, what a device asks for, repair with a new board.
#include "tests/system/fixture.h"

#include "daemon/base/file.h"

#include <nlohmann/json.hpp>

namespace imprint::test {

namespace {

class Identities : public WholeSystem {
protected:
    Identities() { device.start(); }

    // The device's identity certificate, as stock tools show it.
    std::string certificate_text(const DaemonProcess& of, const std::string& station_keys)
    {
        const auto file = of.directory() / "identity.pem";
        const auto value = of.property("IdentityCertificate"); // s "...", with \n
        write_file(file, to_bytes(nlohmann::json::parse(value.substr(2)).get<std::string>()));
        const auto verified = run({"openssl", "verify", "-x509_strict", "-CAfile", factory.trust_bundle(), "-untrusted",
                                   factory / station_keys / "identity-ca.pem", file});
        EXPECT_EQ(verified.status, 0) << verified.err;
        return run({"openssl", "x509", "-in", file, "-noout", "-text"}).out;
    }
    std::string replace(const std::string& former, const std::string& present)
    {
        return failure(factory.station_command(
            {"chip", "replace", former, present, "--reason", "water damage", "--directory", factory / "station-keys"}));
    }
    std::string published(const std::string& path) const
    {
        return run({"curl", "-sSf", factory.archive_address() + path}).out;
    }
};

// A line for wireless terminals, beside the one for everything else.
class TerminalLine {
public:
    explicit TerminalLine(const Factory& factory)
    {
        const auto keys = factory.certify_station("terminals");
        command({"init"});
        command({"identity", "range", "--kind", "imei", "--from", "49-015420-323751", "--to", "490154203239993"});
        process_ = std::make_unique<Process>(
            Arguments{IMPRINT_TEST_STATION, "--state", state(), "serve", "--listen", "127.0.0.1:0", "--directory", keys,
                      "--vendor-ca", factory / "vendor.pem", "--archive", factory.archive_tls_address()},
            Environment{}, directory_ / "log");
        address = process_->line_after("listening station ").value();
    }
    std::string command(Arguments arguments) const
    {
        arguments.insert(arguments.begin(), {IMPRINT_TEST_STATION, "--state", state()});
        const auto finished = run(arguments);
        EXPECT_EQ(finished.status, 0) << finished.err;
        return finished.out;
    }
    std::string address;

private:
    std::string state() const { return directory_ / "state"; }
    TemporaryDirectory directory_;
    std::unique_ptr<Process> process_;
};

TEST_F(Identities, B8_B2_B10_AWirelessTerminalIsKnownByAnImeiOfTheRange)
{
    const TerminalLine line(factory);
    ASSERT_EQ(failure(device.imprintctl({"personalize", line.address})), "");
    EXPECT_EQ(device.property("DeviceIdentity"), "(ss) \"imei\" \"490154203237518\"");
    const auto text = certificate_text(device, "terminals-keys");
    for (const auto& part :
         {std::string("CN = 490154203237518, serialNumber = 490154203237518"), chip(),
          std::string("Policy: 2.23.133.11.1.1"), std::string("Policy: 2.23.133.11.1.2"),
          std::string("Policy: 2.23.133.11.1.3"), std::string("Not After : Dec 31 23:59:59 9999 GMT")})
        EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;

    const auto listed = nlohmann::json::parse(line.command({"identity", "list", "--json"}));
    EXPECT_EQ(listed["ranges"][0]["next"], "490154203237526");
    EXPECT_EQ(listed["given"][0]["chip"], chip());
    line.command({"outbox", "--wait", "30"});
    const auto shown = factory.archive_command({"show", "--json", chip()});
    EXPECT_EQ(nlohmann::json::parse(shown.out).at(0).at("identity-kind"), "imei");
}

TEST_F(Identities, B16_ADeviceAsksForItsIdentityAndAnOperatorConfirms)
{
    const Arguments asking{"personalize", factory.station_address(), "--identity", "eui48:00-1B-44-11-3A-B7"};
    const auto refused = device.imprintctl(asking);
    EXPECT_NE(refused.status, 0);
    EXPECT_NE(refused.err.find("identity-unconfirmed"), std::string::npos) << refused.err;
    EXPECT_EQ(state(), "s \"personalization\"");

    const auto requests = factory.station_command({"identity", "requests"});
    EXPECT_NE(requests.out.find(chip() + " asks for eui48 00:1b:44:11:3a:b7"), std::string::npos) << requests.out;
    ASSERT_EQ(failure(factory.station_command({"identity", "confirm", chip()})), "");
    ASSERT_EQ(failure(device.imprintctl(asking)), "");
    EXPECT_EQ(device.property("DeviceIdentity"), "(ss) \"eui48\" \"00:1b:44:11:3a:b7\"");
    EXPECT_NE(certificate_text(device, "station-keys").find("serialNumber = 00:1b:44:11:3a:b7"), std::string::npos);
}

TEST_F(Identities, B16_WhatIsNoIdentityIsRefusedAtTheDevice)
{
    const auto mistyped =
        device.imprintctl({"personalize", factory.station_address(), "--identity", "imei:490154203237517"});
    EXPECT_NE(mistyped.err.find("check digit"), std::string::npos) << mistyped.err;
    EXPECT_NE(mistyped.status, 0);
    const auto call = device.call(
        {"Personalize", "sa{sv}", factory.station_address(), "1", "identity", "(ss)", "imsi", "262011234567890"});
    EXPECT_NE(call.status, 0);
    EXPECT_NE(call.err.find("unknown kind"), std::string::npos) << call.err;
    EXPECT_EQ(state(), "s \"blank\"");
}

TEST_F(Identities, B24_AListGivesEachChipItsIdentity)
{
    const auto file = device.directory() / "list.jsonl";
    const auto refused = device.imprintctl({"personalize", factory.station_address(), "--identity", "serial:X"});
    ASSERT_NE(refused.status, 0); // the TPM is prepared, so that the chip has its name
    ASSERT_EQ(failure(factory.station_command({"identity", "refuse", chip()})), "");
    write_file(file,
               to_bytes(R"({"chip": ")" + chip() + R"(", "kind": "imei", "value": "35 693803 564380 9"})" + "\n"));
    ASSERT_EQ(failure(factory.station_command({"identity", "import", file})), "");
    ASSERT_EQ(personalize(), "");
    EXPECT_EQ(device.property("DeviceIdentity"), "(ss) \"imei\" \"356938035643809\"");
}

TEST_F(Identities, B19_B26_ARepairWithANewBoardKeepsTheIdentityAndBothRecords)
{
    ASSERT_EQ(personalize(), "");
    const auto identity = device.property("DeviceIdentity");
    DaemonProcess board({.chip = 1, .trust_bundle = factory.trust_bundle()});
    board.start();
    const auto refused = board.imprintctl({"personalize", factory.station_address(), "--identity", "serial:SN000001"});
    EXPECT_NE(refused.err.find("identity-taken"), std::string::npos) << refused.err;
    const auto new_chip = board.property("ChipId").substr(3, 64);

    ASSERT_EQ(replace(chip(), new_chip), "");
    ASSERT_EQ(failure(board.imprintctl({"personalize", factory.station_address()})), "");
    EXPECT_EQ(board.property("DeviceIdentity"), identity);
    factory.wait_for_outbox();
    EXPECT_GT(published("/v1/records/" + chip()).size(), 4096U);
    EXPECT_GT(published("/v1/records/" + new_chip).size(), 4096U);
    EXPECT_EQ(failure(factory.archive_command({"verify"})), "");
    const auto shown = factory.archive_command({"show", chip()});
    EXPECT_NE(shown.out.find("was replaced by chip " + new_chip), std::string::npos) << shown.out;

    // Everybody can check who said so, with stock tools.
    const auto statement = device.directory() / "replacement";
    write_file(statement, to_bytes(published("/v1/replacements/" + new_chip)));
    const auto verified = run({"openssl", "cms", "-verify", "-inform", "DER", "-in", statement, "-CAfile",
                               factory.trust_bundle(), "-purpose", "any", "-binary"});
    EXPECT_EQ(verified.status, 0) << verified.err;
    EXPECT_NE(verified.out.find("water damage"), std::string::npos);

    ASSERT_EQ(enter_personalization(), "");
    const auto old = device.imprintctl({"personalize", factory.station_address()});
    EXPECT_NE(old.err.find("chip-replaced"), std::string::npos) << old.err;
}

} // namespace

} // namespace imprint::test
