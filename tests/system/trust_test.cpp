// SPDX-License-Identifier: Apache-2.0
// The manufacturer's trust with the real programs: the central system's keys, and a station that is stolen.
#include "tests/system/fixture.h"
#include "tests/system/mobile.h"

#include "daemon/pki/verify.h"

namespace imprint::test {

namespace {

pki::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

pki::Certificate certificate_of(const DaemonProcess& device, const std::string& property)
{
    const auto json = device.run({"busctl", "--system", "--json=short", "get-property", "org.imprint.Device1",
                                  "/org/imprint/Device1", "org.imprint.Device1", property});
    auto pem = json.out.substr(json.out.find("-----BEGIN"));
    for (auto at = pem.find("\\n"); at != std::string::npos; at = pem.find("\\n", at))
        pem.replace(at, 2, "\n");
    return pki::certificates_from_pem(as_bytes(pem)).at(0);
}

void expect_refused(const Finished& finished, const std::string& reason, const std::string& what)
{
    EXPECT_NE(finished.status, 0) << what;
    EXPECT_NE((finished.out + finished.err).find(reason), std::string::npos) << what << ": " << finished.err;
}

class CentralTrust : public testing::Test {
protected:
    Finished central_add(const Arguments& more) const
    {
        Arguments arguments{"central", "add", "--certificate", (factory / "central-keys/tls.pem").string()};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return factory.station_command(arguments);
    }
    Factory factory;
    DaemonProcess device{{.trust_bundle = factory.trust_bundle(),
                          .configuration = "[Device]\nRequireCentral=yes\nRequireCrossCertificate=yes\n"}};
};

TEST_F(CentralTrust, A25_A26_A27_NoSwitchBeforeStationAndCentralHaveCertifiedEachOther)
{
    device.start();
    const auto personalize = [&] { return device.imprintctl({"personalize", factory.station_address()}); };
    expect_refused(personalize(), "central-not-certified", "no key of the central system");
    ASSERT_EQ(central_add({}).status, 0);
    expect_refused(personalize(), "cross-certificate-missing", "the central system has not certified the station");
    EXPECT_EQ(device.property("State"), "s \"personalization\"");

    const auto certify = [&](const std::filesystem::path& station) {
        return factory.central_command(
            {"certify-station", "--directory", (factory / "central-keys").string(), station});
    };
    expect_refused(certify(factory / "archive-keys/tls.pem"), "wrong-role", "an archive is no station");
    const auto cross = certify(factory / "station-keys/signing.pem");
    ASSERT_EQ(cross.status, 0) << cross.err;
    write_file(factory / "cross.pem", as_bytes(cross.out));
    ASSERT_EQ(central_add({"--cross-certificate", (factory / "cross.pem").string()}).status, 0);
    const auto done = personalize();
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(device.property("State"), "s \"operating\"");

    const auto before = device.property("CentralSet");
    const auto update = device.directory() / "update";
    const auto exported = factory.station_command(
        {"central", "export", "--output", update, "--directory", (factory / "station-keys").string()});
    ASSERT_EQ(exported.status, 0) << exported.err;
    EXPECT_EQ(device.imprintctl({"update-central", update}).status, 0);
    EXPECT_NE(device.property("CentralSet"), before);
    EXPECT_NE(device.property("CentralSet"), "t 0");
    EXPECT_EQ(device.imprintctl({"update-central", update}).status, 0) << "once more";
}

class StolenStation : public WholeSystem {
protected:
    StolenStation()
    {
        write_file(old_bundle, read_file(factory.trust_bundle(), 1 << 20).value());
        stolen.serve(thief);
        device.start();
        other.start();
        for (auto* one : {&device, &other})
            EXPECT_EQ(failure(one->imprintctl({"personalize", thief})), "");
    }

    std::filesystem::path keys(const std::string& file) const { return factory / "stolen-keys" / file; }
    Finished authority(const Arguments& arguments) const
    {
        Arguments all{IMPRINT_TEST_AUTHORITY, "--directory", (factory / "authority").string()};
        all.insert(all.end(), arguments.begin(), arguments.end());
        return run(all);
    }
    // Everybody but `other` gets the new bundle. The thief does not want it.
    void revoke()
    {
        const auto revoked = authority({"revoke", keys("signing.pem"), keys("tls.pem"), keys("identity-ca.pem")});
        ASSERT_EQ(revoked.status, 0) << revoked.err;
        const auto bundle = authority({"trust-bundle"}).out;
        for (const auto& file : {"trust.pem", "station-keys/trust.pem", "central-keys/trust.pem"})
            write_file(factory / file, as_bytes(bundle), 0644);
        factory.remember(); // starts archive and station anew
        EXPECT_EQ(device.stop(), 0);
        device.start();
    }
    // What the central system says to a device that it lets in; empty: nothing.
    std::string ask_central(const DaemonProcess& from) const
    {
        return from.imprintctl({"connect", "--central", factory.central_address()}, "GET / HTTP/1.0\r\n\r\n").out;
    }
    bool is_in_archive(const std::string& chip_identifier) const
    {
        return run({"curl", "-sSf", factory.archive_address() + "/v1/records/" + chip_identifier}).status == 0;
    }

