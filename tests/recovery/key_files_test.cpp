// SPDX-License-Identifier: Apache-2.0
// Keys that may leave as key files hang under a parent of their package: it comes back with them, and nothing comes
// back of a record whose parent and children do not belong together.
#include "backup/package/backup_package.h"
#include "daemon/lifecycle/store.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/templates.h"
#include "tests/package/broken_package.h"
#include "tests/recovery/fixture.h"

namespace imprint::test {
namespace {

const std::vector<std::string> labels{"channel", "file", "file.hmac"};

class KeyFiles : public Recovery {
protected:
    KeyFiles()
    {
        using namespace station;
        station.give({{{"channel", DerivedKey{"channel", 1}},
                       {"file", PairKey{}, true},
                       {"file.hmac", DerivedKey{"file.hmac", 1}, true}}});
    }
    Bytes hmac()
    {
        const Secret mac =
            box.device().use_key({device::KeyUse::Operation::hmac, "file.hmac", {}, to_bytes("challenge"), 0});
        return {mac.begin(), mac.end()};
    }
    device::Recoverable check() { return box.device().check_recovery(archive.address(), {}, {}, box.cancel); }

    // The device's record as it would be if the station had granted what `change` makes of the package.
    Bytes record_with(const std::function<void(package::DataPackage&)>& change)
    {
        const auto messages = station.messages();
        const auto grant = protocol::parse(messages.at(3)).or_throw().grant();
        package::DataPackage data;
        data.ParseFromString(grant.data_package());
        change(data);
        const Secret secret = random_secret(package::secret_size);
        const auto sealed = structures::wrap(storage_key(), structures::sealed_secret_template(), secret);

        package::RecordContent content;
        content.ParseFromString(
            to_string(pki::open_signed(box.device().export_backup(), package::max_record).or_throw().content));
        content.mutable_sealed_secret()->set_object(to_string(sealed.object));
        content.mutable_sealed_secret()->set_duplicate(to_string(sealed.duplicate));
        content.mutable_sealed_secret()->set_seed(to_string(sealed.seed));
        content.set_backup_package(to_string(package::seal(backup_of(grant, data), secret)));
        const auto& key = manufacturer().station_signing;
        return package::countersign(box.sign_record(content), key.certificate, key.key.get(), {});
    }
    TPMT_PUBLIC storage_key() const
    {
        const auto hello = protocol::parse(station.messages().at(0)).or_throw().hello();
        return structures::unmarshal<TPMT_PUBLIC>(as_bytes(hello.storage_key())).or_throw();
    }
    package::BackupContent backup_of(const protocol::Grant& grant, const package::DataPackage& data)
    {
        const auto file = lifecycle::Store(box.directory()).load().personalizations.at(box.epoch());
        package::BackupContent backup;
        backup.set_version(package::format_version);
        backup.set_chip_identifier(box.chip());
        backup.set_sequence(box.epoch());
        backup.set_data_package(to_string(package::serialize(data)));
        backup.mutable_device()->set_module_object(file.module_key().object());
        backup.mutable_device()->set_module_sensitive(file.module_key().sensitive());
        backup.mutable_device()->set_module_certificate(grant.module_certificate());
        backup.mutable_device()->set_identity_certificate(grant.identity_certificate());
        *backup.mutable_device()->mutable_certificates() = file.certificates();
        return backup;
    }
    // Every broken record is refused by its name, and leaves files and TPM as they were.
    void expect_all_refused(const std::vector<std::pair<Bytes, BrokenPackage>>& records, std::uint64_t sequence)
    {
        const auto before = std::tuple(box.files(), handles(), box.state());
        for (const auto& [record, broken] : records) {
            EXPECT_EQ(reason_of([&] { box.restore(record, sequence); }), broken.reason) << broken.what;
            EXPECT_EQ(std::tuple(box.files(), handles(), box.state()), before) << broken.what;
        }
    }
    std::vector<std::pair<Bytes, BrokenPackage>> broken_records()
    {
        std::vector<std::pair<Bytes, BrokenPackage>> records;
        for (const auto& broken : broken_packages(storage_key()))
            records.emplace_back(record_with(broken.change), broken);
        return records;
    }
};

TEST_F(KeyFiles, B17_ComeBackAfterTheDiskWasLost)
{
    bring_up_and_publish();
    const Bytes before = hmac();
    lose_disk();
    EXPECT_EQ(check().keys, labels);
    box.recover(archive.address());
    EXPECT_EQ(box.state(), State::operating);
    EXPECT_EQ(box.device().status().keys, labels);
    EXPECT_EQ(hmac(), before);
}

TEST_F(KeyFiles, B17_ComeBackAfterTpmClear)
{
    bring_up_and_publish();
    const Bytes before = hmac();
    clear_tpm();
    EXPECT_TRUE(reason_of([&] { hmac(); })) << "what was loadable is so no more";
    const auto handles_before = handles();
    EXPECT_EQ(check().keys, labels);
    EXPECT_EQ(handles(), handles_before);
    box.recover(archive.address());
    EXPECT_EQ(box.state(), State::recovered);
    EXPECT_EQ(hmac(), before);
    box.personalize(station, true);
    EXPECT_EQ(box.state(), State::operating);
    EXPECT_EQ(hmac(), before) << "derived for the same identity, under another parent";
}

// As the threat model has it: no epoch binds them, and so root uses a copy of the disk on this very TPM, in whatever
// state, until it is cleared. The module key's epoch is over with the increment.
TEST_F(KeyFiles, ACopyOfTheDiskIsOfUseOnThisTpmAloneAndUntilItIsCleared)
{
    bring_up();
    const auto file = lifecycle::Store(box.directory()).load().personalizations.at(box.epoch());
    const auto& key = file.keys(2);
    const auto use = [&](Wire& wire) {
        tpm::Settings settings;
        settings.tcti = "test"; // no resource manager
        tpm::SecurityModule module(tpm::Connection(wire.tcti()), std::move(settings));
        const tpm::SecurityModule::Trial trial(module);
        tpm::SecurityModule::Work work(module);
        const auto parent = work.load(as_bytes(file.parent().object()), as_bytes(file.parent().sensitive()));
        const auto loaded = work.load_child(parent, as_bytes(key.object()), as_bytes(key.sensitive()));
        return work.hmac_with(loaded, as_bytes("challenge"));
    };
    const Bytes mac = hmac();
    box.device().enter_personalization({});
    EXPECT_EQ(reason_of([&] { box.sign(file.sequence(), as_bytes("message")); }), Reason::tpm_refused);
    box.kill();
    EXPECT_TRUE(equal(use(box.wire).view(), mac));

    SoftwareTpm another(SoftwareTpm::Kind::bare);
    Wire to_another(another.descriptor());
    EXPECT_EQ(reason_of([&] { use(to_another); }), Reason::tpm_refused);
    box.tpm.clear();
    EXPECT_EQ(reason_of([&] { use(box.wire); }), Reason::tpm_refused);
}

// What a further key costs the TPM: in a personalization, and in the recovery of its record.
TEST_F(KeyFiles, CostTheTpmLessThanKeysThatAreEachImported)
{
    const auto cost = [&](int keys, bool under_parent) {
        station::PackageProfile profile;
        profile.entries.clear();
        for (int i = 0; i < keys; ++i)
            profile.entries.push_back({"key-" + std::to_string(i), station::PairKey{}, under_parent});
        station.give(profile);
        const auto counted = [&](const std::function<void()>& step) {
            box.wire.reset();
            step();
            return box.wire.count();
        };
        if (box.state() == State::operating)
            box.device().enter_personalization({});
        const auto personalization = counted([&] { box.personalize(station, true); });
        const Bytes record = box.device().export_backup();
        lose_disk();
        return std::pair(personalization, counted([&] { box.restore(record); }));
    };
    cost(1, true); // what is asked once is remembered
    const auto child = std::pair(cost(2, true), cost(4, true)), imported = std::pair(cost(2, false), cost(4, false));
    EXPECT_EQ(child.second.first - child.first.first, 2 * 3U);
    EXPECT_EQ(child.second.second - child.first.second, 2 * 2U);
    EXPECT_EQ(imported.second.first - imported.first.first, 2 * 8U);
    EXPECT_EQ(imported.second.second - imported.first.second, 2 * 7U);
}

TEST_F(KeyFiles, ACheckNamesAnotherParentThanTheFilesHave)
{
    bring_up_and_publish();
    const lifecycle::Store store(box.directory());
    auto file = store.load().personalizations.at(box.epoch());
    file.mutable_parent()->set_object(SoftwareParent().wrapped_for(storage_key()).object());
    store.save(file);
    box.boot();
    EXPECT_EQ(reason_of([&] { check(); }), Reason::key_mismatch);
}

TEST_F(KeyFiles, Attack19_AParentAndChildrenThatDoNotBelongTogetherAreRefusedAfterALostDisk)
{
    bring_up_and_publish();
    const auto records = broken_records();
    const auto same = record_with([](auto&) {});
    lose_disk();
    expect_all_refused(records, box.epoch());
    box.restore(same);
    EXPECT_EQ(box.state(), State::operating) << "the same without any change";
}

TEST_F(KeyFiles, Attack19_AParentAndChildrenThatDoNotBelongTogetherAreRefusedAfterTpmClear)
{
    bring_up_and_publish();
    const auto sequence = box.epoch();
    const auto records = broken_records();
    const auto same = record_with([](auto&) {});
    clear_tpm();
    expect_all_refused(records, sequence);
    box.restore(same, sequence);
    EXPECT_EQ(box.state(), State::recovered) << "the same without any change";
}

} // namespace
} // namespace imprint::test
