// SPDX-License-Identifier: Apache-2.0
// The keys of the operating state stay loaded between their uses: what that costs, and that it never goes wrong.
#include "tests/tpm/fixture.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/policy.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace imprint::test {

namespace {

using tpm::SecurityModule;

// An operating device with a module key and a transaction key.
class OperatingKeys : public PreparedTest {
protected:
    OperatingKeys()
        : OperatingKeys(SoftwareTpm::Kind::bare)
    {
    }
    explicit OperatingKeys(SoftwareTpm::Kind kind)
        : PreparedTest(kind)
        , key(create_module_key())
        , wrapped(structures::wrap(
              module->storage_key(),
              structures::importable_hmac_key(structures::policy_epoch(module->epoch_index_name(), epoch + 1)), secret))
    {
        SecurityModule::Work work(*module);
        work.last();
        imported = work.import(wrapped);
        module->increment_epoch();
    }
    Secret hmac(BytesView message = as_bytes("message"))
    {
        return module->hmac_with_transaction_key(wrapped.object, imported, epoch + 1, message);
    }
    Bytes expected(BytesView message = as_bytes("message")) const
    {
        Bytes out(32);
        unsigned size = 0;
        HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), message.data(), message.size(), out.data(),
             &size);
        return out;
    }
    bool signs()
    {
        const auto area = structures::unmarshal<TPM2B_PUBLIC>(key.object).or_throw().publicArea;
        return verify(area, as_bytes("message"), sign(key));
    }
    bool computes() { return equal(hmac().view(), expected()); }
    void use_both()
    {
        EXPECT_TRUE(signs());
        EXPECT_TRUE(computes());
    }
    // All transient objects, past everybody.
    void flush_all() const
    {
        for (std::uint8_t slot = 0; slot < 3; ++slot)
            tpm.send(Bytes{0x80, 0x01, 0, 0, 0, 14, 0, 0, 0x01, 0x65, 0x80, 0, 0, slot});
    }

    Secret secret = random_secret(32);
    tpm::CreatedModuleKey key;
    structures::Importable wrapped;
    Bytes imported;
};

TEST_F(OperatingKeys, A32_SixCommandsTheFirstTimeAndThreeLater)
{
    EXPECT_EQ(commands([&] { EXPECT_TRUE(signs()); }), 6U);
    EXPECT_EQ(commands([&] { EXPECT_TRUE(computes()); }), 6U);
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(commands([&] { EXPECT_TRUE(signs()); }), 3U);
        EXPECT_EQ(commands([&] { EXPECT_TRUE(computes()); }), 3U);
    }
    EXPECT_EQ(leaked(), 2U); // the two keys, and no session
    EXPECT_EQ(commands([&] { module->make_room(); }), 2U);
    EXPECT_EQ(leaked(), 0U);
}

TEST_F(OperatingKeys, A32_OtherWorkFindsAllTheRoomThereIs)
{
    use_both();
    EXPECT_NO_THROW(module->certify_storage_key(qualifying));
    use_both();
    EXPECT_NO_THROW(module->sign_with_identity_key(Bytes(2000, 'x')));
    EXPECT_NO_THROW(module->certify_epoch(qualifying));
    EXPECT_NO_THROW(module->look());
    {
        SecurityModule::Work work(*module);
        const auto loaded = work.load(wrapped.object, imported);
        EXPECT_EQ(leaked(), 2U); // this one and the session
        EXPECT_NO_THROW(work.certify(loaded, qualifying));
    }
    EXPECT_EQ(leaked(), 0U);
    use_both();
    module.reset();
    EXPECT_EQ(leaked(), 0U);
}

TEST_F(OperatingKeys, A23_DeadWithTheNextEpochAlsoWhereTheyAreLoaded)
{
    use_both();
    // Not by way of the module, which would flush them.
    Bytes command{0x80, 0x02, 0, 0, 0, 31, 0,    0, 0x01, 0x34, 0x40, 0, 0, 0x01, 0x01, 0x80,
                  0x49, 0x4d, 0, 0, 0, 9,  0x40, 0, 0,    0x09, 0,    0, 0, 0,    0};
    EXPECT_EQ(tpm.send(command).at(9), 0U);
    EXPECT_EQ(reason_of([&] { signs(); }), Reason::tpm_refused);
    EXPECT_EQ(reason_of([&] { computes(); }), Reason::tpm_refused);
    EXPECT_EQ(leaked(), 0U);
}