    const std::filesystem::path old_bundle = factory / "old.pem";
    Mobile stolen{factory, "stolen", "ST"};
    const std::string thief = "unix:" + (factory / "stolen.socket").string();
    DaemonProcess other{{.chip = 1, .trust_bundle = old_bundle}};
};

TEST_F(StolenStation, A28_NothingThatTheThiefMakesIsAcceptedByAnyone)
{
    revoke();
    EXPECT_EQ(state(), "s \"operating\"") << "what was personalized there goes on operating";

    // Central sets.
    ASSERT_EQ(stolen.command({"central", "add", "--certificate", (factory / "central-keys/tls.pem").string()}).status,
              0);
    const auto set = factory / "set";
    ASSERT_EQ(stolen.command({"central", "export", "--output", set, "--directory", keys("")}).status, 0);
    expect_refused(device.imprintctl({"update-central", set}), "certificate-revoked", "a central set");

    // Personalizations.
    ASSERT_EQ(enter_personalization(), "");
    expect_refused(device.imprintctl({"personalize", thief}), "certificate-revoked", "a personalization");
    EXPECT_EQ(state(), "s \"personalization\"");

    // A device without the new bundle still falls for it; what comes of that is of no use.
    ASSERT_EQ(failure(other.imprintctl({"enter-personalization"})), "");
    ASSERT_EQ(failure(other.imprintctl({"personalize", thief})), "");
    const auto trust = pki::trust_from_pem(read_file(factory.trust_bundle(), 1 << 20).value());
    const auto issuers = pki::certificates_from_pem(read_file(keys("signing.pem"), 1 << 20).value());
    const auto module =
        pki::verify(certificate_of(other, "ModuleCertificate"), issuers, trust, pki::Role::module, now());
    ASSERT_FALSE(module);
    EXPECT_EQ(module.refusal().reason, Reason::certificate_revoked);
    factory.start_central();
    EXPECT_EQ(ask_central(other), "") << "the central system";
    ASSERT_EQ(failure(other.imprintctl({"enter-personalization"})), "");
    expect_refused(other.imprintctl({"personalize", factory.station_address()}), "certificate-revoked",
                   "an identity certificate at another station");

    // Records and synchronization.
    EXPECT_NE(stolen.sync({"--archive", factory.archive_tls_address()}).status, 0);
    EXPECT_NE(stolen.sync({"--to", factory.operations_address()}).status, 0);
    EXPECT_FALSE(is_in_archive(chip()));
    EXPECT_EQ(factory.station_command({"chip", "list"}).out, "");
}

TEST_F(StolenStation, B2_ItsDevicesComeBackElsewhereWithTheirOldIdentity)
{
    EXPECT_EQ(device.property("DeviceIdentity"), "(ss) \"serial\" \"ST000001\"");
    const auto stolen_certificate = certificate_of(device, "IdentityCertificate");
    revoke();
    ASSERT_EQ(enter_personalization(), "");
    write_file(factory / "identities.csv", as_bytes(chip() + ",ST000001\n"));
    const auto imported = factory.station_command({"identity", "import", (factory / "identities.csv").string()});
    ASSERT_EQ(imported.status, 0) << imported.err;
    ASSERT_EQ(factory.station_command({"central", "add", "--certificate", factory / "central-keys/tls.pem"}).status, 0);
    ASSERT_EQ(personalize(), "");
    EXPECT_EQ(state(), "s \"operating\"");
    EXPECT_EQ(device.property("DeviceIdentity"), "(ss) \"serial\" \"ST000001\"");
    factory.start_central();
    EXPECT_NE(ask_central(device).find("ST000001"), std::string::npos);
    EXPECT_NE(certificate_of(device, "IdentityCertificate"), stolen_certificate);
    EXPECT_EQ(certificate_of(device, "IdentityCertificate").spki(), stolen_certificate.spki());
    factory.wait_for_outbox();
    EXPECT_TRUE(is_in_archive(chip()));
    EXPECT_EQ(factory.archive_command({"verify"}).status, 0);

    ASSERT_EQ(enter_personalization(), "");
    ASSERT_EQ(personalize(), "") << "from now on by its new certificate, without activation";
}

} // namespace

} // namespace imprint::test
