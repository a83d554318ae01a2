// SPDX-License-Identifier: Apache-2.0
// Mirrors over the network: who may make one, what is kept of what comes over the wire, and what a wire may not do.
#include "provisioning/server/database.h"
#include "tests/archive/mirroring.h"

#include <csignal>

namespace imprint::archive {
namespace {

namespace fs = std::filesystem;
using test::path_of;
using test::SoftwareDevice;

class HttpsMirror : public test::Mirroring {
protected:
    // The command without the archive's database.
    test::Arguments over(const std::string& to, const test::Certified& client, const std::string& from) const
    {
        const std::string files = archive.write_client(client);
        return {IMPRINT_ARCHIVE,
                "--trust",
                archive.directory / "trust.pem",
                "mirror",
                "--json",
                "--jobs",
                "2",
                "--from",
                "https://" + from,
                "--certificate",
                files + ".pem",
                "--key",
                files + ".key",
                to};
    }
    test::Finished run_over(const std::string& to, const test::Certified& client) const
    {
        return test::run(over(to, client, archive.https));
    }
    Told mirror_over(const std::string& to) const
    {
        const auto finished = run_over(to, certified);
        EXPECT_EQ(finished.err, "");
        return {finished.status, nlohmann::json::parse(finished.out)};
    }
    test::Response get_as(test::Client client, const std::string& path) const
    {
        return archive.get_known(path, client);
    }

