// SPDX-License-Identifier: Apache-2.0
// Faults at every command: response codes, lost connections, resets, crashes. Nothing leaks, nothing is half done.
#include "tests/tpm/fixture.h"

#include "daemon/structures/marshal.h"

namespace imprint::test {

namespace {

using tpm::SecurityModule;

class Faults : public PreparedTest {
protected:
    Faults()
        : sealed(structures::wrap(module->storage_key(), structures::sealed_secret_template(), Secret(anchor)))
    {
        module->certify_epoch(qualifying); // everything is looked up
        next_flow();
        flow_length = commands([&] { flow(); });
        next_flow();
    }
    // A personalization in small: sessions, policies, loads, attestations, signatures.
    void flow()
    {
        SecurityModule::Work work(*module);
        work.create_module_key(epoch + 1, variation, qualifying);
        module->certify_epoch(qualifying);
        {
            const auto loaded = work.load(sealed.object, work.import(sealed));
            work.last();
            work.unseal(loaded);
        }
        module->sign_with_identity_key(Bytes(2000, 'x'));
    }
    void next_flow() { start = wire.count(); }
    // Answers command `number` of the coming flow with `code`, and `times - 1` more.
    void answer(std::size_t number, TSS2_RC code, std::size_t times = 1)
    {
        next_flow();
        wire.before = [=, this](std::size_t n, std::uint32_t command) -> std::optional<TSS2_RC> {
            if (n < start + number || n >= start + number + times)
                return std::nullopt;
            struck = command;
            return code;
        };
    }
    void reopen()
    {
        wire.before = nullptr;
        wire.after = nullptr;
        module.reset();
        module = open();
        EXPECT_EQ(leaked(), 0U);
        module->storage_key();
        module->identity_key();
        module->read_epoch();
    }

