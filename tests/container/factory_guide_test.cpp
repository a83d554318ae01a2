// SPDX-License-Identifier: Apache-2.0
// The guide for a factory, provisioning/factory.md, typed in from the ceremony to a station that was lost, and the one
// for a station that was stolen. All machines are one, but for those that would share files with others, and boards
// come one after the other.
#include "tests/container/reader.h"

#include "tests/support/manufacture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace imprint::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

const std::string ceremony = "The ceremony", archive = "The archive", mirror = "A mirror", station = "A station",
                  loss = "The loss of a station", laptop = "A line without a network";

class NewFactory : public testing::Test {
protected:
    NewFactory()
    {
        without_start_limits(appliance);
        appliance.must("for host in line-1.factory archive; do echo 127.0.0.1 $host.example; done >>/etc/hosts; "
                       "mkdir -p /media/usb /media/safe /media/backup /usr/share/imprint");
        appliance.container().write("/root/vendor-test.pem", to_string(manufactured_vendor_ca()));
        appliance.container().write("/etc/imprint/imprintd.conf.d/50-station.conf",
                                    "[Device]\nStationAddress=line-1.factory.example:7443\n"
                                    "ArchiveAddress=http://archive.example:7480\n");
    }

    // Never personalized, with the image of this manufacturer.
    void put_board_on_bench(unsigned number)
    {
        appliance.must("systemctl stop imprintd test-tpm; rm -rf /var/lib/imprint/*; "
                       "cp /root/trust.pem /usr/share/imprint/trust.pem");
        appliance.container().write("/var/lib/test-tpm/tpm2-00.permall",
                                    to_string(read_file(manufactured_state(number), 1 << 20).value()), 0600);
        appliance.must("systemctl start test-tpm");
        reader.placeholders["CHIP"] = appliance.property("ChipId").substr(3, 64);
    }
    void expect_operating_as(const std::string& serial) const
    {
        EXPECT_EQ(appliance.state(), "operating");
        EXPECT_EQ(appliance.property("DeviceIdentity"), R"((ss) "serial" ")" + serial + '"');
    }
    void expect_recovered_from(const std::string& source, const std::string& serial) const
    {
        appliance.must("systemctl stop imprintd; rm -r /var/lib/imprint/*; imprintctl recover " + source + " 2>&1");
        expect_operating_as(serial);
    }
    std::string refused(const std::string& command) const
    {
        const auto finished = appliance.container().run({"bash", "-ec", command});
        EXPECT_NE(finished.status, 0) << command;
        return finished.err;
    }

    void certify();
    void set_up_archive_and_station();
    void work_a_shift();
    void mirror_the_archive();
    void let_in_who_is_vouched_for();
    void lose_the_station();
    void work_without_a_network();
    void come_home_to_a_socket();
    void have_the_laptop_stolen();

    const Appliance appliance;
    Reader reader{appliance,
                  IMPRINT_SOURCE "/provisioning/factory.md",
                  {{"rsa3072 5000", "rsa2048 1"}, {"NAME", "alice"}, {"TEXT", "'smells burnt'"}},
                  {"archive-2", "laptop", "alice"}};
};

void NewFactory::certify()
{
    reader.type_until(ceremony, "imprint-authority --directory ca show");
    for (const auto* key : {"checking-ca.key", "identity-ca.key"})
        EXPECT_THAT(appliance.container().read("/root/ca/" + std::string(key)), HasSubstr("ENCRYPTED"));
    EXPECT_THAT(reader.type(ceremony, "openssl"), HasSubstr("ingerprint="));
    reader.type_from(ceremony, "imprint-authority --directory ca --passphrase fd:3 station line-1");
    const auto shown = reader.type(ceremony, "imprint-authority --directory ca show");
    for (const auto* name : {"line-1", "laptop-1", "archive-1", "archive-2", "alice"})
        EXPECT_THAT(shown, HasSubstr(name));
}

void NewFactory::set_up_archive_and_station()
{
    reader.type(archive);
    EXPECT_THAT(reader.type_until(station, "echo"), HasSubstr("manufacturer-channel")) << "profile check";
    EXPECT_EQ(appliance.must("ls /media/safe"), "master.key\npool.key\n");
    EXPECT_EQ(appliance.must("find /var/lib/imprint-station ! -user imprint-station"), "");
}

void NewFactory::let_in_who_is_vouched_for()
{
    reader.type(station, "echo");
    reader.type(station, "systemctl restart imprint-station");
    reader.type(station, "imprint-station tan issue");
    EXPECT_EQ(appliance.must("sort -u /root/lot-17 | wc -l"), "500\n");
    reader.type(station, "imprint-station operator add");

    put_board_on_bench(0);
    EXPECT_THAT(refused("imprintctl personalize </dev/null"), HasSubstr("transaction-number-required"));
    appliance.must(
        "head -n 1 /root/lot-17 | cut -d ' ' -f 1 | imprintctl personalize --transaction-number-file - 2>&1");
    expect_operating_as("SN000001");
}

