// SPDX-License-Identifier: Apache-2.0
// The real program, checked with stock tools and with what stations and devices check.
#include "daemon/base/file.h"
#include "daemon/pki/issue.h"
#include "daemon/pki/key.h"
#include "daemon/pki/verify.h"
#include "tests/support/process.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <fstream>
#include <set>

namespace imprint {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using pki::Role;

class Authority : public testing::Test {
protected:
    test::Finished authority(const test::Arguments& arguments, const test::Environment& environment = {}) const
    {
        test::Arguments all{IMPRINT_AUTHORITY, "--directory", ca.string()};
        all.insert(all.end(), arguments.begin(), arguments.end());
        return test::run(all, {}, environment);
    }
    void must(const test::Arguments& arguments, const test::Environment& environment = {}) const
    {
        const auto finished = authority(arguments, environment);
        ASSERT_EQ(finished.status, 0) << finished.out << finished.err;
    }
    void init() const { must({"init", "--name", "Example Manufacturer"}); }
    fs::path credential(const std::string& content) const
    {
        fs::create_directory(directory / "credentials");
        std::ofstream(directory / "credentials" / "secret") << content;
        return directory / "credentials";
    }
    pki::Trust trust() const { return pki::trust_from_pem(to_bytes(authority({"trust-bundle"}).out)); }