    test::Certified certified = archive.pki.mirror("Mirror 1");
};

// As the units have it, which name the key and the target besides.
TEST_F(HttpsMirror, B1_AConfigurationIsForTheMirrorAndItsProof)
{
    const std::string files = archive.write_client(certified), config = archive.directory / "line.conf";
    write_file(config,
               as_bytes("trust = \"" + (archive.directory / "trust.pem").string() + "\"\n[mirror]\nfrom = \"https://" +
                        archive.https + "\"\ncertificate = \"" + files + ".pem\"\n[verify]\ndirectory = \"" +
                        target.string() + "\"\n"));
    const auto with = [&](test::Arguments arguments) {
        arguments.insert(arguments.begin(), {IMPRINT_ARCHIVE, "--config", config});
        return test::run(arguments);
    };
    const auto made = with({"mirror", "--key", files + ".key", target.string()});
    EXPECT_EQ(made.status, 0) << made.err;
    const auto proved = with({"verify"});
    EXPECT_EQ(proved.status, 0) << proved.err;
    EXPECT_NE(proved.out.find("5 records, 1 replacements, 0 faulty"), std::string::npos) << proved.out;
    fs::remove(file(device, "3"));
    EXPECT_EQ(with({"verify"}).status, 3);
}

TEST_F(HttpsMirror, B1_ADirectoryIsTheSameAsOneFromTheDatabase)
{
    const auto made = mirror_over(target);
    EXPECT_EQ(made.status, 0) << made.summary;
    EXPECT_EQ(made.summary.at("copied"), 6);
    ASSERT_EQ(mirror(archive.directory / "local").status, 0);
    EXPECT_EQ(test::run({"diff", "-r", target, archive.directory / "local"}).out, "");
    EXPECT_EQ(verify().status, 0) << verify().summary;

    EXPECT_EQ(mirror_over(target).summary.at("copied"), 0);
    ASSERT_EQ(archive.put(device, 7, device.record(7)).status, 201U);
    EXPECT_EQ(mirror_over(target).summary.at("copied"), 1);
    EXPECT_EQ(read_file(file(device, "newest"), 1 << 20), archive.get(path_of(device.chip, 7)).body);
}

TEST_F(HttpsMirror, B1_ADatabaseBecomesTheSameArchive)
{
    const std::string copy = "sqlite:" + (archive.directory / "copy.db").string();
    const auto made = mirror_over(copy);
    EXPECT_EQ(made.status, 0) << made.summary;
    EXPECT_EQ(made.summary.at("copied"), 6);
    EXPECT_EQ(mirror_over(copy).summary.at("copied"), 0);
    archive.stop();
    archive.url = copy; // what it gives now is what the first one gave
    archive.start();
    EXPECT_EQ(archive.put(other, 7, other.record(7)).reason(), "chip-replaced");
    EXPECT_EQ(archive.put(present, 3, present.record(3)).status, 201U);
    EXPECT_EQ(archive.command({"verify"}).status, 0);
}

TEST_F(HttpsMirror, B1_ARunThatWasKilledGoesOn)
{
    for (int at = 2, status = -1; status != 0; at += 7) {
        fs::remove_all(target);
        const auto finished = test::run(over(target, certified, archive.https), {},
                                        {{"LD_PRELOAD", KILL_AT},
                                         {"IMPRINT_KILL_AT", std::to_string(at)},
                                         {"ASAN_OPTIONS", "verify_asan_link_order=0"}});
        status = finished.status;
        ASSERT_TRUE(status == 0 || status == 128 + SIGKILL) << finished.err;
        ASSERT_FALSE(at == 2 && status == 0) << "nothing was killed";
        ASSERT_EQ(mirror_over(target).status, 0) << at;
        ASSERT_EQ(verify().status, 0) << at << verify().summary;
    }
}

TEST_F(HttpsMirror, Attack01_ListsAndReceiptsAreForMirrorsAlone)
{
    const std::string nothing = to_string(archive.get("/v1/nothing").body);
    for (const std::string& path :
         {std::string("/v1/records?after=0&limit=10"), std::string("/v1/replacements?after=0&limit=10"),
          "/v1/receipts/" + device.chip + "/3"}) {
        const auto listed = get_as(&certified, path);
        EXPECT_EQ(listed.status, 200U) << path;
        EXPECT_EQ(archive.get(path).status, 404U) << path;
        EXPECT_EQ(to_string(archive.get(path).body), nothing) << path;
        EXPECT_EQ(get_as(&archive.pki.station_tls, path).status, 404U) << path;
    }
    for (const auto* malformed : {"/v1/records", "/v1/records?after=0", "/v1/records?after=0&limit=0",
                                  "/v1/records?after=0&limit=501", "/v1/records?after=-1&limit=1",
                                  "/v1/records?limit=1&after=0", "/v1/records?after=0&limit=1&x=1", "/v1/receipts/x/3"})
        EXPECT_EQ(get_as(&certified, malformed).status, 404U) << malformed;
}

TEST_F(HttpsMirror, Attack01_NobodyElseGetsAList)
{
    archive.stop();
    const auto& pki = archive.pki;
    const test::TestPki foreign;
    const auto stranger = foreign.mirror("Mirror 1"), revoked = pki.mirror("Revoked"), module = pki.module("SN-1");
    const auto late = pki.mirror("Late", test::expired), early = pki.mirror("Early", test::not_yet_valid);
    const auto courier = pki.station_operator("Operator");
    write_file(archive.directory / "crl.pem", pki.crl(revoked.certificate).pem());
    archive.start({"--crl", archive.directory / "crl.pem"});
    const std::vector<std::tuple<const char*, const test::Certified*, const char*>> cases{
        {"a station", &pki.station_tls, "not-authorized"},
        {"another manufacturer's mirror", &stranger, "untrusted-certificate"},
        {"the archive itself", &pki.archive, "wrong-role"},
        {"an operator", &courier, "wrong-role"},
        {"a device's module", &module, "wrong-role"},
        {"expired", &late, "certificate-expired"},
        {"not yet valid", &early, "certificate-not-yet-valid"},
        {"revoked", &revoked, "certificate-revoked"}};
    const auto logged = [&](const std::string& reason) {
        for (int i = 0; i < 200; ++i, archive.get("/healthz")) // the client may hear of it first
            if (to_string(read_file(archive.directory / "log", 1 << 20).value()).find(reason) != std::string::npos)
                return true;
        return false;
    };
    for (const auto& [what, who, reason] : cases) {
        const auto refused = run_over(target, *who);
        EXPECT_EQ(refused.status, 1) << what;
        EXPECT_TRUE(refused.err.find(reason) != std::string::npos || logged(reason)) << what << refused.err;
        EXPECT_FALSE(fs::exists(target)) << what;
    }
    EXPECT_EQ(get_as(nullptr, "/v1/records?after=0&limit=10").status, 0U) << "no certificate";
    EXPECT_EQ(mirror_over(target).status, 0) << "and who is one gets it";
}

TEST_F(HttpsMirror, B1_AListIsPagedByItsNumbers)
{
    const auto page = [&](std::uint64_t after, int limit) {
        const auto got =
            get_as(&certified, "/v1/records?after=" + std::to_string(after) + "&limit=" + std::to_string(limit));
        return nlohmann::json::parse(to_string(got.body)).at("records");
    };
    const auto all = page(0, 500);
    ASSERT_EQ(all.size(), 5U);
    EXPECT_EQ(all[0].at("chip"), device.chip);
    EXPECT_EQ(all[0].at("sha256"), hex(package::record_digest(archive.get(path_of(device.chip, 3)).body)));
    const auto first = page(0, 2);
    ASSERT_EQ(first.size(), 2U);
    EXPECT_EQ(page(first[1].at("number"), 500).size(), 3U);
    EXPECT_EQ(page(first[1].at("number"), 1)[0], all[2]);
    EXPECT_TRUE(page(all[4].at("number"), 500).empty());
    EXPECT_EQ(page(~0ULL, 1).size(), 0U);
}

TEST_F(HttpsMirror, Attack20_WhatDoesNotProveItselfIsNotKept)
{
    archive.stop();
    {
        SQLite::Database database(archive.database().string(), SQLite::OPEN_READWRITE);
        database.exec("DROP TRIGGER records_stay");
        database.exec("UPDATE records SET record = CAST(substr(record, 1, 2000) || x'00' || substr(record, 2002) AS"
                      " BLOB) WHERE sequence = 5 AND chip = '" +
                      device.chip + "'");
        database.exec("UPDATE records SET receipt = (SELECT receipt FROM records WHERE sequence = 1) WHERE sequence ="
                      " 5 AND chip = '" +
                      other.chip + "'");
    }
    archive.start();
    const auto made = mirror_over(target);
    EXPECT_EQ(made.status, 3);
    EXPECT_EQ(made.summary.at("copied"), 4);
    EXPECT_EQ(made.summary.at("faulty").size(), 2U) << made.summary;
    EXPECT_FALSE(fs::exists(file(device, "5")));
    EXPECT_FALSE(fs::exists(file(other, "5")));
    EXPECT_EQ(verify().status, 0) << verify().summary;
}

// Whoever has the archive's key, and wants to harm its mirrors: openssl sends what stands in a file.
class Impostor {
public:
    Impostor(const fs::path& place, const test::Certified& certified)
        : place_(place)
    {
        fs::create_directories(place_ / "v1");
        write_file(place_ / "tls.pem", pki::to_pem({certified.certificate}));
        pki::store_key(place_ / "tls.key", certified.key.get(), std::nullopt);
        process_.emplace(test::Arguments{"env", "--chdir", place_, "openssl", "s_server", "-HTTP", "-accept",
                                         "127.0.0.1:0", "-cert", "tls.pem", "-key", "tls.key"});
        address = process_->line_after("ACCEPT ").value();
    }
    void answer(const std::string& bytes) const
    {
        write_file(place_ / "v1" / "replacements?after=0&limit=500", as_bytes(bytes));
    }
    std::string address;

private:
    fs::path place_;
    std::optional<test::Process> process_;
};

TEST_F(HttpsMirror, Attack01_TheServerIsAnArchive)
{
    const Impostor station(archive.directory / "impostor", archive.pki.station_tls);
    const auto refused = test::run(over(target, certified, station.address));
    EXPECT_EQ(refused.status, 1);
    EXPECT_NE(refused.err.find("wrong-role"), std::string::npos) << refused.err;
}

TEST_F(HttpsMirror, Attack17_WhatComesOverTheWireIsHeldToItsFormAndLimits)
{
    const Impostor impostor(archive.directory / "impostor", archive.pki.archive);
    const auto with_body = [](const std::string& body) {
        return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    };
    const std::string item = R"({"number":1,"former":"x","present":")" + std::string(64, 'a') + "\"}";
    const std::vector<std::pair<std::string, const char*>> cases{
        {"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", "message-too-large"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n", "message-too-large"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n", "malformed-message"},
        {"HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n", "malformed-message"},
        {"this is not HTTP\r\n\r\n", "malformed-message"},
        {"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno", "storage-failed"},
        {"HTTP/1.1 301 Over there\r\nContent-Length: 0\r\nLocation: http://x/\r\n\r\n", "unexpected-message"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "connection-lost"},
        {with_body(""), "malformed-message"},
        {with_body("[]"), "malformed-message"},
        {with_body(R"({"replacements":[{}]})"), "malformed-message"},
        {with_body(R"({"replacements":[{"number":-1,"present":"a"}]})"), "malformed-message"},
        {with_body(R"({"replacements":[{"number":1,"present":"../../etc/passwd"}]})"), "malformed-message"},
        {with_body("{\"replacements\":[" + item + "," + item + "]}"), "malformed-message"},
        {with_body(std::string(200'000, '[')), "malformed-message"}};
    const std::string to = "sqlite:" + (archive.directory / "copy.db").string();
    for (const auto& [bytes, reason] : cases) {
        impostor.answer(bytes);
        const auto refused = test::run(over(to, certified, impostor.address));
        EXPECT_EQ(refused.status, 1) << bytes.substr(0, 100);
        EXPECT_NE(refused.err.find(reason), std::string::npos) << bytes.substr(0, 100) << refused.err;
    }
}

} // namespace
} // namespace imprint::archive
