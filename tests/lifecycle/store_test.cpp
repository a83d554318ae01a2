// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/file.h"
#include "daemon/lifecycle/store.h"
#include "daemon/structures/name.h"
#include "tests/support/process.h"
#include "tests/support/test_pki.h"

#include <gtest/gtest.h>

#include <functional>

namespace imprint::lifecycle {
namespace {

const std::string chip_identifier(64, 'a');

Chip chip()
{
    Chip chip;
    chip.set_chip_identifier(chip_identifier);
    chip.add_endorsement_keys()->set_area("area");
    chip.set_storage_key_name("storage");
    chip.set_identity_key_name("identity");
    return chip;
}

std::string certificate()
{
    static const test::TestPki pki;
    static const std::string der = to_string(pki.station_tls.certificate.der());
    return der;
}

Personalization personalization(std::uint64_t sequence, bool receipt = true)
{
    Personalization file;
    file.set_chip_identifier(chip_identifier);
    file.set_sequence(sequence);
    file.set_identity_certificate(certificate());
    file.mutable_module_key()->set_object("object");
    file.mutable_module_key()->set_certificate(certificate());
    file.add_keys()->set_label("key");
    file.set_record("record " + std::to_string(sequence));
    file.set_receipt(receipt);
    return file;
}

class Directory : public testing::Test {
protected:
    Bytes bytes(const std::string& file) const { return read_file(directory / file, max_file).value(); }
    std::size_t count() const
    {
        return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(directory.path()), {}));
    }
    test::TemporaryDirectory directory;
    Store store{directory.path()};
};

TEST_F(Directory, EmptyOrMissingHoldsNothing)
{
    for (const auto& path : {directory.path(), directory / "none"}) {
        const auto content = Store(path).load();
        EXPECT_FALSE(content.chip);
        EXPECT_TRUE(content.personalizations.empty());
        EXPECT_TRUE(content.damaged.empty());
        EXPECT_FALSE(summary(content).any);
    }
}

// Whoever loads a key for a file needs the parent; and a parent of nothing is nothing that was written here.
TEST_F(Directory, AParentStandsThereExactlyWhereKeysAreUnderIt)
{
    const auto damaged = [&](const std::function<void(Personalization&)>& change) {
        auto file = personalization(7);
        file.mutable_keys(0)->set_key_file(true);
        file.mutable_parent()->set_object("object");
        file.mutable_parent()->set_sensitive("sensitive");
        change(file);
        store.save(file);
        return !store.load().damaged.empty();
    };
    EXPECT_FALSE(damaged([](auto&) {}));
    EXPECT_EQ(store.load().personalizations.at(7).parent().sensitive(), "sensitive");
    EXPECT_FALSE(damaged([](auto& file) {
        file.clear_parent();
        file.mutable_keys(0)->clear_key_file();
    }));
    EXPECT_TRUE(damaged([](auto& file) { file.clear_parent(); }));
    EXPECT_TRUE(damaged([](auto& file) { file.mutable_keys(0)->clear_key_file(); }));
    EXPECT_TRUE(damaged([](auto& file) { file.mutable_parent()->clear_object(); }));
    EXPECT_TRUE(damaged([](auto& file) { file.mutable_parent()->clear_sensitive(); }));
    EXPECT_TRUE(damaged([](auto& file) { file.mutable_parent()->mutable_unknown_fields()->append("\x78\x01"); }));
    EXPECT_TRUE(damaged([](auto& file) {
        file.mutable_parent()->Clear();
        file.mutable_keys(0)->clear_key_file();
    })) << "empty";
}

