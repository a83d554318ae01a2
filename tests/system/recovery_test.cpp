// SPDX-License-Identifier: Apache-2.0
// Recovery, each case from a real personalization on: from the archive, from a mirror, from a stick, a file or standard
// input; after the disk was lost or rolled back and after TPM2_Clear. What is refused leaves no trace.
#include "tests/system/fixture.h"

#include "daemon/base/file.h"

#include <nlohmann/json.hpp>

namespace imprint::test {

namespace {

class Recovery : public WholeSystem {
protected:
    // An operating device whose record the archive has.
    void bring_up()
    {
        device.start();
        ASSERT_EQ(personalize(), "");
        factory.wait_for_outbox();
    }
    void lose_disk()
    {
        device.kill();
        device.wipe_disk();
        device.start();
        ASSERT_EQ(state(), "s \"disk-lost\"");
    }
    void clear_tpm()
    {
        ASSERT_EQ(device.stop(), 0);
        device.tpm().clear();
        device.start();
    }
    std::string sequence() const { return device.property("Sequence").substr(2); }
    std::string ctl(const Arguments& arguments, const std::string& input = {}) const
    {
        return failure(device.imprintctl(arguments, input));
    }
    // The reason's name in what imprintctl says.
    std::string reason_of(Arguments arguments, const std::string& input = {}) const
    {
        arguments.insert(arguments.begin(), "--json");
        const auto finished = device.imprintctl(arguments, input);
        if (finished.status == 0)
            return "";
        return nlohmann::json::parse(finished.out)["error"]["reason"];
    }
    std::string record_of(const std::string& path) const
    {
        return run({"curl", "-sSf", factory.archive_address() + "/v1/records/" + path}).out;
    }
    // What a static mirror has on its disk, or a technician on a stick.
    std::filesystem::path stick(const std::vector<std::string>& sequences) const
    {
        const auto records = device.directory() / "stick" / "v1" / "records" / chip();
        std::filesystem::create_directories(records);
        for (const auto& one : sequences)
            write_file(records / one, as_bytes(record_of(chip() + "/" + one)), 0644);
        return device.directory() / "stick";
    }
    std::string tool(Arguments arguments)
    {
        arguments.insert(arguments.begin() + 1, {"-T", device.tpm().tools_tcti()});
        const auto finished = run(arguments);
        return finished.out + finished.err;
    }
    // All that a refused call has to leave as it was: the disk's bytes, the TPM's handles, its counter.
    std::string everything()
    {
        std::string all = run({"sh", "-c", "cd " + device.state_directory().string() + " && sha256sum * | sort"}).out;
        for (const auto* kind : {"persistent", "transient", "nv-index", "loaded-session", "saved-session"})
            all += tool({"tpm2_getcap", std::string("handles-") + kind});
        return all + tool({"tpm2_nvread", "0x0180494D"}) + state();
    }
    // Refused under this name, and nothing has changed.
    void expect_refused(const Arguments& arguments, const std::string& reason, const std::string& input = {})
    {
        const auto before = everything();
        EXPECT_EQ(reason_of(arguments, input), reason);
        EXPECT_EQ(everything(), before) << reason;
    }
};

TEST_F(Recovery, B17_FromTheArchiveAfterTheDiskWasLost)
{
    bring_up();
    const auto module = device.property("ModuleCertificate");
    lose_disk();
    ASSERT_EQ(recover(), "");
    EXPECT_EQ(state(), "s \"operating\"");
    EXPECT_EQ(device.property("ModuleCertificate"), module);
    EXPECT_EQ(device.property("Keys"), "as 1 \"manufacturer-channel\"");
}

TEST_F(Recovery, B17_FromAFileAndFromStandardInput)
{
    bring_up();
    const auto file = device.directory() / "device.record";
    ASSERT_EQ(ctl({"export-backup", file.string()}), "");
    const auto record = to_string(read_file(file, 1 << 20).value());
    lose_disk();
    ASSERT_EQ(ctl({"recover", file.string()}), "");
    EXPECT_EQ(state(), "s \"operating\"");
    lose_disk();
    ASSERT_EQ(ctl({"recover", "-"}, record), "");
    EXPECT_EQ(state(), "s \"operating\"");
}

TEST_F(Recovery, B17_ByATechnicianWithAStick)
{
    bring_up();
    ASSERT_EQ(enter_personalization(), "");
    ASSERT_EQ(personalize(), "");
    factory.wait_for_outbox();
    const auto directory = stick({"3", sequence()});
    lose_disk();
    ASSERT_EQ(ctl({"recover", directory.string()}), "") << "of two records the one of the present epoch";
    EXPECT_EQ(state(), "s \"operating\"");

    std::filesystem::remove(directory / "v1" / "records" / chip() / sequence());
    lose_disk();
    expect_refused({"recover", directory.string()}, "record-outdated");
    std::filesystem::remove_all(directory / "v1" / "records" / chip());
    std::filesystem::create_directories(directory / "v1" / "records" / chip());
    write_file(directory / "v1" / "records" / chip() / "newest", as_bytes(record_of(chip())), 0644);
    ASSERT_EQ(ctl({"recover", directory.string()}), "") << "fetched without knowing its number";
    lose_disk();
    std::filesystem::remove_all(directory / "v1" / "records" / chip());
    expect_refused({"recover", directory.string()}, "record-not-found");
}

TEST_F(Recovery, B17_FromTheFirstSourceThatLeadsOn)
{
    bring_up();
    const auto directory = stick({sequence()});
    const auto broken = device.directory() / "broken";
    write_file(broken, as_bytes("no record"), 0644);
    lose_disk();
    const auto finished =
        device.imprintctl({"recover", "http://127.0.0.1:1", "/nothing", broken.string(), directory.string()});
    ASSERT_EQ(finished.status, 0) << finished.err;
    for (const auto* reason : {"connection-refused", "invalid-argument", "record-invalid"})
        EXPECT_NE(finished.err.find(reason), std::string::npos) << finished.err;
    EXPECT_EQ(state(), "s \"operating\"");
    EXPECT_EQ(device.imprintctl({"recover", "https://127.0.0.1:1"}).status, 2);
}

TEST_F(Recovery, B17_Attack38_AfterTheDiskWasRolledBack)
{
    bring_up();
    device.kill();
    const TemporaryDirectory copy;
    std::filesystem::copy(device.state_directory(), copy / "state", std::filesystem::copy_options::recursive);
    device.start();
    ASSERT_EQ(enter_personalization(), "");
    ASSERT_EQ(personalize(), "");
    factory.wait_for_outbox();
    const auto old = record_of(chip() + "/3");
    device.kill();
    device.wipe_disk();
    std::filesystem::copy(copy / "state", device.state_directory(), std::filesystem::copy_options::recursive);
    device.start();
    EXPECT_EQ(state(), "s \"disk-rolled-back\"");
    expect_refused({"recover", "-"}, "record-outdated", old); // Attack45
    ASSERT_EQ(recover(), "");
    EXPECT_EQ(state(), "s \"operating\"");
}

TEST_F(Recovery, B17_AfterTpm2Clear)
{
    bring_up();
    const auto identity = device.property("IdentityCertificate");
    const auto storage_key = tool({"tpm2_readpublic", "-c", "0x8100494D"});
    ASSERT_EQ(enter_personalization(), "");
    ASSERT_EQ(personalize(), "");
    factory.wait_for_outbox();
    clear_tpm();
    EXPECT_EQ(state(), "s \"tpm-cleared\"");
    ASSERT_EQ(recover(), "");
    EXPECT_EQ(state(), "s \"recovered\"");
    EXPECT_EQ(device.property("Keys"), "as 1 \"manufacturer-channel\"");
    EXPECT_EQ(device.property("IdentityCertificate"), identity) << "the identity key is the same";
    EXPECT_EQ(tool({"tpm2_readpublic", "-c", "0x8100494D"}), storage_key);
    ASSERT_EQ(personalize(), "");
    EXPECT_EQ(device.property("DeviceIdentity"), "(ss) \"serial\" \"SN000001\"");
}

TEST_F(Recovery, B17_Attack45_AfterTpm2ClearSomebodyHasToSayWhichRecordIsTheNewest)
{
    bring_up();
    ASSERT_EQ(enter_personalization(), "");
    ASSERT_EQ(personalize(), "");
    factory.wait_for_outbox();
    const auto newest = sequence();
    const auto directory = stick({"3", newest});
    clear_tpm();
    expect_refused({"recover", directory.string()}, "newest-unproven");
    expect_refused({"recover", "-"}, "newest-unproven", record_of(chip() + "/3"));
    expect_refused({"recover", "--sequence", "3", "-"}, "record-outdated", record_of(chip() + "/" + newest));
    ASSERT_EQ(ctl({"recover", "--sequence", newest, directory.string()}), "");
    EXPECT_EQ(state(), "s \"recovered\"");
}

// The disk is lost as well, so that nothing but the TPM and the archive is left.
TEST_F(Recovery, B17_Attack38_AfterTpm2ClearWithABlankDisk)
{
    bring_up();
    device.kill();
    device.wipe_disk();
    device.tpm().clear();
    device.start();
    EXPECT_EQ(state(), "s \"blank\"");
    ASSERT_EQ(recover(), "");
    EXPECT_EQ(state(), "s \"recovered\"");
    ASSERT_EQ(personalize(), "");
    EXPECT_EQ(device.property("DeviceIdentity"), "(ss) \"serial\" \"SN000001\"");
}

TEST_F(Recovery, B17_Attack19_WhatIsNotTheRightRecordIsRefusedByName)
{
    DaemonProcess other({.chip = 1, .trust_bundle = factory.trust_bundle()});
    other.start();
    ASSERT_EQ(failure(other.imprintctl({"personalize", factory.station_address()})), "");
    const auto foreign = other.imprintctl({"export-backup", "-"}).out;
    bring_up();
    const auto good = record_of(chip());
    lose_disk();
    expect_refused({"recover", "-"}, "record-foreign", foreign);
    for (const std::size_t size : {std::size_t(1), good.size() / 2, good.size() - 1})
        expect_refused({"recover", "-"}, "record-invalid", good.substr(0, size));
    // The content of one record under the signatures of another one.
    std::string mixed = foreign;
    const auto at = mixed.size() / 2;
    mixed.replace(at, 100, good.substr(at, 100));
    expect_refused({"recover", "-"}, "signature-invalid", mixed);
    expect_refused({"recover", factory.archive_address() + "/nowhere"}, "record-not-found");
    ASSERT_EQ(ctl({"recover", "-"}, good), "");
    EXPECT_EQ(state(), "s \"operating\"");
}

TEST_F(Recovery, B17_Attack44_ARecordOfAnotherManufacturerIsNotTrusted)
{
    const Factory twin;
    DaemonProcess copy({.trust_bundle = twin.trust_bundle()}); // the same chip, in the hands of somebody else
    copy.start();
    ASSERT_EQ(failure(copy.imprintctl({"personalize", twin.station_address()})), "");
    const auto forged = copy.imprintctl({"export-backup", "-"}).out;
    bring_up();
    lose_disk();
    expect_refused({"recover", "-"}, "untrusted-certificate", forged);
}

TEST_F(Recovery, B17_B9_TheCheckProvesItAndLeavesNoTrace)
{
    bring_up();
    for (const bool operating : {true, false}) {
        if (!operating)
            lose_disk();
        const auto before = everything();
        const auto checked = device.imprintctl({"--json", "recover", "--check", factory.archive_address()});
        ASSERT_EQ(checked.status, 0) << checked.out;
        const auto report = nlohmann::json::parse(checked.out);
        EXPECT_EQ(report["chip-id"], chip());
        EXPECT_EQ(report["sequence"], 3);
        EXPECT_EQ(report["identity"], nlohmann::json({"serial", "SN000001"}));
        EXPECT_EQ(report["keys"], nlohmann::json({"manufacturer-channel"}));
        EXPECT_EQ(report["operating"], true);
        EXPECT_EQ(everything(), before);
    }
    const auto record = record_of(chip());
    const auto words = device.imprintctl({"recover", "--check", "-"}, record);
    EXPECT_EQ(words.status, 0) << words.err;
    EXPECT_NE(words.out.find("would bring the device back"), std::string::npos) << words.out;
    expect_refused({"recover", "--check", "-"}, "record-invalid", record.substr(1));

    device.kill();
    device.wipe_disk();
    device.tpm().clear();
    device.start();
    const auto before = everything();
    EXPECT_EQ(ctl({"recover", "--check", factory.archive_address()}), "");
    EXPECT_EQ(everything(), before) << "a cleared TPM stays as it is";
    EXPECT_EQ(state(), "s \"blank\"");
}

TEST_F(Recovery, B18_B25_TheStationKeepsTheProofOfIt)
{
    bring_up();
    const auto shown = factory.station_command({"record", "show", "--json", chip()});
    ASSERT_EQ(shown.status, 0) << shown.err;
    EXPECT_EQ(nlohmann::json::parse(shown.out)["proof"], true);
    const auto keys = (factory / "station-keys").string();
    const auto proof = factory.station_command({"record", "proof", "--directory", keys, "--json", chip(), "3"});
    ASSERT_EQ(proof.status, 0) << proof.err;
    const auto proven = nlohmann::json::parse(proof.out);
    EXPECT_EQ(proven["recoverable"], true);
    EXPECT_EQ(proven["keys"], nlohmann::json({"manufacturer-channel"}));
    EXPECT_NE(factory.station_command({"record", "proof", "--directory", keys, chip(), "5"}).status, 0);
    EXPECT_NE(factory.station_command({"record", "show", std::string(64, 'f')}).status, 0);
}

// The record is not there any more, or not yet: somebody who checks in time can still do something about it.
TEST_F(Recovery, B17_TheCheckTellsWhatIsMissing)
{
    device.start();
    factory.archive().signal(SIGKILL);
    ASSERT_EQ(personalize(), "");
    EXPECT_EQ(reason_of({"recover", "--check", factory.archive_address()}), "connection-refused");
    EXPECT_EQ(state(), "s \"operating\"");
}

} // namespace

} // namespace imprint::test
