// SPDX-License-Identifier: Apache-2.0
// Proves that a record would bring the device back, and that the proof leaves no trace.
#include "daemon/lifecycle/store.h"
#include "tests/recovery/fixture.h"

namespace imprint::test {
namespace {

class CheckRecovery : public Recovery {
protected:
    device::Recoverable check(std::optional<std::uint64_t> sequence = {})
    {
        return box.device().check_recovery(archive.address(), sequence, {}, box.cancel);
    }
    template <class F>
    auto without_trace(F call)
    {
        const auto before = std::pair(handles(), box.files());
        const auto state = box.state();
        auto result = call();
        EXPECT_EQ(handles(), before.first);
        EXPECT_EQ(box.files(), before.second);
        const auto epoch = box.epoch();
        box.device().refresh();
        EXPECT_EQ(box.epoch(), epoch);
        EXPECT_EQ(name(box.state()), name(state));
        return result;
    }
};

TEST_F(CheckRecovery, B17_InTheOperatingState)
{
    bring_up_and_publish();
    box.boot();
    const auto found = without_trace([&] { return check(); });
    EXPECT_EQ(found.chip_identifier, box.chip());
    EXPECT_EQ(found.sequence, box.epoch());
    EXPECT_EQ(found.identity_value, "SN-000001");
    EXPECT_EQ(found.keys, std::vector<std::string>{"manufacturer-channel"});
    EXPECT_TRUE(found.operating);
    EXPECT_NO_THROW(box.sign(box.epoch(), as_bytes("still operating")));
}

TEST_F(CheckRecovery, ItKeepsItsBudgetOfTpmCommands)
{
    bring_up_and_publish();
    box.boot();
    check(); // what is asked once is remembered
    box.wire.reset();
    check();
    EXPECT_LE(box.wire.count(), 24U);
    RecordProperty("check", static_cast<int>(box.wire.count()));
}

TEST_F(CheckRecovery, B17_WithoutADiskItPromisesWhatTheRecoveryKeeps)
{
    bring_up_and_publish();
    lose_disk();
    EXPECT_TRUE(without_trace([&] { return check(); }).operating);
    box.recover(archive.address());
    EXPECT_EQ(box.state(), State::operating);
}

TEST_F(CheckRecovery, B17_AClearedTpmStaysCleared)
{
    bring_up_and_publish();
    for (const bool disk : {true, false}) {
        if (!disk)
            box.lose_disk();
        clear_tpm();
        const auto found = without_trace([&] { return check(); });
        EXPECT_FALSE(found.operating);
        EXPECT_EQ(found.keys, std::vector<std::string>{"manufacturer-channel"});
    }
    box.recover(archive.address());
    EXPECT_EQ(box.state(), State::recovered);
    EXPECT_FALSE(without_trace([&] { return check(); }).operating);
}

TEST_F(CheckRecovery, BeforeTheSwitchAndAfterTheWayBack)
{
    box.personalize(station);
    publish(box.epoch() + 1);
    EXPECT_EQ(without_trace([&] { return check(); }).sequence, box.epoch() + 1);
    box.device().enter_operating({});
    box.device().enter_personalization({});
    EXPECT_EQ(without_trace([&] { return check(); }).sequence, box.epoch() - 1);
}

TEST_F(CheckRecovery, WhatIsNotThereOrNotRightIsNamed)
{
    box.personalize(station, true);
    const auto reason = [&] { return without_trace([&] { return reason_of([&] { (void)check(); }); }); };
    EXPECT_EQ(reason(), Reason::record_not_found) << "the archive does not have it yet";
    publish(box.epoch());
    const Bytes good = records_.at(box.epoch());
    const auto path = "/v1/records/" + box.chip() + "/" + std::to_string(box.epoch());
    archive.put(path, Bytes(good.begin(), good.end() - 1));
    EXPECT_TRUE(reason());
    Bytes flipped = good;
    flipped[good.size() / 2] ^= 1;
    archive.put(path, flipped);
    EXPECT_TRUE(reason());
    archive.put(path, good);
    EXPECT_EQ(reason(), std::nullopt);
    EXPECT_EQ(reason_of([&] { (void)check(box.epoch() + 2); }), Reason::record_outdated);
}

TEST_F(CheckRecovery, B17_AnotherDevicesRecordIsRefusedByName)
{
    bring_up_and_publish();
    TestDevice other;
    const auto reason =
        reason_of([&] { (void)other.device().check_restore(records_.begin()->second, records_.begin()->first, {}); });
    EXPECT_EQ(reason, Reason::record_foreign);
    EXPECT_EQ(name(other.state()), name(State::blank));
    EXPECT_TRUE(other.files().empty());
}

// Under signatures that hold, on the right TPM: only opening it tells.
TEST_F(CheckRecovery, B17_ASecretThatCannotBeOpenedIsNamed)
{
    const auto content = std::make_shared<const Secret>(as_bytes("correct horse"));
    station.give({{{"channel", station::DerivedKey{"channel", 1}}, {"wifi", station::OpaqueSecret{content, {}}}}});
    bring_up_and_publish();
    const auto sequence = box.epoch();
    package::RecordContent whole;
    whole.ParseFromString(to_string(pki::open_signed(records_.at(sequence), package::max_record).or_throw().content));
    const auto record = [&](const std::function<void(package::Entry&)>& change) {
        const auto& key = manufacturer().station_signing;
        const auto changed = box.repack(whole, [&](auto& data) { change(*data.mutable_entries(1)); });
        return package::countersign(box.sign_record(changed), key.certificate, key.key.get(), {});
    };
    const Bytes flipped = record([](auto& entry) { entry.mutable_enveloped()->back() ^= 1; });
    const Bytes renamed = record([](auto& entry) { entry.set_label("wifi-guests"); });
    const Bytes whole_again = record([](auto&) {});
    lose_disk();
    for (const auto& broken : {flipped, renamed}) {
        EXPECT_EQ(
            without_trace([&] { return reason_of([&] { (void)box.device().check_restore(broken, sequence, {}); }); }),
            Reason::package_invalid);
        expect_refused(broken, Reason::package_invalid, "and the recovery says the same");
    }
    box.restore(whole_again);
    EXPECT_EQ(box.state(), State::operating) << "the same without any change";
}

TEST_F(CheckRecovery, OtherKeysThanTheFilesHaveAreNamed)
{
    bring_up_and_publish();
    const lifecycle::Store store(box.directory());
    auto file = store.load().personalizations.at(box.epoch());
    file.mutable_keys(0)->set_object(file.module_key().object());
    store.save(file);
    box.boot();
    EXPECT_EQ(reason_of([&] { (void)check(); }), Reason::key_mismatch);
}

} // namespace
} // namespace imprint::test
