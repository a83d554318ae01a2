// SPDX-License-Identifier: Apache-2.0
// Mirrors of the archive: made by the real program, served by a real nginx, and proved.
#include "backup/package/replacement.h"
#include "tests/archive/running_archive.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <csignal>

namespace imprint::archive {
namespace {

namespace fs = std::filesystem;
using test::SoftwareDevice;
constexpr auto path_of = [](const auto&... parts) { return test::RunningArchive::path_of(parts...); };

// The configuration that archive.md shows, with a socket of the test's.
class Nginx {
public:
    explicit Nginx(const fs::path& mirror)
    {
        const std::string here = directory_.path();
        const std::string configuration = "daemon off; master_process off; pid " + here + "/pid;\n" +
            "events {}\nhttp { access_log off; client_body_temp_path " + here + "/body; proxy_temp_path " + here +
            "/p; fastcgi_temp_path " + here + "/f; uwsgi_temp_path " + here + "/u; scgi_temp_path " + here +
            "/s;\nserver { listen unix:" + here + "/socket; root " + mirror.string() +
            ";\n"
            "default_type application/vnd.imprint.record;\n"
            "location /v1/ { try_files $uri $uri/newest =404; }\n"
            "location / { return 404; }\n"
            "} }\n";
        write_file(directory_ / "nginx.conf", as_bytes(configuration));
        process_.emplace(test::Arguments{"nginx", "-e", "stderr", "-c", directory_ / "nginx.conf"}, test::Environment{},
                         directory_ / "log");
        const auto probe =
            test::run({"timeout", "20", "sh", "-c",
                       "until curl -s --unix-socket " + here + "/socket http://x/ >/dev/null; do :; done"});
        if (probe.status != 0)
            throw std::runtime_error("nginx does not start: " +
                                     to_string(read_file(directory_ / "log", 1 << 20).value_or(Bytes())));
    }
    // Status and body.
    std::pair<std::string, Bytes> get(const std::string& path) const
    {
        const auto got = test::run({"curl", "-s", "-o", directory_ / "answer", "-w", "%{http_code}", "--unix-socket",
                                    directory_ / "socket", "http://mirror" + path});
        return {got.out, read_file(directory_ / "answer", 1 << 20).value_or(Bytes())};
    }

private:
    test::TemporaryDirectory directory_;
    std::optional<test::Process> process_;
};

class Mirroring : public testing::Test {
protected:
    void SetUp() override
    {
        archive.start();
        for (const auto* one : {&device, &other})
            for (const auto sequence : {3, 5})
                ASSERT_EQ(archive.put(*one, sequence, one->record(sequence)).status, 201U);
        const Bytes statement = package::make_replacement(
            {{"serial", other.serial}, other.chip, present.chip, test::now, "broken board"},
            archive.pki.station_signing.certificate, archive.pki.station_signing.key.get(), {});
        ASSERT_EQ(archive
                      .put("/v1/replacements/" + present.chip, statement, &archive.pki.station_tls, {},
                           "application/vnd.imprint.replacement")
                      .status,
                  201U);
        ASSERT_EQ(archive.put(present, 1, present.record(1)).status, 201U);
    }
    struct Told {
        int status = -1;
        nlohmann::json summary;
        std::string faults() const
        {
            std::string all;
            for (const auto& one : summary.at("faulty"))
                all += one.at("reason").get<std::string>() + ' ' + one.at("sequence").dump() + '\n';
            return all;
        }
    };
    Told tell(const test::Arguments& arguments) const
    {
        const auto finished = archive.command(arguments);
        EXPECT_EQ(finished.err, "");
        return {finished.status, nlohmann::json::parse(finished.out)};
    }
    Told mirror(const std::string& to) const { return tell({"mirror", "--json", to}); }
    Told verify() const { return tell({"verify", "--json", target.string()}); }
    fs::path file(const SoftwareDevice& of, const std::string& name) const
    {
        return target / "v1" / "records" / of.chip / name;
    }

