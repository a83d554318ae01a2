// SPDX-License-Identifier: Apache-2.0
// Key files follow the state of the device, whenever the power fails, and never hold it up.
#include "daemon/pki/tss2_key.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/templates.h"
#include "daemon/tpm/reference.h"
#include "tests/device/fixture.h"
#include "tests/device/test_archive.h"

#include <openssl/evp.h>

namespace imprint::test {

namespace {

namespace fs = std::filesystem;
using station::DerivedKey;
using station::PairKey;
using station::PairKind;

const tpm::Settings defaults;

station::PackageProfile profile()
{
    return {{{"channel", DerivedKey{"channel", 1}},
             {"channel-file", DerivedKey{"channel-file", 1}, true},
             {"tls", PairKey{PairKind::p256}, true},
             {"plain", PairKey{PairKind::p256}},
             {"mail", PairKey{PairKind::rsa2048, structures::KeyUse::decrypt}, true}}};
}

class KeyFiles : public DeviceTest {
protected:
    KeyFiles()
    {
        station.give(profile());
        box.settings.key_file_directory = directory.path();
        box.boot();
    }

    std::set<std::string> names() const
    {
        std::set<std::string> found;
        for (const auto& entry : fs::directory_iterator(directory.path()))
            found.insert(entry.path().filename());
        return found;
    }
    bool parent_stands()
    {
        const tpm::Connection other(box.wire.tcti());
        return static_cast<bool>(tpm::look_up(other, defaults.key_file_parent));
    }
    // A program with a file of ours, which knows nothing but the TPM.
    bool loads(const std::string& name)
    {
        const auto pem = read_file(directory / name, pki::max_tss2_key);
        const auto key = pki::tss2_key_from_pem(pem.value_or(Bytes{}));
        if (!key)
            return false;
        const tpm::Connection other(box.wire.tcti());
        const auto parent = tpm::look_up(other, key->parent);
        const auto object = structures::unmarshal<TPM2B_PUBLIC>(key->object).or_throw();
        const auto sensitive = structures::unmarshal<TPM2B_PRIVATE>(key->sensitive).or_throw();
        ESYS_TR tr = ESYS_TR_NONE;
        const auto rc = !parent ? TSS2_RC(TPM2_RC_HANDLE)
                                : Esys_Load(other.esys(), parent.tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                                            &sensitive, &object, &tr);
        const tpm::Transient loaded(other, tr);
        return rc == TSS2_RC_SUCCESS;
    }
    void expect_there()
    {
        EXPECT_EQ(names(), all);
        for (const auto& name : all)
            EXPECT_TRUE(loads(name)) << name;
        EXPECT_THAT(box.device().status().key_files, testing::SizeIs(all.size()));
        EXPECT_EQ(box.device().status().detail, "");
    }
    void expect_gone()
    {
        EXPECT_EQ(names(), std::set<std::string>{});
        EXPECT_FALSE(parent_stands());
        EXPECT_THAT(box.device().status().key_files, testing::IsEmpty());
    }
    void expect_in_line()
    {
        const auto state = box.state();
        state == State::operating || state == State::recovered ? expect_there() : expect_gone();
    }
    void expect_problem(const std::string& sentence)
    {
        EXPECT_THAT(box.device().status().detail, testing::HasSubstr(sentence));
    }
    void publish() { archive.publish(box.chip(), box.epoch(), box.device().export_backup(), manufacturer().archive); }
    void put_a_foreign_key_at_the_handle()
    {
        const tpm::Connection other(box.wire.tcti());
        const TPM2B_SENSITIVE_CREATE sensitive{};
        TPM2B_PUBLIC area{0, structures::storage_key_template()};
        area.publicArea.objectAttributes |= TPMA_OBJECT_USERWITHAUTH;
        const TPML_PCR_SELECTION pcrs{};
        ESYS_TR made = ESYS_TR_NONE, persistent = ESYS_TR_NONE;
        other.check(Esys_CreatePrimary(other.esys(), ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                                       &sensitive, &area, nullptr, &pcrs, &made, nullptr, nullptr, nullptr, nullptr),
                    "make somebody else's key");
        const tpm::Transient owned(other, made);
        other.check(Esys_EvictControl(other.esys(), ESYS_TR_RH_OWNER, made, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                      ESYS_TR_NONE, defaults.key_file_parent, &persistent),
                    "make it persistent");
    }

