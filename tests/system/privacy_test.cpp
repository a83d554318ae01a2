// SPDX-License-Identifier: Apache-2.0
// What two devices of one line have published, against what their TPMs and their D-Bus properties know.
#include "tests/system/fixture.h"

#include "daemon/base/file.h"
#include "daemon/pki/certificate.h"

#include <nlohmann/json.hpp>

#include <set>

namespace imprint::test {

namespace {

class Privacy : public WholeSystem {
protected:
    Privacy()
        : other({.chip = 1, .trust_bundle = factory.trust_bundle()})
    {
        device.start();
        other.start();
    }

    std::string record_of(const std::string& path) const
    {
        return run({"curl", "-sSf", factory.archive_address() + "/v1/records/" + path}).out;
    }
    static std::string chip_of(const DaemonProcess& box) { return box.property("ChipId").substr(3, 64); }
    // The chip storage key's public point: the last 64 bytes of its SubjectPublicKeyInfo.
    static std::string storage_point(DaemonProcess& box)
    {
        const auto file = box.directory() / "storage.der";
        run({"tpm2_readpublic", "-T", box.tpm().tools_tcti(), "-c", "0x8100494D", "-f", "der", "-o", file.string()});
        const auto der = to_string(read_file(file, 4096).value());
        return der.substr(der.size() - 64);
    }
    static void expect_private(DaemonProcess& box, const std::string& record)
    {
        const auto holds = [&](const std::string& part) { return record.find(part) != std::string::npos; };
        ASSERT_TRUE(holds(chip_of(box)));
        const auto point = storage_point(box);
        EXPECT_FALSE(holds(point.substr(0, 32))) << "the chip storage key's public part";
        EXPECT_FALSE(holds(point.substr(32)));
        EXPECT_FALSE(holds("\xffTCG")) << "an attestation";
        EXPECT_FALSE(holds("manufacturer-channel")) << "a label";
        const auto module = pki::certificates_from_pem(as_bytes(
            nlohmann::json::parse(box.imprintctl({"--json", "status"}).out)["ModuleCertificate"].get<std::string>()));
        ASSERT_EQ(module.size(), 1U);
        EXPECT_FALSE(holds(to_string(module.front().der())));
        EXPECT_FALSE(holds(to_string(module.front().spki())));
    }

    DaemonProcess other;
};

TEST_F(Privacy, Attack21_PublishedRecordsTellWhatTheFormatNamesAndNoMore)
{
    ASSERT_EQ(personalize(), "");
    ASSERT_EQ(failure(other.imprintctl({"personalize", factory.station_address()})), "");
    factory.wait_for_outbox();
    expect_private(device, record_of(chip_of(device)));
    expect_private(other, record_of(chip_of(other)));
}

// Certificates and structure apart, which are the same for all of a line.
TEST_F(Privacy, Attack21_TwoDevicesAndTwoPersonalizationsHaveNothingElseInCommon)
{
    ASSERT_EQ(personalize(), "");
    ASSERT_EQ(failure(other.imprintctl({"personalize", factory.station_address()})), "");
    ASSERT_EQ(enter_personalization(), "");
    ASSERT_EQ(personalize(), "");
    factory.wait_for_outbox();
    const std::vector<std::string> records{record_of(chip_of(device) + "/3"), record_of(chip_of(device) + "/5"),
                                           record_of(chip_of(other) + "/3")};
    constexpr std::size_t run = 8, content = 4096; // the smallest of the four sizes
    for (std::size_t one = 0; one < records.size(); ++one) {
        std::set<std::string> runs;
        for (std::size_t at = 0; at + run <= records[one].size(); ++at)
            runs.insert(records[one].substr(at, run));
        for (std::size_t two = one + 1; two < records.size(); ++two) {
            std::size_t alone = 0;
            for (std::size_t at = 0; at + run <= records[two].size(); ++at)
                alone += runs.contains(records[two].substr(at, run)) ? 0 : 1;
            EXPECT_GT(alone, content) << one << " and " << two << ": all of the encrypted content is its own";
        }
    }
}

} // namespace

} // namespace imprint::test
