// SPDX-License-Identifier: Apache-2.0
// Who listens on the TPM's bus learns nothing; who changes what goes over it is noticed.
#include "tests/tpm/fixture.h"

#include "daemon/structures/marshal.h"

namespace imprint::test {

namespace {

using tpm::SecurityModule;

bool contains(const Octets& haystack, BytesView needle) { return !std::ranges::search(haystack, needle).empty(); }

class Listened : public PreparedTest {
protected:
    Listened()
        : PreparedTest(SoftwareTpm::Kind::manufactured)
    {
    }
    Secret activate(const tpm::EndorsementKey& key, BytesView secret)
    {
        const auto name = structures::name_of(module->identity_key());
        return module->activate_credential(key, structures::make_credential(key.area, name, Secret(secret)).or_throw());
    }
    bool on_the_wire(BytesView secret) const
    {
        return std::ranges::any_of(wire.record(), [&](const Exchange& exchange) {
            return contains(exchange.command, secret) || contains(exchange.response, secret);
        });
    }
};

// Every session is salted: tpmKey is a key, and the encrypted salt is there.
bool all_sessions_salted(const std::vector<Exchange>& record)
{
    return std::ranges::all_of(record, [](const Exchange& exchange) {
        if (exchange.code != TPM2_CC_StartAuthSession)
            return true;
        const auto& command = exchange.command;
        const bool null_key = command[10] == 0x40 && command[13] == 0x07;
        const std::size_t nonce = static_cast<std::size_t>(command[18] << 8 | command[19]);
        return !null_key && (command[20 + nonce] << 8 | command[21 + nonce]) > 0;
    });
}

TEST_F(Listened, Attack11_NoSecretOnTheBus)
{
    wire.recording = true;
    const auto challenge = random_bytes(32);
    for (const auto& key : module->endorsement_keys())
        EXPECT_TRUE(equal(activate(key, challenge).view(), challenge));

    const auto opaque = random_bytes(32);
    const auto key = software_key();
    const auto sealed = structures::wrap(module->storage_key(), structures::sealed_secret_template(), Secret(opaque));
    const auto wrapped = structures::wrap(module->storage_key(), key.area, key.scalar);
    create_module_key();
    {
        SecurityModule::Work work(*module);
        work.load(wrapped.object, work.import(wrapped));
        const auto loaded = work.load(sealed.object, work.import(sealed));
        EXPECT_TRUE(equal(work.unseal(loaded).view(), opaque));
    }
    EXPECT_GT(wire.record().size(), 30U);
    EXPECT_FALSE(on_the_wire(challenge));
    EXPECT_FALSE(on_the_wire(opaque));
    EXPECT_FALSE(on_the_wire(key.scalar.view()));
    EXPECT_TRUE(all_sessions_salted(wire.record()));
}

// What an interposer answers to ReadPublic: its own key in place of the one that `is_target` picks.
Octets swapped(const Octets& response, const TPMT_PUBLIC& own, const Bytes& name)
{
    Octets out(response.begin(), response.begin() + 10);
    const auto append = [&](const Bytes& bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); };
    append(structures::marshal(TPM2B_PUBLIC{0, own}));
    for (int i = 0; i < 2; ++i) { // the Name, and for the qualified Name the same will do
        append({0, static_cast<std::uint8_t>(name.size())});
        append(name);
    }
    out[4] = static_cast<std::uint8_t>(out.size() >> 8);
    out[5] = static_cast<std::uint8_t>(out.size());
    return out;
}

class Intercepted : public Listened {
protected:
    // The interposer's key: the storage key's template with a point that it knows the logarithm of.
    TPMT_PUBLIC own_storage_key() const
    {
        auto area = structures::storage_key_template();
        area.unique.ecc = software_key().area.unique.ecc;
        return area;
    }
    void swap(const Bytes& target_name, const TPMT_PUBLIC& own, const Bytes& name)
    {
        wire.falsify = [=](std::uint32_t code, Octets& response) {
            if (code == TPM2_CC_ReadPublic && contains(response, target_name))
                response = swapped(response, own, name);
        };
    }
};

TEST_F(Intercepted, Attack12_ForeignStorageKeyIsNotThePinnedOne)
{
    const auto genuine = structures::name_of(module->storage_key());
    const auto own = own_storage_key();
    swap(genuine, own, structures::name_of(own));
    module = open();
    module->pin_storage_key(genuine);
    EXPECT_EQ(reason_of([&] { create_module_key(); }), Reason::tpm_intercepted);
    EXPECT_EQ(wire.count(TPM2_CC_StartAuthSession), 0U);
}

TEST_F(Intercepted, Attack12_ForeignStorageKeyUnderTheGenuineName)
{
    const auto genuine = structures::name_of(module->storage_key());
    swap(genuine, own_storage_key(), genuine);
    module = open();
    EXPECT_EQ(reason_of([&] { create_module_key(); }), Reason::tpm_intercepted);
    EXPECT_EQ(wire.count(TPM2_CC_StartAuthSession), 0U);
}

TEST_F(Intercepted, Attack12_ForeignEndorsementKeyUnderTheGenuineName)
{
    const auto key = module->endorsement_keys().back();
    auto own = key.area;
    own.unique.ecc.x.buffer[5] ^= 1;
    const auto genuine = structures::name_of(key.area);
    swap(genuine, own, genuine);
    EXPECT_EQ(reason_of([&] { activate(key, anchor); }), Reason::tpm_intercepted);
    EXPECT_EQ(wire.count(TPM2_CC_StartAuthSession), 0U);
}

TEST_F(Intercepted, Attack12_EndorsementKeyOfAnotherTpm)
{
    SoftwareTpm other(SoftwareTpm::Kind::manufactured, SoftwareTpm::Access::descriptor, 1);
    Wire other_wire(other.descriptor());
    SecurityModule there(tpm::Connection(other_wire.tcti()), bare_settings());
    const auto& key = there.endorsement_keys().front();
    EXPECT_EQ(reason_of([&] { activate(key, anchor); }), Reason::tpm_intercepted);
    EXPECT_EQ(leaked(), 0U);
}

TEST_F(Intercepted, Attack12_ChangedAnswersAreNoticed)
{
    const auto sealed = structures::wrap(module->storage_key(), structures::sealed_secret_template(), Secret(anchor));
    wire.falsify = [](std::uint32_t code, Octets& response) {
        if (code == TPM2_CC_Unseal)
            response[20] ^= 1;
    };
    const auto open_it = [&] {
        SecurityModule::Work work(*module);
        const auto loaded = work.load(sealed.object, work.import(sealed));
        work.unseal(loaded);
    };
    EXPECT_EQ(reason_of(open_it), Reason::tpm_intercepted);
}

TEST_F(Intercepted, Attack12_CreatedKeyDiffersFromThePersistentOne)
{
    SoftwareTpm fresh;
    Wire line(fresh.descriptor());
    line.falsify = [this](std::uint32_t code, Octets& response) {
        if (code == TPM2_CC_ReadPublic && response.size() > 10) {
            const auto own = own_storage_key();
            response = swapped(response, own, structures::name_of(own));
        }
    };
    SecurityModule there(tpm::Connection(line.tcti()), bare_settings());
    EXPECT_EQ(reason_of([&] { there.prepare(anchor); }), Reason::tpm_intercepted);
}

} // namespace

} // namespace imprint::test