// Under a digest that is right: what cannot be read would stop whoever shows it, and with it the daemon.
TEST_F(Directory, Attack16_ACertificateThatCannotBeReadIsDamage)
{
    const std::vector<std::function<void(Personalization&)>> changes{
        [](auto& file) { file.set_identity_certificate("certificate"); },
        [](auto& file) { file.clear_identity_certificate(); },
        [](auto& file) { file.mutable_module_key()->set_certificate("certificate"); },
        [](auto& file) { file.mutable_module_key()->clear_certificate(); },
        [](auto& file) { file.add_certificates("certificate"); },
        [](auto& file) { file.mutable_keys(0)->set_certificate("certificate"); },
    };
    for (std::size_t i = 0; i < changes.size(); ++i) {
        auto file = personalization(7);
        changes[i](file);
        store.save(file);
        store.save_recovered(file);
        EXPECT_EQ(store.load().damaged.size(), 2U) << i;
    }
    auto file = personalization(7);
    file.clear_module_key();
    store.save(file);
    store.save_recovered(file);
    ASSERT_EQ(store.load().damaged.size(), 1U) << "after TPM2_Clear there is none";
    EXPECT_TRUE(store.load().recovered);
}

TEST_F(Directory, A32_TransactionKeysGoWithTheirEpoch)
{
    TransactionKeys keys;
    keys.set_chip_identifier(chip_identifier);
    keys.set_sequence(3);
    keys.add_keys()->set_address("hub");
    store.save(keys);
    EXPECT_EQ(store.transaction_keys(3).keys_size(), 1);
    EXPECT_EQ(store.transaction_keys(5).keys_size(), 0);
    EXPECT_TRUE(store.load().damaged.empty());
    store.remove_dead(3);
    EXPECT_EQ(store.transaction_keys(3).keys_size(), 1);
    std::filesystem::copy_file(directory / "transaction-3.pb", directory / "transaction-5.pb");
    EXPECT_EQ(store.transaction_keys(5).keys_size(), 0) << "the file of another epoch";
    write_file(directory / "transaction-5.pb", as_bytes("damaged"));
    EXPECT_EQ(store.transaction_keys(5).keys_size(), 0);
    store.remove_dead(7);
    EXPECT_EQ(count(), 0U);
}

TEST_F(Directory, WhatIsSavedIsLoaded)
{
    store.save(chip());
    store.save(personalization(7));
    store.save(personalization(9, false));
    store.save_recovered(personalization(5));
    const auto content = store.load();
    EXPECT_EQ(content.damaged, std::vector<std::string>());
    EXPECT_EQ(content.chip->storage_key_name(), "storage");
    EXPECT_EQ(content.personalizations.size(), 2U);
    EXPECT_EQ(content.complete(7)->record(), "record 7");
    EXPECT_EQ(content.complete(9), nullptr) << "without its receipt it is not complete";
    EXPECT_EQ(content.newest()->sequence(), 7U);
    const auto files = summary(content);
    EXPECT_EQ(files.receipts, std::vector<std::uint64_t>{7});
    EXPECT_TRUE(files.recovered);
    EXPECT_EQ(files.storage_key_name, to_bytes("storage"));
}

TEST_F(Directory, AllButThePresentEpochGoesWithTheSwitch)
{
    store.save(chip());
    for (const std::uint64_t sequence : {3, 5, 7, 9})
        store.save(personalization(sequence));
    store.save_recovered(personalization(1));
    write_file(directory / "personalization-5.pb", as_bytes("damaged"));
    store.remove_dead(7);
    EXPECT_EQ(count(), 3U);
    const auto content = store.load();
    EXPECT_TRUE(content.complete(7) && content.complete(9) && !content.recovered && content.damaged.empty());
}

TEST_F(Directory, LosingTheChipFileAloneStillTellsWhoseFilesTheyAre)
{
    store.save(personalization(7));
    const auto files = summary(store.load());
    EXPECT_TRUE(files.any);
    EXPECT_EQ(files.chip_identifier, chip_identifier);
}

// A message with the digest that its file needs.
Bytes file_with(const std::string& message)
{
    Bytes file = structures::digest(TPM2_ALG_SHA256, as_bytes(message));
    file.insert(file.end(), message.begin(), message.end());
    return file;
}

