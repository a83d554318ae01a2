// SPDX-License-Identifier: Apache-2.0
// What is remembered, and in which form.
#include "tests/central/software_module.h"
#include "tests/support/process.h"

#include <gtest/gtest.h>

#include <functional>

namespace imprint::central {
namespace {

class Memory : public testing::Test {
protected:
    NewKey make(const test::SoftwareModule& of, pki::Time made = test::now) const
    {
        return make_key(of.chain(), of.peer(), {}, made);
    }
    Verdict add(const NewKey& key) { return store.add(seal(sealer, test::copy(key))); }
    bool in_force(const NewKey& key, pki::Time when = test::now, const std::vector<pki::Crl>& lists = {})
    {
        pki::Trust trust = pki.trust();
        trust.crls = lists;
        const auto psk = test::psk_of(key);
        const auto found = find_key(store, psk.identity, trust, when);
        return found && equal(psk_of(sealer, *found, psk.identity).value().view(), psk.key.view());
    }

    test::TestPki pki;
    test::SoftwareModule device{pki, "SN-1"};
    test::TemporaryDirectory directory;
    Store store{directory / "central.db"};
    Sealer sealer{random_secret(32)};
};

TEST_F(Memory, AnEpochNeverComesBack)
{
    EXPECT_TRUE(store.admit("a", 3));
    EXPECT_TRUE(store.admit("a", 3));
    EXPECT_TRUE(store.admit("b", 1));
    EXPECT_TRUE(store.admit("a", 7));
    const auto older = store.admit("a", 5);
    ASSERT_FALSE(older);
    EXPECT_EQ(older.refusal().reason, Reason::certificate_outdated);
    Store another(directory / "central.db");
    EXPECT_FALSE(another.admit("a", 3));
    EXPECT_TRUE(another.admit("a", 7));
}

TEST_F(Memory, A32_TwoKeysOfAChipAreInForce)
{
    const auto first = make(device), second = make(device), third = make(device);
    EXPECT_TRUE(add(first));
    EXPECT_TRUE(add(second));
    EXPECT_TRUE(in_force(first));
    EXPECT_TRUE(in_force(second));
    EXPECT_TRUE(add(third));
    EXPECT_FALSE(in_force(first));
    EXPECT_TRUE(in_force(second));
    EXPECT_TRUE(in_force(third));
}

TEST_F(Memory, A32_KeysOfOtherChipsStay)
{
    const test::SoftwareModule other(pki, "SN-2");
    const auto theirs = make(other);
    EXPECT_TRUE(add(theirs));
    for (int i = 0; i < 3; ++i)
        EXPECT_TRUE(add(make(device)));
    EXPECT_TRUE(in_force(theirs));
    EXPECT_EQ(store.remove_keys(device.chip), 2U);
    EXPECT_TRUE(in_force(theirs));
}

TEST_F(Memory, A32_ExpiryIsJudgedAtEveryUse)
{
    const auto key = make(device);
    EXPECT_TRUE(add(key));
    EXPECT_TRUE(in_force(key, key.row.not_after - std::chrono::seconds(1)));
    EXPECT_FALSE(in_force(key, key.row.not_after));
    store.remove_expired(key.row.not_after - std::chrono::seconds(1));
    EXPECT_EQ(store.keys().size(), 1U);
    store.remove_expired(key.row.not_after);
    EXPECT_TRUE(store.keys().empty());
}

TEST_F(Memory, A32_ANewEpochEndsAllOlderKeys)
{
    const auto key = make(device);
    EXPECT_TRUE(add(key));
    EXPECT_TRUE(store.admit(device.chip, 5));
    EXPECT_FALSE(in_force(key));
    EXPECT_FALSE(add(make(device))) << "of the older epoch";
}

TEST_F(Memory, A32_RevocationOfTheCertificateEndsItsKey)
{
    const auto key = make(device);
    const test::SoftwareModule other(pki, "SN-2");
    const auto theirs = make(other);
    EXPECT_TRUE(add(key));
    EXPECT_TRUE(add(theirs));
    const auto named = pki.station_crl(device.module.certificate);
    EXPECT_FALSE(in_force(key, test::now, {named}));
    EXPECT_TRUE(in_force(theirs, test::now, {named}));
    EXPECT_FALSE(in_force(theirs, test::now, {pki.crl(pki.station_signing.certificate)})) << "the station was revoked";
}

TEST_F(Memory, Attack07_WhatIsNoNameIsAsGoodAsRevoked)
{
    const auto name = name_of(device.module.certificate);
    EXPECT_FALSE(is_revoked({name}, {}));
    for (const auto& broken : {CertificateName{{}, name.serial}, CertificateName{{0x30, 0x7F}, name.serial},
                               CertificateName{name.issuer, ""}, CertificateName{name.issuer, "0x"}})
        EXPECT_TRUE(is_revoked({broken}, {}));
    EXPECT_TRUE(is_revoked({name}, {pki.station_crl(device.module.certificate)}));
}

TEST_F(Memory, A32_ARowThatWasChangedGivesNoKey)
{
    const auto key = make(device);
    const StoredKey row = seal(sealer, test::copy(key));
    const auto opens = [&](const StoredKey& changed) {
        const auto psk = test::psk_of(key);
        return psk_of(sealer, {changed, device.peer()}, psk.identity).has_value();
    };
    EXPECT_TRUE(opens(row));
    const std::vector<std::function<void(StoredKey&)>> changes{
        [](StoredKey& r) { r.id[0] ^= 1; },
        [](StoredKey& r) { r.chip[0] = r.chip[0] == 'a' ? 'b' : 'a'; },
        [](StoredKey& r) { r.epoch += 2; },
        [](StoredKey& r) { r.made += std::chrono::seconds(1); },
        [](StoredKey& r) { r.rotate_after += std::chrono::seconds(1); },
        [](StoredKey& r) { r.not_after += std::chrono::days(1); },
        [](StoredKey& r) { r.identity.kind = "imei"; },
        [](StoredKey& r) { r.identity.value += "1"; },
        [](StoredKey& r) { r.module.issuer.back() ^= 1; },
        [](StoredKey& r) { r.module.serial = r.station.serial; },
        [](StoredKey& r) { std::swap(r.module, r.station); },
        [](StoredKey& r) { r.station.serial.back() = r.station.serial.back() == '0' ? '1' : '0'; },
        [](StoredKey& r) { r.sealed.front() ^= 1; },
        [](StoredKey& r) { r.sealed[14] ^= 1; },
        [](StoredKey& r) { r.sealed.back() ^= 1; },
        [](StoredKey& r) { r.sealed.pop_back(); },
        [](StoredKey& r) { r.sealed.resize(27); },
        [](StoredKey& r) { r.sealed.clear(); }};
    for (std::size_t i = 0; i < changes.size(); ++i) {
        StoredKey changed = row;
        changes[i](changed);
        EXPECT_FALSE(opens(changed)) << i;
    }
    EXPECT_FALSE(Sealer(random_secret(32)).open(row.sealed, {})) << "another storage key";
}

TEST_F(Memory, NoKeyStandsInTheDatabaseInClear)
{
    const auto key = make(device);
    EXPECT_TRUE(add(key));
    std::string all;
    for (const auto* name : {"central.db", "central.db-wal"})
        all += to_string(read_file(directory / name, 1 << 24).value_or(Bytes{}));
    EXPECT_NE(all.find(device.chip), std::string::npos);
    EXPECT_EQ(all.find(std::string(as_text(key.key.view()))), std::string::npos);
}

} // namespace
} // namespace imprint::central