TEST_F(OperatingKeys, A23_ASwitchFlushesThem)
{
    use_both();
    module->increment_epoch();
    EXPECT_EQ(leaked(), 0U);
    EXPECT_EQ(reason_of([&] { signs(); }), Reason::tpm_refused);
    EXPECT_EQ(reason_of([&] { computes(); }), Reason::tpm_refused);
    EXPECT_EQ(leaked(), 0U);
}

TEST_F(OperatingKeys, AnotherKeyOfTheKindTakesThePlace)
{
    use_both();
    const auto next = structures::wrap(
        module->storage_key(),
        structures::importable_hmac_key(structures::policy_epoch(module->epoch_index_name(), epoch + 1)),
        random_secret(32));
    SecurityModule::Work work(*module);
    const auto blob = work.import(next);
    use_both();
    EXPECT_EQ(commands([&] { module->hmac_with_transaction_key(next.object, blob, epoch + 1, as_bytes("m")); }), 7U);
    EXPECT_EQ(leaked(), 3U); // two keys and the session of this piece of work
}

TEST_F(OperatingKeys, Attack13_AResetBetweenTwoUsesIsNotNoticed)
{
    use_both();
    tpm.restart();
    use_both();
    EXPECT_EQ(leaked(), 2U);
}

TEST_F(OperatingKeys, Attack32_WhatSomebodyFlushedIsLoadedOnceMore)
{
    use_both();
    flush_all();
    use_both();
    EXPECT_EQ(commands([&] { use_both(); }), 6U);
    // Where that happens all the time, it is not tried for ever.
    wire.before = [this](std::size_t, std::uint32_t code) -> std::optional<TSS2_RC> {
        if (code == TPM2_CC_HMAC)
            flush_all();
        return std::nullopt;
    };
    wire.reset();
    EXPECT_EQ(reason_of([&] { hmac(); }), Reason::tpm_reset);
    EXPECT_EQ(wire.count(TPM2_CC_HMAC), 2U);
}

TEST_F(OperatingKeys, Attack33_EveryResponseCodeAtEveryCommandAndNoSecondTry)
{
    const std::pair<TSS2_RC, Reason> table[]{
        {TPM2_RC_LOCKOUT, Reason::tpm_locked_out},
        {TPM2_RC_AUTH_FAIL | TPM2_RC_S | TPM2_RC_1, Reason::tpm_authorization},
        {TPM2_RC_BAD_AUTH | TPM2_RC_S | TPM2_RC_1, Reason::tpm_authorization},
        {TPM2_RC_POLICY_FAIL | TPM2_RC_S | TPM2_RC_1, Reason::tpm_refused},
        {TPM2_RC_OBJECT_MEMORY, Reason::tpm_full},
        {TPM2_RC_INITIALIZE, Reason::tpm_reset},
        {TPM2_RC_FAILURE, Reason::tpm_failed},
    };
    for (const auto& [code, reason] : table)
        for (const std::size_t length : {6U, 3U})
            for (std::size_t n = 1; n <= length; ++n) {
                module->make_room();
                if (length == 3)
                    use_both();
                wire.reset();
                wire.before = [n, answer = code](std::size_t number, std::uint32_t) {
                    return number == n ? std::optional<TSS2_RC>(answer) : std::nullopt;
                };
                EXPECT_EQ(reason_of([&] { sign(key); }), reason) << std::hex << code << " at " << n;
                EXPECT_LE(wire.count(), n + 2) << std::hex << code << " at " << n; // the flushes
                wire.before = nullptr;
                module->make_room();
                EXPECT_EQ(leaked(), 0U) << std::hex << code << " at " << n;
                use_both();
            }
}

TEST_F(OperatingKeys, Attack11_NeitherTheHmacNorWhatItIsOverIsOnTheBus)
{
    wire.recording = true;
    const auto message = random_bytes(48);
    const auto value = hmac(message);
    EXPECT_TRUE(equal(value.view(), expected(message)));
    EXPECT_TRUE(equal(hmac(message).view(), value.view()));
    const auto contains = [](const Octets& octets, BytesView needle) {
        return !std::ranges::search(octets, needle).empty();
    };
    for (const auto& exchange : wire.record())
        for (const BytesView needle : {BytesView(message), value.view(), secret.view()}) {
            EXPECT_FALSE(contains(exchange.command, needle));
            EXPECT_FALSE(contains(exchange.response, needle));
        }
}

TEST_F(OperatingKeys, Attack12_AChangedAnswerIsNoticed)
{
    wire.falsify = [](std::uint32_t code, Octets& response) {
        if (code == TPM2_CC_HMAC)
            response[20] ^= 1;
    };
    EXPECT_EQ(reason_of([&] { hmac(); }), Reason::tpm_intercepted);
}

} // namespace

} // namespace imprint::test