TEST_F(Directory, Attack16_EveryChangedByteAndEveryCutIsSeen)
{
    store.save(chip());
    store.save(personalization(7));
    for (const std::string file : {"chip.pb", "personalization-7.pb"}) {
        const Bytes good = bytes(file);
        for (std::size_t i = 0; i < good.size(); ++i) {
            write_file(directory / file, BytesView(good).first(i));
            EXPECT_EQ(store.load().damaged.size(), 1U) << file << " cut to " << i;
            Bytes flipped = good;
            flipped[i] ^= 1;
            write_file(directory / file, flipped);
            EXPECT_EQ(store.load().damaged.size(), 1U) << file << " flipped at " << i;
        }
        write_file(directory / file, good);
    }
    EXPECT_TRUE(store.load().damaged.empty());
}

TEST_F(Directory, Attack17_OnlyTheCanonicalFormIsRead)
{
    auto file = chip();
    file.set_version(file_version);
    const std::string good = file.SerializeAsString();
    write_file(directory / "chip.pb", file_with(good));
    EXPECT_TRUE(store.load().chip);
    for (const auto& extra : {std::string("\xf8\x01\x01"), std::string("\x08\x01"), std::string(1, '\0')}) {
        write_file(directory / "chip.pb", file_with(good + extra));
        EXPECT_EQ(store.load().damaged.size(), 1U) << hex(as_bytes(extra));
    }
}

TEST_F(Directory, DamageIsNamedAndTheRestIsStillRead)
{
    store.save(chip());
    store.save(personalization(7));
    write_file(directory / "personalization-9.pb", bytes("personalization-7.pb"));
    write_file(directory / "recovered.pb", as_bytes("x"));
    const auto content = store.load();
    ASSERT_EQ(content.damaged.size(), 2U);
    EXPECT_NE(content.damaged[0].find("personalization-9.pb"), std::string::npos);
    EXPECT_NE(content.damaged[1].find("recovered.pb"), std::string::npos);
    EXPECT_TRUE(content.complete(7));
    EXPECT_FALSE(content.complete(9)) << "another epoch's file under its name";
    EXPECT_EQ(bytes("recovered.pb"), to_bytes("x")) << "never silently replaced";
}

TEST_F(Directory, AnotherChipsOrVersionsFileIsNotTaken)
{
    store.save(chip());
    auto foreign = personalization(7);
    foreign.set_chip_identifier(std::string(64, 'b'));
    store.save(foreign);
    EXPECT_EQ(store.load().damaged.size(), 1U);

    auto later = personalization(7);
    later.set_version(2);
    write_file(directory / "personalization-7.pb", file_with(later.SerializeAsString()));
    ASSERT_EQ(store.load().damaged.size(), 1U);
    EXPECT_NE(store.load().damaged[0].find("version 2"), std::string::npos);
}

TEST_F(Directory, OtherFilesAreNobodysBusiness)
{
    for (const std::string file : {"personalization-07.pb", "personalization-.pb", "personalization-7.pb.new", "notes"})
        write_file(directory / file, as_bytes("x"));
    const auto content = store.load();
    EXPECT_TRUE(content.personalizations.empty() && content.damaged.empty());
}

TEST_F(Directory, TooLargeIsDamaged)
{
    write_file(directory / "chip.pb", Bytes(max_file + 1));
    EXPECT_EQ(store.load().damaged.size(), 1U);
}

TEST_F(Directory, Attack34_AFailedWriteLeavesTheOldFile)
{
    store.save(chip());
    std::filesystem::create_directory(directory / "chip.pb.new");
    auto changed = chip();
    changed.set_storage_key_name("other");
    EXPECT_THROW(store.save(changed), Error);
    EXPECT_EQ(store.load().chip->storage_key_name(), "storage");
}

} // namespace
} // namespace imprint::lifecycle