    test::TemporaryDirectory directory;
    fs::path ca = directory / "ca";
};

std::set<std::string> names(const fs::path& directory)
{
    std::set<std::string> out;
    for (const auto& entry : fs::directory_iterator(directory))
        out.insert(entry.path().filename().string());
    return out;
}

mode_t mode_of(const fs::path& path)
{
    struct stat info { };
    EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777;
}

pki::Certificates certificates(const fs::path& path) { return pki::certificates_from_pem(*read_file(path, 1 << 20)); }

pki::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

TEST_F(Authority, A28_B2_CertifiesAStationThatDevicesAccept)
{
    init();
    must({"station", "Linie-Süd", "--host", "station.example", "--host", "127.0.0.1", "--delegate-identity-ca"});
    const auto station = ca / "stations" / "Linie-Süd";
    EXPECT_EQ(names(station),
              (std::set<std::string>{"signing.key", "signing.pem", "tls.key", "tls.pem", "identity-ca.key",
                                     "identity-ca.pem", "trust.pem"}));
    const auto trusted = pki::trust_from_pem(*read_file(station / "trust.pem", 1 << 20));
    EXPECT_EQ(trusted.anchors.size(), 1U);
    EXPECT_EQ(trusted.intermediates, certificates(ca / "identity-ca.pem"));
    for (const auto& [name, role] : {std::pair("signing", Role::station_signing), std::pair("tls", Role::station_tls),
                                     std::pair("identity-ca", Role::identity_ca)}) {
        const auto chain = certificates(station / (std::string(name) + ".pem"));
        ASSERT_EQ(chain.size(), 1U) << "the root is not part of it";
        const auto verified = pki::verify(chain.front(), {}, trusted, role, now());
        EXPECT_TRUE(verified) << name << ": " << verified.refusal().detail;
        const auto key = pki::load_key((station / (std::string(name) + ".key")).string(), std::nullopt);
        EXPECT_EQ(pki::spki(key.get()), chain.front().spki());
    }
    EXPECT_EQ(certificates(station / "signing.pem").front().common_name(), "Linie-Süd");
}

TEST_F(Authority, A28_StockToolsAcceptTheChains)
{
    init();
    must({"station", "line-1", "--host", "station.example", "--host", "::1"});
    must({"archive", "archive-1", "--host", "archive.example"});
    const auto root = (ca / "checking-ca.pem").string();
    const auto verify = [&](const std::string& purpose, const fs::path& file, const test::Arguments& more = {}) {
        test::Arguments all{"openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", root};
        all.insert(all.end(), more.begin(), more.end());
        all.push_back(file.string());
        const auto finished = test::run(all);
        return finished.status == 0 ? std::string() : finished.out + finished.err;
    };
    EXPECT_EQ(verify("sslserver", ca / "stations/line-1/tls.pem", {"-verify_hostname", "station.example"}), "");
    EXPECT_EQ(verify("sslserver", ca / "stations/line-1/tls.pem", {"-verify_ip", "::1"}), "");
    EXPECT_EQ(verify("sslclient", ca / "stations/line-1/tls.pem"), "");
    EXPECT_EQ(verify("sslserver", ca / "archives/archive-1/tls.pem", {"-verify_hostname", "archive.example"}), "");
    EXPECT_NE(verify("sslclient", ca / "archives/archive-1/tls.pem"), "");
    EXPECT_NE(verify("sslserver", ca / "archives/archive-1/tls.pem", {"-verify_hostname", "other.example"}), "");
    EXPECT_EQ(verify("any", ca / "stations/line-1/signing.pem"), "");

    const auto shown = test::run({"openssl", "x509", "-in", root, "-noout", "-text"});
    EXPECT_NE(shown.out.find("NIST CURVE: P-384"), std::string::npos) << shown.out;
}

TEST_F(Authority, A42_A25_CertifiesACentralSystemThatDevicesAccept)
{
    init();
    must({"central", "central-1", "--host", "central.example", "--host", "127.0.0.1"});
    const auto central = ca / "centrals" / "central-1";
    EXPECT_EQ(names(central), (std::set<std::string>{"tls.key", "tls.pem", "trust.pem"}));
    const auto certificate = certificates(central / "tls.pem").front();
    EXPECT_TRUE(pki::verify(certificate, {}, trust(), Role::central, now()));
    for (const auto role : {Role::station_tls, Role::archive, Role::station_operator, Role::station_signing})
        EXPECT_FALSE(pki::verify(certificate, {}, trust(), role, now()));
    const auto key = pki::load_key((central / "tls.key").string(), std::nullopt);
    EXPECT_EQ(pki::spki(key.get()), certificate.spki());
    const auto verified = test::run({"openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname",
                                     "central.example", "-CAfile", ca / "checking-ca.pem", central / "tls.pem"});
    EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
    EXPECT_NE(authority({"central", "central-2"}).status, 0) << "a server without a name";
    EXPECT_FALSE(fs::exists(ca / "centrals" / "central-2"));
}

TEST_F(Authority, A39_CertifiesAnOperatorWhoIsNoServer)
{
    init();
    must({"operator", "courier-1"});
    const auto file = ca / "operators" / "courier-1" / "tls.pem";
    const auto certificate = certificates(file).front();
    EXPECT_EQ(certificate.common_name(), "courier-1");
    EXPECT_TRUE(pki::verify(certificate, {}, trust(), Role::station_operator, now()));
    for (const auto role : {Role::station_tls, Role::archive, Role::central, Role::module})
        EXPECT_FALSE(pki::verify(certificate, {}, trust(), role, now()));
    const auto verify = [&](const char* purpose) {
        return test::run({"openssl", "verify", "-purpose", purpose, "-CAfile", ca / "checking-ca.pem", file}).status;
    };
    EXPECT_EQ(verify("sslclient"), 0);
    EXPECT_NE(verify("sslserver"), 0);
    EXPECT_EQ(authority({"operator", "courier-2", "--host", "h"}).status, 2) << "a client has no host";
}

TEST_F(Authority, B1_CertifiesAMirrorThatIsNothingElse)
{
    init();
    must({"mirror", "mirror-1"});
    const auto directory_of_it = ca / "mirrors" / "mirror-1";
    EXPECT_EQ(names(directory_of_it), (std::set<std::string>{"tls.key", "tls.pem", "trust.pem"}));
    const auto certificate = certificates(directory_of_it / "tls.pem").front();
    EXPECT_TRUE(pki::verify(certificate, {}, trust(), Role::mirror, now()));
    for (const auto role : {Role::station_tls, Role::archive, Role::central, Role::station_operator})
        EXPECT_FALSE(pki::verify(certificate, {}, trust(), role, now()));
    EXPECT_NE(authority({"show", "--json"}).out.find("\"mirror\""), std::string::npos);
}

TEST_F(Authority, GivesTheIdentityCaOnlyWhenAsked)
{
    init();
    must({"station", "line-1", "--host", "s"});
    EXPECT_EQ(names(ca / "stations/line-1"),
              (std::set<std::string>{"signing.key", "signing.pem", "tls.key", "tls.pem", "trust.pem"}));
    must({"archive", "archive-1", "--host", "a", "--output", (directory / "elsewhere").string()});
    EXPECT_EQ(names(directory / "elsewhere"), (std::set<std::string>{"tls.key", "tls.pem", "trust.pem"}));
}

TEST_F(Authority, A28_DelegatesAnIdentityCaOfTheStationsOwn)
{
    init();
    must({"station", "line-1", "--host", "s", "--delegate-identity-ca", "--days", "30", "--identities",
          "serial:SN0100..SN0199", "--identities", "serial:A1..A9"});
    const auto station = ca / "stations/line-1";
    const auto own = certificates(station / "identity-ca.pem").front();
    EXPECT_NE(own.spki(), certificates(ca / "identity-ca.pem").front().spki());
    EXPECT_EQ(own.not_after(), certificates(ca / "checking-ca.pem").front().not_after())
        << "the identities outlive the station's other certificates";
    EXPECT_LT(certificates(station / "signing.pem").front().not_after(), now() + std::chrono::days(31));
    for (const auto& file : {"identity-ca.pem", "signing.pem"}) {
        const auto issuer = certificates(station / file).front();
        EXPECT_TRUE(pki::check_scope(issuer, {"serial", "SN0150"})) << file;
        EXPECT_FALSE(pki::check_scope(issuer, {"serial", "SN0200"})) << file;
    }
    const auto made = test::run({"openssl", "pkey", "-in", (station / "identity-ca.key").string(), "-pubout", "-out",
                                 (directory / "pub.pem").string()});
    ASSERT_EQ(made.status, 0) << made.err;
    must({"station", "line-2", "--host", "s", "--identity-ca-public-key", (directory / "pub.pem").string()});
    EXPECT_EQ(certificates(ca / "stations/line-2/identity-ca.pem").front().spki(), own.spki());
    EXPECT_FALSE(fs::exists(ca / "stations/line-2/identity-ca.key"));
    EXPECT_EQ(authority({"station", "line-3", "--host", "s", "--identities", "serial:SN1..SN22"}).status, 2);
    EXPECT_FALSE(fs::exists(ca / "stations/line-3"));
}

TEST_F(Authority, Attack46_RevokesOnceAndForEver)
{
    init();
    must({"station", "line-1", "--host", "s", "--delegate-identity-ca"});
    must({"station", "line-2", "--host", "s"});
    const auto file = [&](const std::string& name) { return (ca / "stations" / (name + ".pem")).string(); };
    const auto revoked = [&](const std::string& name, Role role) {
        const auto chain = pki::verify(certificates(file(name)).front(), {}, trust(), role, now());
        return !chain && chain.refusal().reason == Reason::certificate_revoked;
    };
    EXPECT_TRUE(trust().crls.empty());
    const auto first = authority({"--json", "revoke", file("line-1/signing"), file("line-1/tls")});
    ASSERT_EQ(first.status, 0) << first.err;
    EXPECT_EQ(Json::parse(first.out)["revoked"].size(), 2U);
    const auto again = authority({"--json", "revoke", file("line-1/tls"), file("line-1/identity-ca")});
    EXPECT_EQ(Json::parse(again.out)["revoked"].size(), 1U) << "the others were revoked before";
    EXPECT_EQ(pki::number_of(trust().crls.front()), 2U);
    EXPECT_TRUE(revoked("line-1/signing", Role::station_signing));
    EXPECT_TRUE(revoked("line-1/tls", Role::station_tls));
    EXPECT_TRUE(revoked("line-1/identity-ca", Role::identity_ca));
    EXPECT_FALSE(revoked("line-2/signing", Role::station_signing));
    EXPECT_EQ(authority({"revoke", file("line-2/signing"), (ca / "checking-ca.pem").string()}).status, 2);
    EXPECT_FALSE(revoked("line-2/signing", Role::station_signing)) << "all or nothing";

    write_file(directory / "bundle.pem", as_bytes(authority({"trust-bundle"}).out));
    const auto stock = [&](const std::string& name) {
        return test::run({"openssl", "verify", "-crl_check", "-purpose", "any", "-CAfile",
                          (directory / "bundle.pem").string(), "-CRLfile", (ca / "checking-ca.crl").string(),
                          file(name)})
            .status;
    };
    EXPECT_EQ(stock("line-2/signing"), 0);
    EXPECT_NE(stock("line-1/signing"), 0);
}

TEST_F(Authority, PrivateKeysArePrivate)
{
    init();
    must({"station", "line-1", "--host", "s", "--delegate-identity-ca"});
    for (const auto& entry : fs::recursive_directory_iterator(ca)) {
        const auto kind = entry.path().extension();
        if (kind == ".key" || kind == ".pem") {
            EXPECT_EQ(mode_of(entry.path()), kind == ".key" ? 0600U : 0644U) << entry.path();
        }
    }
    EXPECT_EQ(mode_of(ca), 0700U);
    EXPECT_EQ(mode_of(ca / "stations/line-1"), 0700U);
}

TEST_F(Authority, NeverOverwrites)
{
    init();
    must({"station", "line-1", "--host", "s"});
    const auto root = read_file(ca / "checking-ca.pem", 1 << 20);
    const auto signing = read_file(ca / "stations/line-1/signing.pem", 1 << 20);
    for (int attempt = 0; attempt < 2; ++attempt) {
        EXPECT_EQ(authority({"init", "--name", "Other"}).status, 2);
        EXPECT_EQ(authority({"station", "line-1", "--host", "s"}).status, 2);
    }
    EXPECT_EQ(read_file(ca / "checking-ca.pem", 1 << 20), root);
    EXPECT_EQ(read_file(ca / "stations/line-1/signing.pem", 1 << 20), signing);
    EXPECT_EQ(names(directory.path()), std::set<std::string>{"ca"});
    EXPECT_EQ(names(ca / "stations"), std::set<std::string>{"line-1"});
}

TEST_F(Authority, LeavesNothingBehindWhenItFails)
{
    EXPECT_EQ(authority({"init", "--name", std::string(80, 'x')}).status, 2);
    EXPECT_EQ(authority({"init", "--name", ""}).status, 2);
    EXPECT_TRUE(names(directory.path()).empty());
    init();
    EXPECT_EQ(authority({"station", "line-1", "--host", "not a host"}).status, 2);
    EXPECT_EQ(authority({"station", "../line-1", "--host", "s"}).status, 2);
    EXPECT_EQ(authority({"station", "line-1", "--host", "s", "--days", "0"}).status, 2);
    EXPECT_EQ(authority({"station", "line-1", "--host", "s", "--tls-public-key", "/nonexistent"}).status, 2);
    EXPECT_TRUE(!fs::exists(ca / "stations") || names(ca / "stations").empty());
}

TEST_F(Authority, TakesAnEmptyDirectory)
{
    fs::create_directory(ca);
    init();
    EXPECT_EQ(names(ca),
              (std::set<std::string>{"checking-ca.key", "checking-ca.pem", "identity-ca.key", "identity-ca.pem"}));
}

TEST_F(Authority, EncryptsKeysWithAPassphraseFromACredential)
{
    const test::Environment environment{{"CREDENTIALS_DIRECTORY", credential("correct horse\n").string()}};
    must({"--passphrase", "credential:secret", "init", "--name", "Example"}, environment);
    const auto pem = to_string(*read_file(ca / "checking-ca.key", 1 << 20));
    EXPECT_TRUE(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----")) << pem;

    const auto refused = authority({"station", "line-1", "--host", "s"});
    EXPECT_EQ(refused.status, 2) << "and it does not ask on a terminal";
    must({"--passphrase", "credential:secret", "station", "line-1", "--host", "s", "--delegate-identity-ca",
          "--output-passphrase", "credential:secret"},
         environment);
    for (const auto* name : {"signing.key", "tls.key", "identity-ca.key"}) {
        const auto key = (ca / "stations/line-1" / name).string();
        EXPECT_THROW(pki::load_key(key, std::nullopt), Error) << name;
        EXPECT_THROW(pki::load_key(key, Secret(as_bytes("wrong horse"))), Error) << name;
        EXPECT_NE(pki::load_key(key, Secret(as_bytes("correct horse"))), nullptr) << name;
        const auto read = test::run({"openssl", "pkey", "-in", key, "-passin", "stdin", "-noout"}, "correct horse\n");
        EXPECT_EQ(read.status, 0) << read.err;
    }
}

TEST_F(Authority, TakesAPassphraseFromADescriptorAndNowhereElse)
{
    const auto finished =
        test::run({IMPRINT_AUTHORITY, "--directory", ca.string(), "--passphrase", "fd:0", "init", "--name", "Example"},
                  "correct horse\nnot this line\n");
    ASSERT_EQ(finished.status, 0) << finished.err;
    EXPECT_NE(pki::load_key((ca / "checking-ca.key").string(), Secret(as_bytes("correct horse"))), nullptr);
    for (const auto* source : {"correct horse", "env:SECRET", "fd:", "fd:-1", "fd:1x", "fd:999",
                               "credential:", "credential:../secret", "credential:none"})
        EXPECT_NE(authority({"--passphrase", source, "show"}).status, 0) << source;
}

TEST_F(Authority, CertifiesKeysThatStayWhereTheyWereMade)
{
    init();
    const auto path = [&](const char* name) { return (directory / name).string(); };
    pki::store_key(path("signing.key"), pki::generate_key("P-256").get(), std::nullopt);
    pki::store_key(path("tls.key"), pki::generate_key("P-384").get(), std::nullopt);
    ASSERT_EQ(test::run({"openssl", "pkey", "-in", path("signing.key"), "-pubout", "-out", path("signing.pub")}).status,
              0);
    ASSERT_EQ(
        test::run({"openssl", "req", "-new", "-key", path("tls.key"), "-subj", "/CN=ignored", "-out", path("tls.csr")})
            .status,
        0);
    ASSERT_EQ(test::run({"openssl", "genpkey", "-algorithm", "RSA", "-out", path("rsa.key")}).status, 0);
    ASSERT_EQ(test::run({"openssl", "pkey", "-in", path("rsa.key"), "-pubout", "-out", path("rsa.pub")}).status, 0);
    EXPECT_EQ(authority({"station", "line-1", "--host", "s", "--signing-public-key", path("rsa.pub")}).status, 2);
    must({"station", "line-1", "--host", "s", "--signing-public-key", path("signing.pub"), "--tls-public-key",
          path("tls.csr")});
    EXPECT_EQ(names(ca / "stations/line-1"), (std::set<std::string>{"signing.pem", "tls.pem", "trust.pem"}));
    const auto spki = [&](const char* name) { return pki::spki(pki::load_key(path(name), std::nullopt).get()); };
    EXPECT_EQ(certificates(ca / "stations/line-1/signing.pem").front().spki(), spki("signing.key"));
    EXPECT_EQ(certificates(ca / "stations/line-1/tls.pem").front().spki(), spki("tls.key"));
    EXPECT_EQ(certificates(ca / "stations/line-1/tls.pem").front().common_name(), "line-1");
}

TEST_F(Authority, UsesKeysAtOtherPlaces)
{
    const auto key = (directory / "hsm.key").string();
    pki::store_key(key, pki::generate_key("P-384").get(), std::nullopt);
    must({"--checking-key", "file:" + key, "init", "--name", "Example"});
    EXPECT_FALSE(fs::exists(ca / "checking-ca.key"));
    EXPECT_EQ(authority({"archive", "a", "--host", "a"}).status, 2);
    must({"--checking-key", "file:" + key, "archive", "a", "--host", "a"});
    EXPECT_TRUE(pki::verify(certificates(ca / "archives/a/tls.pem").front(), {}, trust(), Role::archive, now()));
    EXPECT_EQ(authority({"--checking-key", (ca / "identity-ca.key").string(), "archive", "b", "--host", "b"}).status, 1)
        << "another key than the certificate's";
}

TEST_F(Authority, ShowsWhatItMadeAsJson)
{
    init();
    must({"station", "line-1", "--host", "s", "--days", "30"});
    must({"archive", "archive-1", "--host", "a"});
    const auto shown = authority({"--json", "show"});
    ASSERT_EQ(shown.status, 0) << shown.err;
    const auto all = Json::parse(shown.out)["certificates"];
    std::vector<std::string> roles;
    for (const auto& one : all)
        roles.push_back(one["role"]);
    EXPECT_EQ(roles,
              (std::vector<std::string>{"checking-ca", "identity-ca", "station-signing", "station-tls", "archive"}));
    EXPECT_EQ(all[2]["name"], "line-1");
    EXPECT_EQ(all[2]["serial"], certificates(ca / "stations/line-1/signing.pem").front().serial());
    EXPECT_LT(all[2]["not_after"].get<std::string>(), all[4]["not_after"].get<std::string>());

    const auto failed = authority({"--json", "init", "--name", "x"});
    EXPECT_EQ(failed.status, 2);
    EXPECT_EQ(Json::parse(failed.out)["error"]["reason"], "invalid-argument");
    EXPECT_EQ(test::run({IMPRINT_AUTHORITY, "--directory", (directory / "none").string(), "show"}).status, 2);
    EXPECT_EQ(test::run({IMPRINT_AUTHORITY}).status, 2);
    EXPECT_EQ(test::run({IMPRINT_AUTHORITY, "--help"}).status, 0);
}

TEST_F(Authority, NothingOutlivesTheCheckingKey)
{
    must({"init", "--name", "Example", "--days", "10"});
    must({"station", "line-1", "--host", "s", "--days", "100"});
    EXPECT_EQ(certificates(ca / "stations/line-1/signing.pem").front().not_after(),
              certificates(ca / "checking-ca.pem").front().not_after());
}

} // namespace
} // namespace imprint
