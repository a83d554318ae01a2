// SPDX-License-Identifier: Apache-2.0
// B17: the keys come back from the archive, and only to the device that they belong to.
#include "daemon/lifecycle/store.h"
#include "daemon/structures/templates.h"
#include "provisioning/device/chip.h"
#include "tests/recovery/fixture.h"

namespace imprint::test {
namespace {

TEST_F(Recovery, B17_AfterTheDiskWasLostItIsOperatingAgain)
{
    bring_up_and_publish();
    const auto before = box.device().status();
    lose_disk();
    EXPECT_EQ(box.state(), State::disk_lost);
    box.recover(archive.address());

    const auto status = box.device().status();
    EXPECT_EQ(status.state, State::operating);
    EXPECT_EQ(status.chip_identifier, before.chip_identifier);
    EXPECT_EQ(status.identity_value, before.identity_value);
    EXPECT_EQ(status.module_certificate, before.module_certificate);
    EXPECT_EQ(status.identity_certificate, before.identity_certificate);
    EXPECT_EQ(status.keys, before.keys);
    EXPECT_EQ(box.device().export_backup(), records_.at(status.sequence));
    EXPECT_NO_THROW(box.sign(status.epoch, as_bytes("operating again")));
    box.boot();
    EXPECT_EQ(box.state(), State::operating);
}

TEST_F(Recovery, B17_OrFromARecordThatIsHandedIn)
{
    bring_up_and_publish();
    const Bytes record = box.device().export_backup();
    lose_disk();
    box.restore(record);
    EXPECT_EQ(box.state(), State::operating);
    EXPECT_NO_THROW(box.sign(box.epoch(), as_bytes("operating again")));
}

TEST_F(Recovery, ItKeepsItsBudgetOfTpmCommands)
{
    bring_up_and_publish();
    lose_disk();
    box.wire.reset();
    box.recover(archive.address());
    EXPECT_LE(box.wire.count(), 24U);
    RecordProperty("recovery", static_cast<int>(box.wire.count()));
}

TEST_F(Recovery, B17_AfterTpmClearTheDataKeysComeBack)
{
    bring_up_and_publish();
    const auto epoch = box.epoch();
    clear_tpm();
    EXPECT_EQ(box.state(), State::tpm_cleared);
    EXPECT_EQ(reason_of([&] { box.personalize(station); }), Reason::wrong_state) << "never a silent re-enrolment";
    box.recover(archive.address());
    EXPECT_EQ(box.state(), State::recovered);
    EXPECT_GT(box.epoch(), epoch);
    EXPECT_EQ(box.device().status().keys, std::vector<std::string>{"manufacturer-channel"});
    EXPECT_TRUE(box.device().status().module_certificate.empty());

    box.personalize(station, true);
    EXPECT_EQ(box.state(), State::operating);
    EXPECT_EQ(box.device().status().identity_value, "SN-000001");
    EXPECT_FALSE(box.files().contains("recovered.pb"));
}

TEST_F(Recovery, B17_AfterTpmClearAndWithoutTheDisk)
{
    bring_up_and_publish();
    box.lose_disk();
    clear_tpm();
    EXPECT_EQ(box.state(), State::blank);
    box.recover(archive.address());
    EXPECT_EQ(box.state(), State::recovered);
    box.personalize(station, true);
    EXPECT_EQ(box.device().status().identity_value, "SN-000001");
}

TEST_F(Recovery, AfterTheCounterWasDeleted)
{
    bring_up_and_publish();
    const Bytes undefine{0x80, 0x02, 0, 0, 0, 31, 0,    0, 0x01, 0x22, 0x40, 0, 0, 0x01, 0x01, 0x80,
                         0x49, 0x4d, 0, 0, 0, 9,  0x40, 0, 0,    0x09, 0,    0, 0, 0,    0};
    ASSERT_EQ(hex(box.tpm.send(undefine)).substr(12, 8), "00000000");
    box.boot();
    EXPECT_EQ(box.state(), State::epoch_deleted);
    box.recover(archive.address());
    EXPECT_EQ(box.state(), State::recovered);
}

TEST_F(Recovery, GivingUpIsAnExplicitActToo)
{
    bring_up_and_publish();
    clear_tpm();
    box.device().enter_personalization({});
    EXPECT_EQ(box.state(), State::personalization);
    box.personalize(station, true);
    EXPECT_EQ(box.state(), State::operating);
}

TEST_F(Recovery, Attack38_ADiskRolledBackIsToldApartAndRepaired)
{
    bring_up_and_publish();
    const auto old = box.files();
    box.device().enter_personalization({});
    bring_up_and_publish();
    box.lose_disk();
    for (const auto& [name, content] : old)
        write_file(box.file(name), content);
    box.boot();
    EXPECT_EQ(box.state(), State::disk_rolled_back);
    box.recover(archive.address());
    EXPECT_EQ(box.state(), State::operating);
    EXPECT_NO_THROW(box.sign(box.epoch(), as_bytes("the present key")));
}

TEST_F(Recovery, ADamagedFileIsReplacedByARecoveryOnly)
{
    bring_up_and_publish();
    write_file(box.file("personalization-" + std::to_string(box.epoch()) + ".pb"), as_bytes("damaged"));
    box.boot();
    EXPECT_EQ(box.state(), State::disk_lost);
    box.recover(archive.address());
    EXPECT_EQ(box.state(), State::operating);
    EXPECT_EQ(box.device().status().detail, "");
}

// Personalized but not switched yet: the newest record is the coming epoch's.
TEST_F(Recovery, B17_AfterTheDiskWasLostBeforeTheSwitch)
{
    box.personalize(station);
    const auto epoch = box.epoch();
    publish(epoch + 1);
    lose_disk();
    EXPECT_EQ(box.state(), State::personalization);
    EXPECT_EQ(reason_of([&] { box.personalize(station); }), Reason::chip_already_known);
    box.recover(archive.address());
    EXPECT_EQ(box.state(), State::recovered);
    box.personalize(station, true);
    EXPECT_EQ(box.state(), State::operating);
    EXPECT_EQ(box.epoch(), epoch + 3);
    EXPECT_EQ(box.device().status().identity_value, "SN-000001");
}

// Which endorsement key the chip is known by stands in the other files, too.
TEST(RecoveryByAnotherKey, TheChipKeepsItsNameWithoutItsFile)
{
    const TestArchive archive;
    TestStation station(manufacturer());
    TestDevice box(SoftwareTpm::Kind::manufactured);
    const auto keys = box.endorsement_keys();
    ASSERT_GE(keys.size(), 2U);
    lifecycle::Chip chip = device::begin_chip(keys, 1);
    lifecycle::Store(box.directory()).save(chip);
    box.boot();
    box.personalize(station, true);
    EXPECT_EQ(box.chip(), keys[1].chip_identifier);
    box.device().enter_personalization({});
    std::filesystem::remove(box.file("chip.pb"));
    box.boot();
    box.personalize(station, true);
    EXPECT_EQ(box.chip(), keys[1].chip_identifier);
    EXPECT_EQ(box.state(), State::operating);
}

// A TPM without certificates is known by its persistent endorsement key, which TPM2_Clear evicts.
TEST_F(Recovery, B17_AfterTpmClearByAKeyThatOnlyTheFilesRemember)
{
    {
        const tpm::Connection connection(box.wire.tcti());
        const auto shape = std::ranges::find(structures::ek_templates(), "L-1", &structures::EkTemplate::name);
        const TPM2B_SENSITIVE_CREATE sensitive{};
        const TPM2B_PUBLIC in{0, shape->area};
        const TPML_PCR_SELECTION pcrs{};
        ESYS_TR primary = ESYS_TR_NONE;
        ESYS_TR persistent = ESYS_TR_NONE;
        connection.check(Esys_CreatePrimary(connection.esys(), ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                            ESYS_TR_NONE, &sensitive, &in, nullptr, &pcrs, &primary, nullptr, nullptr,
                                            nullptr, nullptr),
                         "create");
        connection.check(Esys_EvictControl(connection.esys(), ESYS_TR_RH_OWNER, primary, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                           ESYS_TR_NONE, 0x81010001, &persistent),
                         "persist");
        connection.check(Esys_FlushContext(connection.esys(), primary), "flush");
    }
    const auto made = box.chip();
    box.boot();
    const auto chip = box.chip();
    ASSERT_NE(chip, made);
    station.allow(chip);
    bring_up_and_publish();
    clear_tpm();
    EXPECT_EQ(box.chip(), chip);
    EXPECT_EQ(box.state(), State::tpm_cleared);
    box.recover(archive.address());
    EXPECT_EQ(box.state(), State::recovered);
    box.personalize(station, true);
    EXPECT_EQ(box.state(), State::operating);
    EXPECT_EQ(box.chip(), chip);
}

TEST_F(Recovery, Attack45_AnOlderRecordServedAsTheNewest)
{
    bring_up_and_publish();
    const auto first = box.epoch();
    box.device().enter_personalization({});
    bring_up_and_publish();
    lose_disk();
    expect_refused(records_.at(first), Reason::record_outdated, "handed in");
    archive.put("/v1/records/" + box.chip() + "/" + std::to_string(box.epoch()), records_.at(first));
    EXPECT_EQ(reason_of([&] { box.recover(archive.address()); }), Reason::record_outdated);
    EXPECT_EQ(box.state(), State::disk_lost);
    EXPECT_TRUE(box.files().empty());
}

TEST_F(Recovery, Attack20_Attack45_AnArchiveWithoutTheRecordSaysSo)
{
    box.personalize(station, true);
    lose_disk();
    EXPECT_EQ(reason_of([&] { box.recover(archive.address()); }), Reason::record_not_found);
    EXPECT_EQ(box.state(), State::disk_lost);
    EXPECT_TRUE(box.files().empty());
}

TEST_F(Recovery, B17_AnotherDevicesTpmGetsNothingAndAClearError)
{
    bring_up_and_publish();
    TestDevice other;
    station.allow(other.chip());
    other.personalize(station, true);
    other.lose_disk();
    other.boot();
    EXPECT_EQ(reason_of([&] { other.restore(records_.begin()->second); }), Reason::record_foreign);
    EXPECT_EQ(reason_of([&] { other.recover(archive.address()); }), Reason::record_not_found);
    EXPECT_EQ(other.state(), State::disk_lost);
    EXPECT_TRUE(other.files().empty());
}

TEST_F(Recovery, Attack38_AnotherTpmUnderTheSameFilesIsALatchedStop)
{
    bring_up_and_publish();
    TestDevice other;
    for (const auto& [name, content] : box.files())
        write_file(other.file(name), content);
    other.boot();
    EXPECT_EQ(other.state(), State::tpm_replaced);
    EXPECT_EQ(reason_of([&] { other.recover(archive.address()); }), Reason::tpm_replaced);
    EXPECT_EQ(reason_of([&] { other.personalize(station); }), Reason::tpm_replaced);
    EXPECT_EQ(reason_of([&] { other.device().enter_personalization({}); }), Reason::tpm_replaced);

    // What its hint says, without a restart.
    other.lose_disk();
    other.device().refresh();
    EXPECT_EQ(other.state(), State::blank);
    station.allow(other.chip());
    other.personalize(station, true);
    EXPECT_EQ(other.state(), State::operating);
}

TEST_F(Recovery, Attack44_ForgedRecordsHaveEachTheirName)
{
    bring_up_and_publish();
    const Bytes good = box.device().export_backup();
    const auto& pki = manufacturer();
    const TestPki twin;
    const auto content = pki::open_signed(good, package::max_record).or_throw().content;
    const auto other_station = pki.ca(pki::Role::station_signing, "Station 2");
    const auto foreign_identity = twin.identity("SN-000001", box.chip());
    lose_disk();

    const auto by_station =
        pki::sign(content, pki.station_signing.certificate, pki.station_signing.key.get(), {pki.root.certificate});
    expect_refused(by_station, Reason::record_invalid, "a station alone");
    const auto by_two_stations = pki::add_signer(by_station, other_station.certificate, other_station.key.get(), {});
    expect_refused(by_two_stations, Reason::record_invalid, "two stations");

    package::RecordContent forged;
    ASSERT_TRUE(forged.ParseFromString(to_string(content)));
    forged.set_identity_certificate(to_string(foreign_identity.certificate.der()));
    auto record = package::make_record(forged, foreign_identity.certificate, foreign_identity.key.get(),
                                       {twin.identity_ca.certificate});
    record = package::countersign(record, pki.station_signing.certificate, pki.station_signing.key.get(), {});
    expect_refused(record, Reason::untrusted_certificate, "an identity key of another manufacturer");

    const auto own = pki.identity("SN-000001", box.chip());
    forged.set_identity_certificate(to_string(own.certificate.der()));
    record = package::make_record(forged, own.certificate, own.key.get(), {});
    record = package::countersign(record, pki.station_signing.certificate, pki.station_signing.key.get(), {});
    expect_refused(record, Reason::key_mismatch, "a certified key that is not this TPM's");
}

// Records whose parts do not belong together, under signatures that hold: what is inside is bound, too.
TEST_F(Recovery, Attack19_MixedUpRecordsOpenNowhere)
{
    bring_up_and_publish();
    const auto first = box.epoch();
    box.device().enter_personalization({});
    bring_up_and_publish();
    const auto second = box.epoch();
    TestDevice other;
    station.allow(other.chip());
    other.personalize(station, true);

    const auto content_of = [](BytesView record) {
        package::RecordContent content;
        content.ParseFromString(to_string(pki::open_signed(record, package::max_record).or_throw().content));
        return content;
    };
    const auto of_first = content_of(records_.at(first)), of_other = content_of(other.device().export_backup());
    const auto mixed = [&](const std::function<void(package::RecordContent&)>& change) {
        auto content = content_of(records_.at(second));
        change(content);
        const auto& key = manufacturer().station_signing;
        return package::countersign(box.sign_record(content), key.certificate, key.key.get(), {});
    };
    lose_disk();
    expect_refused(mixed([&](auto& content) { *content.mutable_sealed_secret() = of_first.sealed_secret(); }),
                   Reason::record_invalid, "the secret of another sequence");
    expect_refused(mixed([&](auto& content) { content.set_backup_package(of_first.backup_package()); }),
                   Reason::record_invalid, "the backup of another sequence");
    expect_refused(mixed([&](auto& content) {
                       *content.mutable_sealed_secret() = of_first.sealed_secret();
                       content.set_backup_package(of_first.backup_package());
                   }),
                   Reason::record_invalid, "both: the key is bound to the sequence");
    expect_refused(mixed([&](auto& content) { content.set_backup_package(of_other.backup_package()); }),
                   Reason::record_invalid, "the backup of another device");
    expect_refused(mixed([&](auto& content) { *content.mutable_sealed_secret() = of_other.sealed_secret(); }),
                   Reason::record_foreign, "the secret of another device");
    box.restore(mixed([](auto&) {}));
    EXPECT_EQ(box.state(), State::operating) << "the same without any change";
}

TEST_F(Recovery, Attack20_DamagedRecordsAreRefused)
{
    bring_up_and_publish();
    const Bytes good = box.device().export_backup();
    lose_disk();
    for (const std::size_t size : {std::size_t(0), std::size_t(1), good.size() / 2, good.size() - 1})
        expect_refused(BytesView(good).first(size), Reason::record_invalid, "cut to " + std::to_string(size));
    for (std::size_t at = 100; at < good.size(); at += good.size() / 20) {
        Bytes flipped = good;
        flipped[at] ^= 1;
        EXPECT_TRUE(reason_of([&] { box.restore(flipped); })) << at;
        EXPECT_EQ(box.state(), State::disk_lost) << at;
        EXPECT_TRUE(box.files().empty()) << at;
    }
    box.restore(good);
    EXPECT_EQ(box.state(), State::operating);
}

TEST_F(Recovery, TheChainsAreJudgedAtTheTimeOfTheStationsSignature)
{
    bring_up_and_publish();
    lose_disk();
    const auto record = package::open_record(records_.begin()->second, manufacturer().trust(), at(2101));
    EXPECT_FALSE(record) << "by then it has ended";
    EXPECT_TRUE(package::open_record(records_.begin()->second, manufacturer().trust(), std::nullopt));
}

// The certificate of the key that was chosen while the device was blank need not be the first one any more.
TEST(ManufacturedRecovery, ARecordMadeForTheSecondEndorsementKeyIsFound)
{
    TestDevice box(SoftwareTpm::Kind::manufactured);
    const auto keys = box.endorsement_keys();
    ASSERT_EQ(keys.size(), 2U);
    lifecycle::Store(box.directory()).save(device::begin_chip(keys, 1));
    box.boot();
    ASSERT_EQ(name(box.state()), name(State::blank));
    const TestStation station(manufacturer());
    box.personalize(station, true);
    EXPECT_EQ(box.chip(), keys[1].chip_identifier);

    TestArchive archive;
    archive.put("/v1/records/" + box.chip() + "/" + std::to_string(box.epoch()), box.device().export_backup());
    box.lose_disk();
    box.boot();
    EXPECT_EQ(box.chip(), keys[0].chip_identifier) << "nothing says otherwise yet";
    box.recover(archive.address());
    EXPECT_EQ(box.state(), State::operating);
    EXPECT_EQ(box.chip(), keys[1].chip_identifier);
    box.boot();
    EXPECT_EQ(box.state(), State::operating);
}

} // namespace
} // namespace imprint::test
