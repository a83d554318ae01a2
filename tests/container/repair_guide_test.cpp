// SPDX-License-Identifier: Apache-2.0
// The guide for the repair shop, backup/repair.md, typed in at a board that goes through every state of its table.
#include "tests/container/reader.h"

#include "tests/support/manufacture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace imprint::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string recover = "Recover", look = "First: look, change nothing", cleared = "After the TPM was cleared",
                  in_the_way = "A counter in the way", another = "Another board", station = "A station instead";

class RepairShop : public testing::Test {
protected:
    RepairShop()
    {
        without_start_limits(appliance);
        appliance.container().write("/etc/imprint/imprintd.conf.d/50-station.conf",
                                    "[Device]\nStationAddress=" + std::string(Appliance::station) + "\n");
        appliance.must("echo 127.0.0.1 archive.example >>/etc/hosts; mkdir -p /media/usb");
        appliance.make_operating();
        certificate = appliance.property("ModuleCertificate");
        reader.placeholders["CHIP"] = chip();
    }

    std::string chip() const { return appliance.property("ChipId").substr(3, 64); }
    // The board comes with this state, and the table has it.
    void expect_found(const std::string& state)
    {
        EXPECT_THAT(reader.type(look), HasSubstr(state));
        EXPECT_EQ(appliance.state(), state);
        EXPECT_TRUE(Paper(paper).quoted().contains(state));
    }
    void expect_as_before() const
    {
        EXPECT_EQ(appliance.state(), "operating");
        EXPECT_EQ(appliance.property("ModuleCertificate"), certificate);
    }
    void expect_operating()
    {
        EXPECT_EQ(appliance.state(), "operating");
        EXPECT_EQ(appliance.property("DeviceIdentity"), R"((ss) "serial" "SN000001")");
        appliance.wait_for_outbox();
        certificate = appliance.property("ModuleCertificate");
    }
    std::string refused(const std::string& command) const
    {
        const auto finished = appliance.container().run({"bash", "-ec", command});
        EXPECT_NE(finished.status, 0) << command;
        return finished.err;
    }
    void lose_disk() const { appliance.must("systemctl stop imprintd; rm -rf /var/lib/imprint/*"); }
    void take_stick_along()
    {
        appliance.must("rm -rf /root/stick /media/usb/stick");
        for (const auto* command : {"mkdir", "curl", "cp"})
            reader.type(recover, command);
    }
    void swap_tpm(const std::string& with) const
    {
        appliance.must("systemctl stop imprintd test-tpm; cp /root/tpm-" + with +
                       " /var/lib/test-tpm/tpm2-00.permall; systemctl start test-tpm");
    }
    void take_out_tpm(const std::string& as) const
    {
        appliance.must("systemctl stop imprintd test-tpm; cp /var/lib/test-tpm/tpm2-00.permall /root/tpm-" + as);
    }

    void before_it_is_opened();
    void disk_is_lost();
    void disk_is_rolled_back();
    void tpm_is_cleared();
    void counter_is_foreign_then_deleted();
    void image_is_another_manufacturers();
    void tpm_is_not_there();
    void board_is_another_one();
    void identity_certificate_is_lost();
    void blank_board_has_a_foreign_counter();

    const std::filesystem::path paper = IMPRINT_SOURCE "/backup/repair.md";
    const Appliance appliance{Appliance::Factory::running};
    Reader reader{appliance, paper};
    std::string certificate;
};

void RepairShop::before_it_is_opened()
{
    expect_found("operating");
    EXPECT_THAT(reader.type(look), testing::AllOf(HasSubstr(chip()), HasSubstr("SN000001")));
    EXPECT_THAT(reader.type("Before you open it"), HasSubstr("the device would be operating"));
    take_stick_along();
    EXPECT_THAT(reader.type_quoted("imprintctl recover --check /media/usb/stick"), HasSubstr("would be operating"));
    expect_as_before();
}

void RepairShop::disk_is_lost()
{
    for (const auto* way : {"imprintctl recover ", "imprintctl recover http", "imprintctl recover /media"}) {
        lose_disk();
        expect_found("disk-lost");
        reader.type(recover, way);
        expect_as_before();
    }
}

void RepairShop::disk_is_rolled_back()
{
    appliance.must("systemctl stop imprintd; cp -a /var/lib/imprint /root/image");
    reader.type(station);
    expect_operating();
    appliance.must("systemctl stop imprintd; rm -r /var/lib/imprint/*; cp -a /root/image/. /var/lib/imprint/");
    expect_found("disk-rolled-back");
    EXPECT_THAT(refused("imprintctl recover /media/usb/stick"), HasSubstr("record-outdated"));
    reader.type(recover, "imprintctl recover ");
    expect_as_before();
}

