// SPDX-License-Identifier: Apache-2.0
// Which revocation lists come into force.
#include "provisioning/central/lists_in_force.h"
#include "provisioning/central/revocation.h"
#include "tests/central/running_central.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace imprint::central {
namespace {

using test::DeviceClient;
using test::refusal_of;
using test::SoftwareModule;

class Lists : public testing::Test {
protected:
    pki::Crl list(const test::Certified& signer, std::uint64_t number,
                  const std::vector<const SoftwareModule*>& revoked) const
    {
        std::vector<pki::Revoked> entries;
        for (const auto* one : revoked)
            entries.push_back({one->module.certificate.serial(), test::at(2022)});
        return pki::issue_crl(signer.issuer(), number, entries, test::valid);
    }
    // The station's list, in the way the station writes it.
    void write(std::uint64_t number, const std::vector<const SoftwareModule*>& revoked) const
    {
        const auto& station = central.pki.station_signing;
        central.write_crl("crl.pem", list(station, number, revoked), {station.certificate});
    }
    void start() { central.start({"--crl", central.directory / "crl.pem"}); }
    bool let_in(const SoftwareModule& device) { return refusal_of(central.address, device.settings()).empty(); }

    test::RunningCentral central;
    SoftwareModule good{central.pki, "SN-1"}, bad{central.pki, "SN-2"}, worse{central.pki, "SN-3"};
};

TEST_F(Lists, Attack46_WhatAStationRevokesIsRefusedWithoutARestart)
{
    write(1, {});
    start();
    EXPECT_TRUE(let_in(good));
    EXPECT_TRUE(let_in(bad));
    DeviceClient waiting(central.address, bad.settings());
    ASSERT_EQ(waiting.handshake(), "");
    waiting.write("GET / HTTP/1.1\r\nHost: central\r\n\r\n");
    ASSERT_FALSE(waiting.read_some().empty());

    write(2, {&bad});
    EXPECT_TRUE(central.logged("number=2"));
    EXPECT_FALSE(let_in(bad));
    EXPECT_TRUE(let_in(good));
    EXPECT_TRUE(central.logged("reason=certificate-revoked"));
    EXPECT_ANY_THROW(waiting.read_some()) << "a connection of the moment ends, too";
}

TEST_F(Lists, Attack46_ARevokedDevicesTransactionKeyIsDead)
{
    write(1, {});
    const auto key = central.plant_key(bad);
    start();
    test::ClientSettings only_psk;
    only_psk.psks.push_back(test::psk_of(key));
    EXPECT_EQ(refusal_of(central.address, std::move(only_psk)), "");
    write(2, {&bad});
    EXPECT_TRUE(central.logged("number=2"));
    test::ClientSettings again;
    again.psks.push_back(test::psk_of(key));
    EXPECT_NE(refusal_of(central.address, std::move(again)), "");
    EXPECT_FALSE(let_in(bad));
}

TEST_F(Lists, Attack01_TheListInForceStaysWhateverComesOfItsFile)
{
    const auto file = central.directory / "crl.pem";
    write(5, {&bad});
    start();
    EXPECT_FALSE(let_in(bad));
    const test::TestPki foreign;
    const std::vector<std::pair<std::string, std::function<void()>>> changes{
        {"older", [&] { write(4, {}); }},
        {"the same number, other content", [&] { write(5, {}); }},
        {"broken", [&] { write_file(file, as_bytes("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")); }},
        {"empty", [&] { write_file(file, {}); }},
        {"by a stranger",
         [&] {
             central.write_crl("crl.pem", list(foreign.station_signing, 9, {}), {foreign.station_signing.certificate});
         }},
        {"by a stranger of the same name",
         [&] {
             central.write_crl("crl.pem", list(foreign.station_signing, 9, {}),
                               {central.pki.station_signing.certificate});
         }},
        {"by a key without the role",
         [&] {
             central.write_crl("crl.pem", list(central.pki.station_tls, 9, {}), {central.pki.station_tls.certificate});
         }},
        {"missing", [&] { std::filesystem::remove(file); }}};
    std::size_t refused = 0;
    for (const auto& [what, change] : changes) {
        change();
        EXPECT_TRUE(central.logged("the one before stays in force", ++refused)) << what << central.log();
        EXPECT_FALSE(let_in(bad)) << what;
        EXPECT_TRUE(let_in(good)) << what;
    }
    central.kill();
    start();
    EXPECT_FALSE(let_in(bad)) << "over a restart, without the file";
    write(6, {&bad, &worse});
    EXPECT_TRUE(central.logged("number=6"));
    EXPECT_FALSE(let_in(worse));
}

TEST_F(Lists, Attack01_ARevokedStationsModulesAreRefused)
{
    write(1, {});
    const auto manufacturers = central.directory / "root.pem";
    central.write_crl("root.pem", pki::issue_crl(central.pki.root.issuer(), 1, {}, test::valid), {});
    central.start({"--crl", central.directory / "crl.pem", "--crl", manufacturers});
    EXPECT_TRUE(let_in(good));
    central.write_crl("root.pem",
                      pki::issue_crl(central.pki.root.issuer(), 2,
                                     {{central.pki.station_signing.certificate.serial(), test::at(2022)}}, test::valid),
                      {});
    EXPECT_TRUE(central.logged("number=2"));
    EXPECT_FALSE(let_in(good));
    write(9, {});
    EXPECT_TRUE(central.logged("the one before stays in force")) << "it may revoke nothing any more, either";
}

TEST_F(Lists, TwoStationsHaveAListEach)
{
    const auto second = central.pki.ca(pki::Role::station_signing, "Station 2");
    const SoftwareModule other(central.pki, "SN-4", 3, test::valid, &second);
    write(7, {&bad});
    central.write_crl("two.pem", list(second, 1, {&other}), {second.certificate});
    central.start({"--crl", central.directory / "crl.pem", "--crl", central.directory / "two.pem"});
    EXPECT_FALSE(let_in(bad));
    EXPECT_FALSE(let_in(other));
    EXPECT_TRUE(let_in(good));
}

TEST_F(Lists, AFileFromWhichThereNeverWasAListStopsTheStart)
{
    EXPECT_FALSE(central.try_start({"--crl", central.directory / "crl.pem"}));
    EXPECT_TRUE(central.logged("no revocation list was ever read"));
    write(1, {});
    start();
    EXPECT_TRUE(let_in(good));
}

} // namespace
} // namespace imprint::central
