// SPDX-License-Identifier: Apache-2.0
// The way from blank to operating and back, with an honest station.
#include "backup/package/record.h"
#include "daemon/lifecycle/store.h"
#include "tests/device/fixture.h"

#include <sys/socket.h>

namespace imprint::test {
namespace {

protocol::Message parsed(const Bytes& bytes) { return protocol::parse(bytes).or_throw(); }

TEST_F(DeviceTest, A22_FromBlankToOperating)
{
    EXPECT_EQ(box.state(), State::blank);
    box.personalize(station);
    EXPECT_EQ(box.state(), State::personalization);
    const auto ready = box.device().status();
    EXPECT_TRUE(ready.ready_to_switch);
    EXPECT_EQ(ready.identity_value, "SN-000001");
    EXPECT_EQ(ready.sequence, ready.epoch + 1);
    EXPECT_EQ(ready.keys, std::vector<std::string>{"manufacturer-channel"});

    box.device().enter_operating({});
    const auto status = box.device().status();
    EXPECT_EQ(status.state, State::operating);
    EXPECT_EQ(status.epoch, ready.epoch + 1);
    EXPECT_FALSE(status.module_certificate.empty());
    EXPECT_NO_THROW(box.sign(status.epoch, as_bytes("a message")));
    EXPECT_EQ(station.connections(), 1);
}

TEST_F(DeviceTest, TheRecordIsCompleteAndTheStationsOwn)
{
    bring_up();
    const Bytes record = box.device().export_backup();
    const auto opened = package::open_record(record, manufacturer().trust(), now);
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->content.chip_identifier(), box.chip());
    EXPECT_EQ(station.store().record(box.chip(), box.epoch())->record, record);
}

TEST_F(DeviceTest, ProgressRisesToTheEnd)
{
    box.personalize(station, true);
    ASSERT_FALSE(box.progress.empty());
    EXPECT_TRUE(std::ranges::is_sorted(box.progress, {}, &std::pair<unsigned, std::string>::first));
    EXPECT_EQ(box.progress.back().first, 100U);
}

TEST_F(DeviceTest, WithoutTheSwitchTheModuleKeyCannotSign)
{
    box.personalize(station);
    EXPECT_EQ(reason_of([&] { box.sign(box.epoch() + 1, as_bytes("too early")); }), Reason::tpm_refused);
}

TEST_F(DeviceTest, A23_GoingBackErasesTheModuleKeyAlsoForWhoKeptEveryFile)
{
    bring_up();
    const auto epoch = box.epoch();
    const auto kept = box.files();
    EXPECT_NO_THROW(box.sign(epoch, as_bytes("in operation")));
    box.device().enter_personalization({});
    EXPECT_EQ(box.state(), State::personalization);
    EXPECT_TRUE(box.device().status().module_certificate.empty());
    EXPECT_EQ(reason_of([&] { box.sign(epoch, as_bytes("after")); }), Reason::tpm_refused);

    box.personalize(station, true);
    EXPECT_EQ(box.epoch(), epoch + 2);
    for (const auto& [name, content] : kept)
        write_file(box.file(name), content);
    box.boot();
    EXPECT_EQ(reason_of([&] { box.sign(epoch, as_bytes("for ever")); }), Reason::tpm_refused);
}

TEST_F(DeviceTest, A29_TheSecondTimeTheIdentityKeyAloneAuthenticates)
{
    bring_up();
    const auto identity = box.device().status().identity_certificate;
    box.device().enter_personalization({});
    box.personalize(station, true);
    const auto messages = station.messages();
    ASSERT_EQ(messages.size(), 12U);
    EXPECT_TRUE(parsed(messages[1]).challenge().has_credential());
    EXPECT_EQ(as_text(identity), parsed(messages[6]).hello().identity_certificate());
    EXPECT_FALSE(parsed(messages[7]).challenge().has_credential());
    EXPECT_EQ(box.device().status().identity_value, "SN-000001");
    EXPECT_EQ(box.wire.count(TPM2_CC_ActivateCredential), 1U);
}

TEST_F(DeviceTest, A31_TheVariationValueIsInTheCreationProof)
{
    bring_up();
    const auto messages = station.messages();
    const std::string variation = parsed(messages[1]).challenge().variation();
    EXPECT_NE(parsed(messages[2]).proof().creation_data().find(variation), std::string::npos);
    EXPECT_EQ(box.wire.count(TPM2_CC_StirRandom), 1U);
}

TEST_F(DeviceTest, A31_AnotherVariationValueIsRefused)
{
    station.set({.alter = [](protocol::Message& message) {
        if (message.has_challenge())
            message.mutable_challenge()->set_variation(std::string(32, 'x'));
    }});
    EXPECT_TRUE(reason_of([&] { box.personalize(station); }));
    EXPECT_EQ(box.state(), State::personalization);
    EXPECT_FALSE(box.device().status().ready_to_switch);
}

TEST_F(DeviceTest, B1_B2_PackageAndIdentityAreStoredInTheDevice)
{
    bring_up();
    const auto content = lifecycle::Store(box.directory()).load();
    const auto* file = content.complete(box.epoch());
    ASSERT_NE(file, nullptr);
    EXPECT_EQ(file->keys_size(), 1);
    const auto identity = pki::Certificate::from_der(as_bytes(file->identity_certificate())).or_throw();
    EXPECT_EQ(pki::chip_identifier(identity), box.chip());
    EXPECT_EQ(pki::device_identity(identity)->value, "SN-000001");
}

TEST_F(DeviceTest, A33_OverADescriptorThatIsHandedOver)
{
    std::array<int, 2> ends{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    std::jthread thread([&] { station.serve(Fd(ends[1])); });
    box.device().personalize(Fd(ends[0]), true, {}, box.cancel);
    EXPECT_EQ(box.state(), State::operating);
}

TEST_F(DeviceTest, DeadFilesGoWithTheNextSwitchOnly)
{
    bring_up();
    const auto dead = "personalization-" + std::to_string(box.epoch()) + ".pb";
    box.device().enter_personalization({});
    EXPECT_TRUE(box.files().contains(dead));
    box.personalize(station);
    EXPECT_TRUE(box.files().contains(dead));
    box.device().enter_operating({});
    EXPECT_FALSE(box.files().contains(dead));
    EXPECT_EQ(box.files().size(), 2U);
}

TEST_F(DeviceTest, WhatIsDoneAlreadyIsNotDoneAgain)
{
    box.personalize(station);
    box.personalize(station, true);
    EXPECT_EQ(station.connections(), 1);
    EXPECT_EQ(box.state(), State::operating);
}

TEST_F(DeviceTest, ThePresentStateDecidesWhatIsPossible)
{
    EXPECT_EQ(reason_of([&] { box.device().enter_operating({}); }), Reason::wrong_state);
    EXPECT_EQ(reason_of([&] { box.device().enter_personalization({}); }), Reason::wrong_state);
    EXPECT_EQ(reason_of([&] { (void)box.device().export_backup(); }), Reason::wrong_state);
    bring_up();
    EXPECT_EQ(reason_of([&] { box.personalize(station); }), Reason::wrong_state);
    EXPECT_EQ(reason_of([&] { box.device().enter_operating({}); }), Reason::wrong_state);
    EXPECT_EQ(reason_of([&] { box.restore(box.device().export_backup()); }), Reason::wrong_state);
    box.device().enter_personalization({});
    EXPECT_EQ(reason_of([&] { box.device().enter_operating({}); }), Reason::wrong_state);
    EXPECT_EQ(reason_of([&] { box.device().enter_personalization({}); }), Reason::wrong_state);
}

TEST_F(DeviceTest, WithoutABundleNobodyIsTrusted)
{
    std::filesystem::remove(box.settings.trust_bundle);
    EXPECT_EQ(reason_of([&] { box.personalize(station); }), Reason::not_configured);
    EXPECT_EQ(box.state(), State::blank);
}

// Not only what would trust the other key: nothing that uses or changes anything works, as often as it is tried.
TEST_F(DeviceTest, Attack14_AnotherCheckingKeyIsALatchedStop)
{
    bring_up();
    const auto sequence = box.epoch();
    const Bytes record = box.device().export_backup();
    const TestPki twin;
    write_file(box.settings.trust_bundle, twin.trust_pem());
    box.boot();
    const auto files = box.files();
    box.wire.reset();
    const device::KeyUse use{device::KeyUse::Operation::hmac, "manufacturer-channel", {}, to_bytes("challenge"), 0};
    const std::vector<std::pair<const char*, std::function<void()>>> calls{
        {"Personalize", [&] { box.personalize(station); }},
        {"EnterOperating", [&] { box.device().enter_operating({}); }},
        {"EnterPersonalization", [&] { box.device().enter_personalization({}); }},
        {"Recover", [&] { box.recover("http://127.0.0.1:1"); }},
        {"Restore", [&] { box.restore(record, sequence); }},
        {"CheckRecovery", [&] { box.device().check_recovery("http://127.0.0.1:1", sequence, {}, box.cancel); }},
        {"CheckRestore", [&] { box.device().check_restore(record, sequence, {}); }},
    };
    for (int again = 0; again < 2; ++again) {
        for (const auto& [what, call] : calls)
            EXPECT_EQ(reason_of(call), Reason::anchor_mismatch) << what;
        EXPECT_EQ(reason_of([&] { box.device().adopt_root({}); }), Reason::root_not_certified);
        EXPECT_EQ(reason_of([&] { box.device().use_key(use); }), Reason::wrong_state);
        EXPECT_EQ(reason_of([&] { box.device().update_central(to_bytes("set")); }), Reason::wrong_state);
        EXPECT_EQ(reason_of([&] {
                      box.device().open_channel({"unix:/nowhere", {}, {}, {}, 0}, {});
                  }),
                  Reason::anchor_mismatch);
        EXPECT_EQ(name(box.state()), name(State::anchor_mismatch));
    }
    for (const auto command : {TPM2_CC_NV_Increment, TPM2_CC_NV_Write, TPM2_CC_NV_DefineSpace, TPM2_CC_EvictControl,
                               TPM2_CC_Sign, TPM2_CC_HMAC, TPM2_CC_Load, TPM2_CC_Import, TPM2_CC_Create})
        EXPECT_EQ(box.wire.count(command), 0U) << std::hex << command;
    EXPECT_EQ(box.files(), files);
    EXPECT_EQ(station.connections(), 1) << "nobody was spoken to";
    EXPECT_EQ(box.device().export_backup(), record) << "looking works";

    write_file(box.settings.trust_bundle, manufacturer().trust_pem());
    box.boot();
    EXPECT_EQ(name(box.state()), name(State::operating));
    EXPECT_NO_THROW(box.sign(sequence, as_bytes("as before")));
    EXPECT_NO_THROW(box.device().use_key(use));
}

TEST_F(DeviceTest, ADamagedFileIsNamedAndStopsWhatBuildsOnIt)
{
    box.personalize(station);
    const auto path = box.file("personalization-" + std::to_string(box.epoch() + 1) + ".pb");
    write_file(path, as_bytes("damaged"));
    box.boot();
    EXPECT_NE(box.device().status().detail.find(path.string()), std::string::npos);
    EXPECT_EQ(reason_of([&] { box.personalize(station); }), Reason::storage_failed);
    EXPECT_EQ(reason_of([&] { box.device().enter_operating({}); }), Reason::storage_failed);
    EXPECT_EQ(read_file(path, 100), to_bytes("damaged"));
}

// Whichever file is damaged: after the explicit act of giving it up there is a way on.
TEST_F(DeviceTest, WhatIsDamagedCanBeGivenUp)
{
    for (const std::string damaged : {"chip.pb", "coming", "earlier", "recovered.pb"}) {
        bring_up();
        const auto earlier = box.epoch();
        box.device().enter_personalization({});
        box.personalize(station);
        const auto coming = box.epoch() + 1;
        const std::string file = damaged == "coming" ? "personalization-" + std::to_string(coming) + ".pb"
            : damaged == "earlier"                   ? "personalization-" + std::to_string(earlier) + ".pb"
                                                     : damaged;
        write_file(box.file(file), as_bytes("damaged"));
        box.boot();
        EXPECT_EQ(reason_of([&] { box.personalize(station, true); }), Reason::storage_failed) << damaged;
        box.device().enter_personalization({});
        EXPECT_EQ(name(box.state()), name(State::personalization)) << damaged;
        EXPECT_EQ(box.device().status().detail, "") << damaged;
        EXPECT_EQ(box.epoch(), damaged == "coming" ? coming + 1 : coming - 1)
            << "a record of a damaged personalization may exist: its epoch is left behind";
        box.personalize(station, true);
        EXPECT_EQ(name(box.state()), name(State::operating)) << damaged;
        EXPECT_EQ(box.device().status().identity_value, "SN-000001") << damaged;
        box.device().enter_personalization({});
    }
}

// The switch was made by other means: one more increment would end the module key that it has brought to life.
TEST_F(DeviceTest, ASwitchThatSomebodyElseHasMadeIsNotMadeTwice)
{
    box.personalize(station);
    const auto epoch = box.epoch();
    box.increment();
    EXPECT_EQ(reason_of([&] { box.personalize(station, true); }), Reason::epoch_mismatch);
    EXPECT_EQ(name(box.state()), name(State::operating));
    EXPECT_EQ(box.epoch(), epoch + 1);
    EXPECT_NO_THROW(box.sign(box.epoch(), as_bytes("alive")));
}

TEST_F(DeviceTest, ACancelAfterTheSwitchComesTooLate)
{
    std::string last;
    const device::Progress report = [&](unsigned percent, const std::string& step) {
        last = step;
        if (percent == 95)
            box.cancel.cancel();
    };
    EXPECT_EQ(reason_of([&] { box.device().personalize(station.address(), true, report, box.cancel); }), std::nullopt);
    EXPECT_EQ(last, "operating");
    EXPECT_EQ(name(box.state()), name(State::operating));
}

TEST(Manufactured, AVendorsCertificateIsEnough)
{
    TestDevice box(SoftwareTpm::Kind::manufactured);
    const TestStation station(manufacturer());
    box.personalize(station, true);
    EXPECT_EQ(box.state(), State::operating);
}

// design.md: at most 44 commands for a first personalization, 38 for a later one, with proof and switch.
TEST(Manufactured, TheBudgetOfTpmCommandsIsKept)
{
    TestDevice box(SoftwareTpm::Kind::manufactured);
    TestStation station(manufacturer());
    station.set({.drop_before = hello}); // the preparation alone
    const auto before = box.wire.count();
    EXPECT_TRUE(reason_of([&] { box.personalize(station); }));
    RecordProperty("preparation", static_cast<int>(box.wire.count() - before));
    station.set({});
    box.boot();

    box.wire.reset();
    box.personalize(station, true);
    EXPECT_LE(box.wire.count(), 44U);
    RecordProperty("first_personalization", static_cast<int>(box.wire.count()));

    box.device().enter_personalization({});
    box.wire.reset();
    box.personalize(station, true);
    EXPECT_LE(box.wire.count(), 38U);
    RecordProperty("later_personalization", static_cast<int>(box.wire.count()));
}

TEST_F(DeviceTest, Attack32_NothingIsLeftInTheTpm)
{
    bring_up();
    EXPECT_EQ(box.leftovers(), 0U);
}

} // namespace
} // namespace imprint::test