void RepairShop::tpm_is_cleared()
{
    const auto sequence = appliance.property("Sequence").substr(2);
    take_stick_along();
    appliance.clear_tpm();
    expect_found("tpm-cleared");
    EXPECT_THAT(refused("imprintctl recover /media/usb/stick"),
                testing::AllOf(HasSubstr("newest-unproven"), HasSubstr("sequence " + sequence)));
    reader.placeholders["--sequence 5"] = "--sequence " + sequence;
    reader.type(cleared);
    expect_found("recovered");
    reader.type_quoted("imprintctl personalize");
    expect_operating();

    lose_disk();
    appliance.clear_tpm();
    expect_found("blank");
    reader.type_quoted("imprintctl recover");
    EXPECT_EQ(appliance.state(), "recovered");
    EXPECT_EQ(appliance.property("Keys"), R"(as 1 "manufacturer-channel")");
    reader.type_quoted("imprintctl personalize");
    expect_operating();
}

void RepairShop::counter_is_foreign_then_deleted()
{
    appliance.must("systemctl stop imprintd");
    appliance.tpm("tpm2_nvundefine 0x0180494D");
    appliance.tpm("tpm2_nvdefine 0x0180494D -C o -s 8 -a 'ownerread|ownerwrite'");
    expect_found("epoch-foreign");
    reader.type(in_the_way, "tpm2_nvundefine");
    reader.type(in_the_way, "systemctl restart imprintd");
    expect_found("epoch-deleted");
    reader.type_quoted("imprintctl recover");
    EXPECT_EQ(appliance.state(), "recovered");
    reader.type_quoted("imprintctl personalize");
    expect_operating();
}

void RepairShop::image_is_another_manufacturers()
{
    appliance.must("cp /usr/share/imprint/trust.pem /root/right.pem; "
                   "imprint-authority --directory /root/other init --name Other; "
                   "imprint-authority --directory /root/other trust-bundle >/usr/share/imprint/trust.pem; "
                   "systemctl restart imprintd");
    expect_found("anchor-mismatch");
    appliance.must("cp /root/right.pem /usr/share/imprint/trust.pem; systemctl restart imprintd");
    expect_as_before();
}

void RepairShop::tpm_is_not_there()
{
    appliance.must("systemctl stop imprintd test-tpm");
    expect_found("tpm-unavailable");
    appliance.must("systemctl start test-tpm");
    reader.type("Before you open it");
    expect_as_before();
}

void RepairShop::board_is_another_one()
{
    appliance.container().write("/root/tpm-new", to_string(read_file(manufactured_state(1), 1 << 20).value()), 0600);
    take_out_tpm("old");
    swap_tpm("new");
    expect_found("tpm-replaced");
    reader.placeholders["NEW-CHIP"] = chip();
    swap_tpm("old");
    expect_as_before();
    reader.placeholders["OLD-CHIP"] = chip();

    reader.type(another, "imprint-station chip replace");
    swap_tpm("new");
    reader.type_from(another, "systemctl stop imprintd");
    expect_operating();
    for (const auto* of : {"OLD-CHIP", "NEW-CHIP"})
        appliance.must("curl -fsS -o /dev/null http://archive.example:7480/v1/records/" + reader.placeholders[of]);
    take_out_tpm("new");
    swap_tpm("old");
    lose_disk();
    EXPECT_THAT(refused("imprintctl enter-personalization; imprintctl personalize"), HasSubstr("chip-replaced"));
    lose_disk();
    swap_tpm("new");
    expect_found("disk-lost");
}

void RepairShop::identity_certificate_is_lost()
{
    reader.placeholders["CHIP"] = chip();
    appliance.must("imprintctl enter-personalization 2>&1");
    expect_found("personalization");
    EXPECT_THAT(refused("imprintctl personalize"), HasSubstr("chip-already-known"));
    reader.type_quoted("imprint-station chip readmit CHIP");
    reader.type_quoted("imprintctl personalize");
    expect_operating();
}

void RepairShop::blank_board_has_a_foreign_counter()
{
    appliance.container().write("/root/tpm-blank", to_string(read_file(manufactured_state(1), 1 << 20).value()), 0600);
    lose_disk();
    swap_tpm("blank");
    expect_found("blank");
    appliance.must("systemctl stop imprintd");
    appliance.tpm("tpm2_nvdefine 0x0180494D -C o -s 8 -a 'ownerread|ownerwrite'");
    expect_found("epoch-foreign");
    reader.type_from(in_the_way, "mkdir");
    EXPECT_EQ(appliance.state(), "blank");
}

TEST_F(RepairShop, B17_Attack38_ItsGuideLeadsOutOfEveryState)
{
    before_it_is_opened();
    disk_is_lost();
    disk_is_rolled_back();
    tpm_is_cleared();
    counter_is_foreign_then_deleted();
    image_is_another_manufacturers();
    tpm_is_not_there();
    board_is_another_one();
    identity_certificate_is_lost();
    blank_board_has_a_foreign_counter();
    EXPECT_THAT(reader.left(), ElementsAre("ls -l /dev/tpmrm0")) << "there is none in a container";
}

} // namespace
} // namespace imprint::test
