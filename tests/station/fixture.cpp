// SPDX-License-Identifier: Apache-2.0
#include "tests/station/fixture.h"

namespace imprint::test {

namespace {

std::optional<protocol::Message> parsed(const station::Answer& answer)
{
    const auto message = protocol::parse(answer.message);
    if (!message)
        return std::nullopt;
    return *message;
}

} // namespace

station::Station make_station(const TestPki& pki)
{
    return {.credentials = {.signing = {pki.station_signing.certificate},
                            .signing_key = share(pki.station_signing.key),
                            .identity_ca = {pki.identity_ca.certificate},
                            .identity_ca_key = share(pki.identity_ca.key),
                            .tls = {pki.station_tls.certificate},
                            .tls_key = share(pki.station_tls.key),
                            .trust = std::make_shared<const pki::Trust>(pki.trust())},
            .vendors = {.anchors = pki::certificates_from_pem(SoftwareTpm::vendor_ca())},
            .master_key = Secret(Bytes(32, 0x4d))};
}

StationTest::StationTest()
    : station(make_station(pki))
    , store(database())
{
    store.add_range({.prefix = "SN", .width = 6, .first = 1, .last = 1000});
}

station::Answer StationTest::personalize(HonestDevice& device)
{
    return send_backup(device, [](protocol::Message&) {});
}

station::Answer StationTest::resume(const DeviceSide& side) { return session().receive(bytes_of(side.resume()), now); }

station::Answer StationTest::send_hello(HonestDevice& device, const Change& change)
{
    DeviceSide side(device, binding);
    auto hello = side.hello();
    change(hello);
    return session().receive(side.send_hello(hello), now);
}

station::Answer StationTest::send_proof(HonestDevice& device, const Change& change)
{
    DeviceSide side(device, binding);
    auto conversation = session();
    auto answer = conversation.receive(side.send_hello(side.hello()), now);
    if (answer.last)
        return answer;
    auto proof = side.proof(answer.message);
    change(proof);
    return conversation.receive(bytes_of(proof), now);
}

station::Answer StationTest::send_backup(HonestDevice& device, const Change& change)
{
    DeviceSide side(device, binding);
    auto conversation = session();
    auto answer = conversation.receive(side.send_hello(side.hello()), now);
    if (!answer.last)
        answer = conversation.receive(bytes_of(side.proof(answer.message)), now);
    if (answer.last)
        return answer;
    auto backup = side.backup(answer.message);
    change(backup);
    return conversation.receive(bytes_of(backup), now);
}

std::int64_t StationTest::rows(const std::string& table, const std::string& condition)
{
    SQLite::Database reader(database().string());
    return reader.execAndGet("SELECT count(*) FROM " + table + " WHERE " + condition).getInt64();
}

Bytes bytes_of(const protocol::Message& message) { return protocol::serialize(message); }

std::optional<Reason> refusal(const station::Answer& answer)
{
    const auto message = parsed(answer);
    if (!message || !message->has_refused())
        return std::nullopt;
    return protocol::refusal_of(message->refused()).reason;
}

bool is_grant(const station::Answer& answer)
{
    const auto message = parsed(answer);
    return message && message->has_grant();
}

bool is_receipt(const station::Answer& answer)
{
    const auto message = parsed(answer);
    return message && message->has_receipt();
}

} // namespace imprint::test
