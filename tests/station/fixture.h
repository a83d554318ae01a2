// SPDX-License-Identifier: Apache-2.0
// A station in memory with its database on disk, and conversations with it.
#pragma once

#include "provisioning/station/session.h"
#include "tests/station/honest_device.h"
#include "tests/support/process.h"
#include "tests/support/test_pki.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace imprint::test {

inline const Bytes binding(32, 0x42); // of the TLS connection

// A station of this manufacturer. The vendor's CA is that of the manufactured TPMs.
station::Station make_station(const TestPki& pki);

class StationTest : public ::testing::Test {
protected:
    StationTest();

    station::StationSession session(Bytes channel_binding = binding)
    {
        return {station, store, introductions, {std::move(channel_binding), "test", required}};
    }
    // The whole conversation; the last answer.
    station::Answer personalize(HonestDevice& device);
    station::Answer resume(const DeviceSide& side);
    // Opens a conversation up to the given message and sends it what `change` makes of it.
    using Change = std::function<void(protocol::Message&)>;
    station::Answer send_hello(HonestDevice& device, const Change& change);
    station::Answer send_proof(HonestDevice& device, const Change& change);
    station::Answer send_backup(HonestDevice& device, const Change& change);

    void trust(HonestDevice& device) { store.allow({device.chip(), "test"}); }
    std::int64_t rows(const std::string& table, const std::string& condition = "1");
    std::filesystem::path database() const { return directory / "station.db"; }

    TestPki pki;
    TemporaryDirectory directory;
    station::Station station;
    station::Store store;
    station::Introductions introductions;
    station::Required required = station::Required::never;
};

// One trusted device on a bare TPM.
class OneDevice : public StationTest {
protected:
    OneDevice() { trust(device); }
    HonestDevice device;
};

Bytes bytes_of(const protocol::Message& message);
// The reason of a Refused message; nothing for any other message.
std::optional<Reason> refusal(const station::Answer& answer);
bool is_grant(const station::Answer& answer);
bool is_receipt(const station::Answer& answer);

} // namespace imprint::test