void NewFactory::work_a_shift()
{
    auto follow = appliance.container().start(reader.quoted_arguments("journalctl -u imprint-station -f"));
    EXPECT_TRUE(follow.line_after("").has_value());
    reader.type_quoted("systemctl reload imprint-station");
    EXPECT_THAT(reader.type_quoted("imprint-station identity list"), HasSubstr("249998 left"));
    EXPECT_THAT(reader.type_quoted("imprint-station pool status"), HasSubstr("rsa2048"));
    EXPECT_THAT(reader.type_quoted("imprint-station audit"), HasSubstr("transaction-number-required"));
    EXPECT_THAT(reader.type_quoted("imprint-station chip show CHIP"), HasSubstr("SN000001"));

    reader.type_quoted("imprint-station chip quarantine --note TEXT CHIP");
    appliance.must("imprintctl enter-personalization 2>&1");
    EXPECT_THAT(refused("imprintctl personalize"), HasSubstr("chip-quarantined"));
    reader.type_quoted("imprint-station chip release CHIP");
    reader.type(station, "imprintctl personalize");
    expect_operating_as("SN000001");

    reader.type_quoted("imprint-station outbox --wait 600");
    reader.type_quoted("imprint-station backup /media/backup/station-$(date +%F-%H%M).db");
    reader.placeholders["station-2026-01-31-2200.db"] = appliance.must("cd /media/backup; echo -n station-*.db");
    EXPECT_EQ(appliance.must("journalctl --quiet --unit imprint-station --priority warning"), "");
}

void NewFactory::mirror_the_archive()
{
    put_board_on_bench(1);
    reader.placeholders["serial:/dev/ttyUSB0"] = "dbus --yes";
    reader.type(station, "cp /media/usb/operators");
    reader.type(station, "imprint-courier");
    appliance.wait_for_property("State", R"(s "operating")");
    expect_operating_as("SN000002");
    appliance.wait_for_outbox();

    reader.type(mirror);
    expect_recovered_from("", "SN000002");
    expect_recovered_from("/srv/mirror", "SN000002");
}

void NewFactory::lose_the_station()
{
    appliance.must("systemctl stop imprint-station; "
                   "rm -r /etc/imprint-station /var/lib/imprint-station/* /etc/credstore.encrypted/imprint-station.*");
    reader.type_until(station, "imprint-station init");
    reader.type(loss);

    appliance.must("imprintctl enter-personalization 2>&1");
    reader.type_quoted("imprintctl personalize");
    expect_operating_as("SN000002"); // which the copy does not know
    put_board_on_bench(2);
    appliance.must("imprintctl personalize 2>&1");
    expect_operating_as("SN250000");
    appliance.wait_for_outbox();
}

void NewFactory::work_without_a_network()
{
    put_board_on_bench(3);
    reader.placeholders["serial:/dev/ttyUSB0"] = reader.placeholders["serial:/dev/ttyS1"] = "unix:/run/cable";
    reader.type_until(laptop, "imprint-station serve");
    auto serve = appliance.container().start(reader.arguments(laptop, "imprint-station serve"));
    ASSERT_TRUE(serve.line_after("listening station ").has_value());
    appliance.must("chmod a+w /run/cable");
    reader.type(laptop, "imprintctl personalize");
    expect_operating_as("LT000001");

    EXPECT_THAT(reader.type_from(laptop, "imprint-station sync --to"), HasSubstr("0 were not taken"));
    appliance.wait_for_outbox();
    EXPECT_THAT(reader.type_quoted("imprint-station record proof CHIP"), HasSubstr("recoverable: true"));
    expect_recovered_from("", "LT000001");
}

void NewFactory::come_home_to_a_socket()
{
    appliance.must("sed -i 's/^listen = .*/listen = \"systemd:devices\"/' /etc/imprint-station/station.conf; "
                   "systemctl stop imprint-station");
    reader.type_quoted("systemctl enable --now imprint-station.socket");
    appliance.must("imprintctl enter-personalization 2>&1; imprintctl personalize 2>&1");
    expect_operating_as("LT000001");
}

void NewFactory::have_the_laptop_stolen()
{
    const std::string ask_archive =
        "cd /machines/laptop/etc/imprint-station; curl -sS --cacert /root/ca/checking-ca.pem "
        "--cert tls.pem --key tls.key https://archive.example:7444/healthz";
    appliance.must(ask_archive);
    appliance.must("mkdir /root/copy; imprint-station --state /machines/laptop/var/lib/imprint-station backup "
                   "/root/copy/station.db; echo " +
                   std::string(64, 'a') + ",LT000002 >/root/others.csv");
    Reader stolen(
        appliance, IMPRINT_SOURCE "/provisioning/authority/stolen-station.md",
        {{"NAME", "laptop-1"}, {"COPY", "copy"}, {"FILE", "others.csv"}, {"CHIP", reader.placeholders["CHIP"]}});
    stolen.type("The procedure");
    EXPECT_THAT(stolen.type_quoted("imprint-station --state COPY chip list --json"), HasSubstr("LT000001"));
    stolen.type_quoted("imprint-station identity import FILE");
    stolen.type_quoted("imprint-station chip readmit CHIP");
    refused(ask_archive);
    EXPECT_ANY_THROW(reader.type(laptop, "imprint-station sync --to"));

    appliance.must("cp /root/trust.pem /usr/share/imprint/trust.pem; systemctl restart imprintd");
    stolen.type_quoted("imprintctl enter-personalization");
    EXPECT_THAT(refused("imprintctl personalize unix:/run/cable"), HasSubstr("certificate-revoked"));
    stolen.type_quoted("imprintctl personalize");
    expect_operating_as("LT000001");
    EXPECT_THAT(stolen.left(), IsEmpty());
}

TEST_F(NewFactory, B1_B2_B7_B17_A33_ItsGuideIsTrue)
{
    certify();
    set_up_archive_and_station();
    let_in_who_is_vouched_for();
    work_a_shift();
    mirror_the_archive();
    lose_the_station();
    work_without_a_network();
    come_home_to_a_socket();
    have_the_laptop_stolen();
    reader.type_quoted("imprint-station operator revoke NAME");
    EXPECT_THAT(reader.left(), IsEmpty());
}

} // namespace
} // namespace imprint::test