    test::RunningArchive archive;
    SoftwareDevice device{archive.pki, "SN-1"}, other{archive.pki, "SN-2"};
    SoftwareDevice present{archive.pki, "SN-2", std::string(64, 'e')};
    fs::path target = archive.directory / "mirror";
};

TEST_F(Mirroring, B1_ADirectoryServesTheSamePathsFromAnyWebServer)
{
    const auto planned = tell({"mirror", "--json", "--dry-run", target.string()});
    EXPECT_EQ(planned.summary.at("copied"), 6);
    EXPECT_FALSE(fs::exists(target));

    const auto made = mirror(target);
    EXPECT_EQ(made.status, 0) << made.summary;
    EXPECT_EQ(made.summary.at("copied"), 6);
    EXPECT_EQ(verify().status, 0) << verify().summary;
    const Nginx nginx(target);
    for (const auto& path : {path_of(device.chip), path_of(device.chip, 3), path_of(device.chip, 5),
                             path_of(present.chip), path_of(other.chip), "/v1/replacements/" + present.chip})
        EXPECT_EQ(nginx.get(path), std::pair(std::string("200"), archive.get(path).body)) << path;
    for (const auto& path : {path_of(std::string(64, 'b')), path_of(device.chip, 4), std::string("/v1/records/"),
                             "/receipts/" + device.chip + "/3"})
        EXPECT_EQ(nginx.get(path).first, "404") << path;
}

TEST_F(Mirroring, B1_OnlyWhatIsMissingIsCopiedAndTheNewestFollows)
{
    ASSERT_EQ(mirror(target).status, 0);
    EXPECT_EQ(mirror(target).summary.at("copied"), 0);
    ASSERT_EQ(archive.put(device, 7, device.record(7)).status, 201U);
    // Ended after the record was written, before it was the newest.
    ASSERT_EQ(mirror(target).summary.at("copied"), 1);
    fs::copy_file(file(device, "5"), file(device, "newest"), fs::copy_options::overwrite_existing);
    EXPECT_EQ(verify().faults(), "newest-unproven 7\n");
    EXPECT_EQ(mirror(target).summary.at("copied"), 0);
    EXPECT_EQ(read_file(file(device, "newest"), 1 << 20), read_file(file(device, "7"), 1 << 20));
    // A record of which only the receipt was written.
    fs::remove(file(device, "3"));
    EXPECT_EQ(mirror(target).summary.at("copied"), 1);
    EXPECT_EQ(verify().status, 0);
}

TEST_F(Mirroring, B1_AMirrorThatWasKilledGoesOn)
{
    // A record takes four syncs, so that steps of three come by each kind.
    for (int at = 1, status = -1; status != 0; at += 3) {
        fs::remove_all(target);
        const auto finished = test::run({IMPRINT_ARCHIVE, "--database", archive.database(), "--trust",
                                         archive.directory / "trust.pem", "mirror", "--jobs", "1", target},
                                        {},
                                        {{"LD_PRELOAD", KILL_AT},
                                         {"IMPRINT_KILL_AT", std::to_string(at)},
                                         {"ASAN_OPTIONS", "verify_asan_link_order=0"}});
        status = finished.status;
        ASSERT_TRUE(status == 0 || status == 128 + SIGKILL) << finished.err;
        ASSERT_FALSE(at == 1 && status == 0) << "nothing was killed";
        ASSERT_EQ(mirror(target).status, 0) << at;
        ASSERT_EQ(verify().status, 0) << at << verify().summary;
    }
}

TEST_F(Mirroring, B1_AnotherDatabaseBecomesTheSameArchive)
{
    const std::string copy = "sqlite:" + (archive.directory / "copy.db").string();
    const auto made = mirror(copy);
    EXPECT_EQ(made.status, 0) << made.summary;
    EXPECT_EQ(made.summary.at("copied"), 6);
    EXPECT_EQ(mirror(copy).summary.at("copied"), 0);
    const auto verified = test::run(
        {IMPRINT_ARCHIVE, "--database", copy, "--trust", archive.directory / "trust.pem", "verify", "--json"});
    EXPECT_EQ(verified.status, 0) << verified.out;
    EXPECT_EQ(nlohmann::json::parse(verified.out).at("records"), 5);
    EXPECT_EQ(nlohmann::json::parse(verified.out).at("replacements"), 1);
}

TEST_F(Mirroring, Attack20_WhatWasChangedDroppedOrSwappedInAMirrorIsNamed)
{
    ASSERT_EQ(mirror(target).status, 0);
    Bytes flipped = *read_file(file(device, "3"), 1 << 20);
    flipped.at(flipped.size() / 2) ^= 1;
    write_file(file(device, "3"), flipped);
    fs::remove(file(device, "5"));
    fs::copy_file(file(other, "3"), file(other, "5"), fs::copy_options::overwrite_existing);
    write_file(file(other, "5.new"), flipped);
    const auto found = verify();
    EXPECT_EQ(found.status, 3);
    EXPECT_NE(found.faults().find("record-not-found 5"), std::string::npos) << found.summary;
    EXPECT_NE(found.faults().find("record-foreign 5"), std::string::npos) << found.summary;
    EXPECT_NE(found.faults().find("invalid-argument 0"), std::string::npos) << found.summary;
    EXPECT_GE(found.summary.at("faulty").size(), 5U) << found.summary;

    // It brings back what is missing, tells what differs, and leaves that alone.
    const auto again = mirror(target);
    EXPECT_EQ(again.status, 3);
    EXPECT_EQ(again.summary.at("copied"), 1) << again.summary;
    EXPECT_EQ(again.summary.at("faulty").size(), 2U) << again.summary;
    EXPECT_EQ(read_file(file(device, "3"), 1 << 20), flipped);
}

} // namespace
} // namespace imprint::archive