    structures::Importable sealed;
    std::size_t flow_length = 0, start = 0;
    std::uint32_t struck = 0;
};

struct Expected {
    TSS2_RC code;
    Reason reason;
};

TEST_F(Faults, Attack33_EveryResponseCodeAtEveryCommand)
{
    const Expected table[]{
        {TPM2_RC_LOCKOUT, Reason::tpm_locked_out},
        {TPM2_RC_AUTH_FAIL | TPM2_RC_S | TPM2_RC_1, Reason::tpm_authorization},
        {TPM2_RC_BAD_AUTH | TPM2_RC_S | TPM2_RC_1, Reason::tpm_authorization},
        {TPM2_RC_HIERARCHY | TPM2_RC_1, Reason::tpm_hierarchy_disabled},
        {TPM2_RC_OBJECT_MEMORY, Reason::tpm_full},
        {TPM2_RC_NV_SPACE, Reason::tpm_full},
        {TPM2_RC_POLICY_FAIL | TPM2_RC_S | TPM2_RC_1, Reason::tpm_refused},
        {TPM2_RC_POLICY, Reason::tpm_refused},
        {TPM2_RC_INITIALIZE, Reason::tpm_reset},
        {TPM2_RC_REFERENCE_S0, Reason::tpm_reset},
        {TPM2_RC_FAILURE, Reason::tpm_failed},
        {TPM2_RC_NV_RATE, Reason::tpm_failed},
        {TSS2_TCTI_RC_IO_ERROR, Reason::tpm_unavailable},
    };
    for (const auto& [code, reason] : table)
        for (std::size_t n = 1; n <= flow_length; ++n) {
            answer(n, code);
            const auto seen = reason_of([&] { flow(); });
            const auto sent_after = wire.count() - start - n;
            wire.before = nullptr;
            if (struck == TPM2_CC_FlushContext)
                EXPECT_TRUE(!seen || seen == Reason::tpm_unavailable) << std::hex << code << " at " << std::dec << n;
            else {
                EXPECT_EQ(seen, reason) << std::hex << code << " at " << std::dec << n;
                EXPECT_LE(sent_after, 2U); // the flushes, and no second try
            }
            const bool clean = struck != TPM2_CC_FlushContext && code != TSS2_TCTI_RC_IO_ERROR;
            if (clean)
                EXPECT_EQ(leaked(), 0U) << std::hex << code << " at " << std::dec << n;
            else
                reopen();
        }
}

TEST_F(Faults, Attack33_RetryIsAnsweredAtOnceAndNotForEver)
{
    for (std::size_t n = 1; n <= flow_length; ++n) {
        answer(n, TPM2_RC_RETRY, 2);
        EXPECT_EQ(reason_of([&] { flow(); }), std::nullopt) << n;
        EXPECT_EQ(wire.count() - start, flow_length + 2) << n;
    }
    answer(2, TPM2_RC_RETRY, 1000);
    EXPECT_EQ(reason_of([&] { flow(); }), Reason::tpm_failed);
    EXPECT_LE(wire.count() - start, 20U);
    reopen();
}

TEST_F(Faults, Attack33_TpmOutOfReachIsNamedAtEveryCommand)
{
    for (std::size_t n = 1; n <= flow_length; ++n) {
        next_flow();
        wire.after = [&](const Exchange& exchange) -> std::optional<TSS2_RC> {
            return exchange.number >= start + n ? std::optional<TSS2_RC>(TSS2_TCTI_RC_IO_ERROR) : std::nullopt;
        };
        const auto seen = reason_of([&] { flow(); });
        EXPECT_TRUE(seen == Reason::tpm_unavailable || (n == flow_length && !seen)) << n;
        reopen();
    }
    EXPECT_NO_THROW(flow());
}

TEST_F(Faults, Attack13_ResetIsNamedAtEveryCommand)
{
    std::size_t resets = 0;
    for (std::size_t n = 1; n <= flow_length; ++n) {
        next_flow();
        wire.before = [&](std::size_t number, std::uint32_t) -> std::optional<TSS2_RC> {
            if (number == start + n)
                tpm.restart();
            return std::nullopt;
        };
        const auto seen = reason_of([&] { flow(); });
        EXPECT_TRUE(!seen || seen == Reason::tpm_reset) << n << " " << (seen ? name(*seen) : "");
        resets += seen.has_value();
        reopen();
    }
    EXPECT_GE(resets + 4, flow_length); // the first command and those outside of any session live on
}

TEST_F(Faults, Attack32_TenThousandRunsLeakNothing)
{
    auto broken = sealed;
    broken.duplicate.back() ^= 1;
    SecurityModule::Work work(*module);
    const Bytes blob = work.import(sealed);
    auto refused = blob;
    refused.back() ^= 1;
    for (int i = 0; i < 5000; ++i) {
        work.load(sealed.object, blob);
        EXPECT_EQ(reason_of([&] { work.load(sealed.object, refused); }), Reason::tpm_refused);
    }
    EXPECT_EQ(leaked(), 1U); // the session of this piece of work
}

TEST_F(Faults, Attack32_SessionsAndSequencesLeakNothing)
{
    auto broken = sealed;
    broken.duplicate.back() ^= 1;
    for (int i = 0; i < 300; ++i) {
        EXPECT_EQ(reason_of([&] { SecurityModule::Work(*module).import(broken); }), Reason::tpm_refused);
        module->sign_with_identity_key(Bytes(1500, 'x'));
    }
    EXPECT_EQ(leaked(), 0U);
}

// Runs prepare() on a TPM that falls silent after its n-th command (done or not), then a second prepare() to its end.
// Returns false when the first one needed no more than n commands.
bool crash_in_preparation(std::size_t n, bool done, void (*before_it)(SecurityModule&, SoftwareTpm&))
{
    SoftwareTpm tpm;
    Wire wire(tpm.descriptor());
    const auto open = [&] { return SecurityModule(tpm::Connection(wire.tcti()), bare_settings()); };
    std::optional<tpm::Observation> first;
    {
        auto module = open();
        before_it(module, tpm);
    }
    wire.reset();
    const auto silent = [&](std::size_t number) {
        return number >= n ? std::optional<TSS2_RC>(TSS2_TCTI_RC_IO_ERROR) : std::nullopt;
    };
    if (done)
        wire.after = [&](const Exchange& exchange) { return silent(exchange.number); };
    else
        wire.before = [&](std::size_t number, std::uint32_t) { return silent(number); };
    const auto seen = reason_of([&] { open().prepare(anchor); });
    wire.before = nullptr;
    wire.after = nullptr;

    auto module = open();
    EXPECT_EQ(module.prepare(anchor) % 2, 0U) << n;
    const auto look = module.look();
    EXPECT_EQ(look.anchor, anchor) << n;
    EXPECT_TRUE(structures::is_storage_key(module.storage_key())) << n;
    EXPECT_TRUE(structures::is_identity_key(module.identity_key())) << n;
    EXPECT_EQ(look.storage_key_name, structures::name_of(module.storage_key())) << n;
    EXPECT_NO_THROW(module.certify_epoch(qualifying)) << n;
    return seen.has_value();
}

void nothing(SecurityModule&, SoftwareTpm&) { }

void delete_epoch(SecurityModule& module, SoftwareTpm& tpm)
{
    module.prepare(anchor);
    Bytes command{0x80, 0x02, 0, 0, 0, 31, 0,    0, 0x01, 0x22, 0x40, 0, 0, 0x01, 0x01, 0x80,
                  0x49, 0x4d, 0, 0, 0, 9,  0x40, 0, 0,    0x09, 0,    0, 0, 0,    0};
    EXPECT_EQ(tpm.send(command).size(), 19U);
}

TEST(PreparationCrashes, Attack08_EveryCrashIsRepairedByTheNextRun)
{
    for (const bool done : {false, true}) {
        std::size_t n = 1;
        while (crash_in_preparation(n, done, nothing))
            ++n;
        EXPECT_GT(n, 20U);
    }
}

TEST(PreparationCrashes, Attack08_AlsoWhereTheCounterWasDeleted)
{
    std::size_t n = 1;
    while (crash_in_preparation(n, true, delete_epoch))
        ++n;
    EXPECT_GT(n, 10U);
}

} // namespace

} // namespace imprint::test