    const std::set<std::string> all{"channel-file.pem", "tls.pem", "mail.pem"};
    TemporaryDirectory directory;
    TestArchive archive;
};

TEST_F(KeyFiles, B5_B13_B17_TheyFollowTheState)
{
    expect_gone();
    box.personalize(station);
    expect_gone();
    box.device().enter_operating({});
    expect_there();
    publish();
    box.boot();
    expect_there();
    box.lose_disk();
    box.boot();
    ASSERT_EQ(name(box.state()), name(State::disk_lost));
    expect_gone();
    box.recover(archive.address());
    ASSERT_EQ(name(box.state()), name(State::operating));
    expect_there();
    box.device().enter_personalization({});
    expect_gone();
    box.personalize(station, true);
    expect_there();
}

TEST_F(KeyFiles, B17_Attack38_TheyAreBackAfterTpmClear)
{
    bring_up();
    publish();
    box.kill();
    box.tpm.clear();
    EXPECT_FALSE(loads("tls.pem")) << "the parent is gone";
    box.boot();
    ASSERT_EQ(name(box.state()), name(State::tpm_cleared));
    expect_gone();
    box.recover(archive.address());
    ASSERT_EQ(name(box.state()), name(State::recovered));
    expect_there();
    box.personalize(station); // ready, but not switched: nobody may use keys
    ASSERT_EQ(name(box.state()), name(State::personalization));
    expect_gone();
}

TEST_F(KeyFiles, A23_Attack38_ACopyOfTheFilesIsOfNoUseAfterwards)
{
    bring_up();
    const TemporaryDirectory copy;
    fs::copy(directory.path(), copy / "keys", fs::copy_options::recursive);
    box.device().enter_personalization({});
    for (const auto& name : all) {
        fs::copy(copy / "keys" / name, directory / name);
        EXPECT_FALSE(loads(name)) << name;
    }
    box.personalize(station, true); // under a parent of its own
    expect_there();
    for (const auto& name : all) {
        fs::copy(copy / "keys" / name, directory / name, fs::copy_options::overwrite_existing);
        EXPECT_FALSE(loads(name)) << name;
    }
    box.boot();
    expect_there();
}

TEST_F(KeyFiles, TheDaemonUsesTheSameKeys)
{
    bring_up();
    const auto key = box.device().key("tls");
    EXPECT_TRUE(key.key_file);
    EXPECT_EQ(key.key_file_path, directory / "tls.pem");
    EXPECT_EQ(box.device().key("plain").key_file_path, "");
    const auto use = [&](device::KeyUse::Operation operation, const std::string& label, Bytes input) {
        return box.device().use_key({operation, label, {}, std::move(input), 0});
    };
    const Bytes hashed = structures::digest(TPM2_ALG_SHA256, as_bytes("message"));
    const Secret signature = use(device::KeyUse::Operation::sign, "tls", hashed);
    const std::uint8_t* at = key.public_key.data();
    const pki::Key pkey(d2i_PUBKEY(nullptr, &at, static_cast<long>(key.public_key.size())));
    const Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(EVP_PKEY_CTX_new(pkey.get(), nullptr));
    EVP_PKEY_verify_init(context.get());
    EXPECT_EQ(EVP_PKEY_verify(context.get(), signature.data(), signature.size(), hashed.data(), hashed.size()), 1);
    EXPECT_EQ(use(device::KeyUse::Operation::hmac, "channel-file", Bytes(20, 1)).size(), 32U);
    EXPECT_EQ(reason_of([&] { use(device::KeyUse::Operation::sign, "mail", hashed); }), Reason::data_key_unsuitable);
    expect_there();
}

// It stands in the TPM: nothing has to be loaded but the key.
TEST_F(KeyFiles, AUseTakesTheParentWhereItStands)
{
    bring_up();
    const auto cost = [&](const std::string& label) {
        const auto before = box.wire.count();
        EXPECT_EQ(box.device().use_key({device::KeyUse::Operation::hmac, label, {}, Bytes(20, 1), 0}).size(), 32U);
        return box.wire.count() - before;
    };
    EXPECT_EQ(cost("channel"), 6U);
    EXPECT_EQ(cost("channel-file"), 5U);

    // Somebody takes it away, and puts something else there.
    {
        const tpm::Connection other(box.wire.tcti());
        const auto parent = tpm::look_up(other, defaults.key_file_parent);
        ESYS_TR none = ESYS_TR_NONE;
        other.check(Esys_EvictControl(other.esys(), ESYS_TR_RH_OWNER, parent.tr, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                      ESYS_TR_NONE, defaults.key_file_parent, &none),
                    "evict the parent");
    }
    EXPECT_LE(cost("channel-file"), 10U);
    EXPECT_EQ(cost("channel-file"), 8U) << "it is known to be gone";
    box.boot();
    EXPECT_EQ(cost("channel-file"), 5U) << "it is back";
    box.settings.key_file_directory.clear();
    box.boot();
    put_a_foreign_key_at_the_handle();
    EXPECT_EQ(cost("channel-file"), 8U);
}

TEST_F(KeyFiles, WithoutADirectoryThereAreNone)
{
    bring_up();
    box.settings.key_file_directory.clear();
    box.boot();
    EXPECT_FALSE(parent_stands()) << "nobody needs it";
    EXPECT_THAT(box.device().status().key_files, testing::IsEmpty());
    EXPECT_FALSE(loads("tls.pem"));
    EXPECT_EQ(box.device().key("tls").key_file_path, "");
    EXPECT_NO_THROW(box.device().use_key({device::KeyUse::Operation::sign, "tls", {}, Bytes(32), 0}));
    box.settings.key_file_directory = directory.path();
    box.boot();
    expect_there();
}

TEST_F(KeyFiles, APlaceThatIsTakenIsToldAndHoldsNothingUp)
{
    put_a_foreign_key_at_the_handle();
    box.personalize(station, true);
    ASSERT_EQ(name(box.state()), name(State::operating));
    EXPECT_EQ(names(), std::set<std::string>{});
    expect_problem("another key stands at the handle of the parent of key files");
    EXPECT_NO_THROW(box.device().use_key({device::KeyUse::Operation::sign, "tls", {}, Bytes(32), 0}));
    box.device().enter_personalization({});
    EXPECT_EQ(box.device().status().detail, "");
    EXPECT_TRUE(parent_stands()) << "it is not ours to evict";
}

TEST_F(KeyFiles, Attack24_AForeignFileIsToldAndHoldsNothingUp)
{
    write_file(directory / "tls.pem", as_bytes("somebody's"));
    bring_up();
    expect_problem((directory / "tls.pem").string());
    EXPECT_THAT(box.device().status().key_files,
                testing::UnorderedElementsAre(testing::Key("channel-file"), testing::Key("mail")));
    EXPECT_EQ(box.device().key("tls").key_file_path, "");
    fs::remove(directory / "tls.pem");
    box.boot();
    expect_there();
}

TEST_F(KeyFiles, Attack34_ADirectoryThatIsNotThereIsToldAndHoldsNothingUp)
{
    box.settings.key_file_directory = directory / "missing";
    box.boot();
    bring_up();
    expect_problem("missing");
    fs::create_directory(directory / "missing");
    box.boot();
    EXPECT_THAT(box.device().status().key_files, testing::SizeIs(3));
}

// The switch would leave keys at work that it is to end.
TEST_F(KeyFiles, Attack07_WhereTheParentCannotBeEvictedThereIsNoWayBack)
{
    bring_up();
    const auto epoch = box.epoch();
    box.wire.before = [](std::size_t, std::uint32_t code) {
        return code == TPM2_CC_EvictControl ? std::optional<TSS2_RC>(TPM2_RC_AUTH_FAIL | TPM2_RC_S | TPM2_RC_1)
                                            : std::nullopt;
    };
    EXPECT_EQ(reason_of([&] { box.device().enter_personalization({}); }), Reason::tpm_authorization);
    box.mend();
    EXPECT_EQ(name(box.state()), name(State::operating));
    EXPECT_EQ(box.epoch(), epoch);
    expect_there();
    box.device().enter_personalization({});
    expect_gone();
}

class KilledKeyFiles : public KeyFiles {
protected:
    // Until `job` gets through without meeting its end; the next start has to bring everything in line.
    void at_every_command(const std::function<void()>& job, const std::function<void()>& again)
    {
        std::size_t kills = 0;
        for (std::atomic<bool> met = true; met; kills += met ? 1 : 0) {
            ASSERT_LT(kills, 100U) << "it never gets through";
            met = false;
            const std::size_t last = box.wire.count() + kills;
            box.wire.before = [&met, last](std::size_t number, std::uint32_t) {
                met = met || number > last;
                return number > last ? std::optional<TSS2_RC>(TSS2_TCTI_RC_IO_ERROR) : std::nullopt;
            };
            (void)reason_of(job);
            box.kill();
            box.boot();
            expect_in_line();
            again();
            ASSERT_FALSE(HasFailure()) << "after command " << kills;
        }
        EXPECT_GT(kills, 4U);
    }
    void operate()
    {
        if (box.state() != State::operating)
            box.personalize(station, true);
        expect_there();
    }
};

TEST_F(KilledKeyFiles, Attack08_OnTheWayBack)
{
    bring_up();
    at_every_command([this] { box.device().enter_personalization({}); }, [this] { operate(); });
}

TEST_F(KilledKeyFiles, Attack08_InTheSwitch)
{
    box.personalize(station);
    at_every_command([this] { box.device().enter_operating({}); },
                     [this] {
                         operate();
                         box.device().enter_personalization({});
                         box.personalize(station);
                     });
}

TEST_F(KilledKeyFiles, Attack08_InTheFirstStartWithADirectory)
{
    const auto without_a_directory = [this] {
        box.settings.key_file_directory.clear();
        box.boot();
        for (const auto& name : all)
            fs::remove(directory / name);
        box.settings.key_file_directory = directory.path();
    };
    bring_up();
    without_a_directory();
    at_every_command([this] { box.boot(); }, without_a_directory);
}

} // namespace

} // namespace imprint::test
