// SPDX-License-Identifier: Apache-2.0
// Who gets an introduction from a running station, and who gets none.
#include "tests/courier/fixture.h"

#include "provisioning/protocol/courier_messages.h"
#include "provisioning/protocol/introduction.h"

namespace imprint::test {
namespace {

using testing::HasSubstr;

class Identification : public WithStation {
protected:
    Finished tan(const Certified& who) { return courier(who, {"tan"}); }
    // The reason for which the courier ended.
    static std::string reason(const Finished& finished)
    {
        const auto begin = finished.err.find('(');
        return finished.err.substr(begin + 1, finished.err.find(')') - begin - 1);
    }
};

TEST_F(Identification, A37_A39_ARegisteredOperatorGetsANumber)
{
    ASSERT_EQ(register_operator(alice, {"issue-tan"}).status, 0);
    const auto finished = courier(alice, {"--reason", "board 7", "--minutes", "5", "--json", "tan"});
    ASSERT_EQ(finished.status, 0) << finished.err << finished.out;
    const auto document = nlohmann::json::parse(finished.out);
    EXPECT_TRUE(protocol::read_transaction_number(document["number"].get<std::string>()));
    EXPECT_EQ(document["station"], "127.0.0.1:7443");
    const auto last = audit().back();
    EXPECT_EQ(last["event"], "introduction-issued");
    EXPECT_THAT(last["peer"].get<std::string>(), HasSubstr("Alice"));
    EXPECT_THAT(last["detail"].get<std::string>(), HasSubstr("board 7"));
    EXPECT_THAT(last["detail"].get<std::string>(), HasSubstr("good for 300 s"));
}

TEST_F(Identification, ANumberMayBeShownAsAQrCodeToo)
{
    ASSERT_EQ(register_operator(alice, {"issue-tan"}).status, 0);
    const auto finished = courier(alice, {"tan", "--qr"});
    EXPECT_EQ(finished.status, 0) << finished.err;
    EXPECT_THAT(finished.out, HasSubstr("\u2588")) << "half blocks";
    EXPECT_EQ(courier(alice, {"--json", "tan", "--qr"}).status, 2);
}

TEST_F(Identification, A39_Attack01_NobodyElseGetsAnIntroduction)
{
    const TestPki foreign;
    const std::vector<std::pair<const char*, Certified>> cases = [&] {
        std::vector<std::pair<const char*, Certified>> made;
        made.emplace_back("unregistered", pki.station_operator("Bob"));
        made.emplace_back("wrong CA", foreign.station_operator("Alice"));
        made.emplace_back("expired", pki.station_operator("Alice", expired));
        made.emplace_back("not yet valid", pki.station_operator("Alice", not_yet_valid));
        made.emplace_back("station", pki.server(pki::Role::station_tls, "Alice"));
        made.emplace_back("archive", pki.server(pki::Role::archive, "Alice"));
        made.emplace_back("central system", pki.server(pki::Role::central, "Alice"));
        made.emplace_back("mirror", pki.mirror("Alice"));
        made.emplace_back("device module", pki.module("SN-1"));
        made.emplace_back("device identity", pki.identity("SN-1", std::string(64, 'a')));
        return made;
    }();
    ASSERT_EQ(register_operator(alice, {"introduce", "issue-tan"}).status, 0);
    for (const auto& [what, who] : cases) {
        const auto finished = tan(who);
        EXPECT_EQ(finished.status, 3) << what << finished.err;
        EXPECT_EQ(finished.out, "") << what;
        EXPECT_EQ(audit().back()["event"], "refused") << what;
    }
    EXPECT_EQ(tan(alice).status, 0);
}

TEST_F(Identification, A39_Attack01_WithoutACertificateNothingIsSaid)
{
    const auto trust = pki.trust();
    const tls::Cancel never;
    tls::Stream stream(tls::connect(station.operations, 1, soon(), never),
                       {trust, pki::Role::station_tls, "127.0.0.1", std::string(protocol::courier_alpn), std::nullopt},
                       soon(), never);
    protocol::CourierMessage message;
    message.mutable_request()->set_version(1);
    EXPECT_THROW(send_and_receive(stream, protocol::serialize(message)), Error);
}

TEST_F(Identification, A39_WhatOperatorsMayChangesAtOnce)
{
    EXPECT_EQ(reason(tan(alice)), "operator-unknown");
    ASSERT_EQ(register_operator(alice, {"introduce"}).status, 0);
    EXPECT_EQ(reason(tan(alice)), "not-authorized");
    ASSERT_EQ(register_operator(alice, {"issue-tan"}).status, 0);
    EXPECT_EQ(tan(alice).status, 0);
    ASSERT_EQ(station.command({"operator", "revoke", "Alice"}).status, 0);
    EXPECT_EQ(reason(tan(alice)), "operator-revoked");
    EXPECT_THAT(audit().back()["detail"].get<std::string>(), HasSubstr("operator Alice "));
    EXPECT_THAT(register_operator(alice, {"issue-tan"}).err, HasSubstr("(operator-revoked)"));
}

TEST_F(Identification, OperatorsAreListedAndToldApart)
{
    const auto twin = pki.station_operator("Alice");
    ASSERT_EQ(register_operator(alice, {"introduce", "issue-tan"}).status, 0);
    ASSERT_EQ(register_operator(twin, {"introduce"}).status, 0);
    EXPECT_THAT(station.command({"operator", "revoke", "Alice"}).err, HasSubstr("(invalid-argument)"));
    const auto fingerprint = station::fingerprint_of(twin.certificate);
    EXPECT_EQ(station.command({"operator", "revoke", fingerprint}).status, 0);
    const auto listed = nlohmann::json::parse(station.command({"operator", "list", "--json"}).out);
    ASSERT_EQ(listed.size(), 2U);
    for (const auto& one : listed) {
        EXPECT_EQ(one["name"], "Alice");
        EXPECT_EQ(one["may-introduce"], true);
        EXPECT_EQ(one["may-issue-tan"], one["fingerprint"] != fingerprint);
        EXPECT_EQ(one["revoked"] == "", one["fingerprint"] != fingerprint);
    }
    EXPECT_THAT(station.command({"operator", "list"}).out, HasSubstr(fingerprint + " Alice may introduce revoked "));
    EXPECT_THAT(station.command({"operator", "revoke", "Nobody"}).err, HasSubstr("(operator-unknown)"));
    EXPECT_EQ(tan(alice).status, 0);
}

TEST_F(Identification, OnlyAnOperatorsCertificateCanBeRegistered)
{
    for (const auto* who : {&pki.station_tls, &pki.archive, &pki.root})
        EXPECT_THAT(register_operator(*who, {"introduce"}).err, HasSubstr("(wrong-role)"));
    EXPECT_EQ(register_operator(alice, {}).status, 2);
    EXPECT_EQ(register_operator(alice, {"everything"}).status, 2);
    EXPECT_EQ(nlohmann::json::parse(station.command({"operator", "list", "--json"}).out).size(), 0U);
}

TEST_F(Identification, AStationThatNoDeviceCanBeSentToDoesNotStart)
{
    station.stop();
    EXPECT_FALSE(station.try_start({"--listen-operations", "127.0.0.1:0", "--public-address", "two words"}));
}

TEST_F(Identification, AnAbsentStationAndMissingFilesAreToldApart)
{
    const auto files = write_courier(station.directory, "alice", pki, alice);
    const auto run_with = [&](const Arguments& more) {
        Arguments arguments{IMPRINT_COURIER};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return run(arguments).status;
    };
    EXPECT_EQ(run_with({"--station", "127.0.0.1:1", "--directory", files.string(), "tan"}), 8);
    EXPECT_EQ(run_with({"--station", station.operations, "--directory", "/nonexistent", "tan"}), 2);
    EXPECT_EQ(run_with({"--station", station.operations, "--directory", files.string()}), 2);
    EXPECT_EQ(run_with({"--directory", files.string(), "tan"}), 2);
    EXPECT_EQ(run_with({"--station", station.operations, "--directory", files.string(), "introduce", "--device",
                        "unix:/nonexistent", "--yes"}),
              7);
    EXPECT_EQ(run_with({"--station", station.operations, "--directory", files.string(), "introduce", "--device",
                        "carrier-pigeon", "--yes"}),
              2);
}

} // namespace
} // namespace imprint::test
