// SPDX-License-Identifier: Apache-2.0
// The thread that owns the TPM, and the reasons that response codes get.
#include "tests/tpm/fixture.h"

#include "daemon/tpm/rc.h"
#include "daemon/tpm/worker.h"

#include <thread>

namespace imprint::test {

namespace {

using tpm::SecurityModule;
using tpm::Worker;

class Workers : public TpmTest {
protected:
    int opened = 0;
    Worker worker{[this] {
        ++opened;
        return open();
    }};
};

TEST_F(Workers, WorkRunsInOneThreadAndAnswers)
{
    const auto thread = [](SecurityModule&) { return std::this_thread::get_id(); };
    const auto first = worker.call(thread);
    EXPECT_EQ(first, worker.call(thread));
    EXPECT_NE(first, std::this_thread::get_id());
    std::vector<std::jthread> callers;
    for (int i = 0; i < 8; ++i)
        callers.emplace_back([&] { EXPECT_EQ(worker.call(thread), first); });
    callers.clear();
    EXPECT_EQ(opened, 1);
}

TEST_F(Workers, ErrorsCrossAndALostTpmIsOpenedAnew)
{
    worker.call([](SecurityModule& module) { module.prepare(anchor); });
    const auto fail = [&](Reason reason) {
        return reason_of([&] { worker.call([&](SecurityModule&) { throw Error(reason, "made up"); }); });
    };
    EXPECT_EQ(fail(Reason::tpm_refused), Reason::tpm_refused);
    worker.call([](SecurityModule& module) { module.read_epoch(); });
    EXPECT_EQ(opened, 1);
    EXPECT_EQ(fail(Reason::tpm_unavailable), Reason::tpm_unavailable);
    worker.call([](SecurityModule& module) { module.read_epoch(); });
    EXPECT_EQ(opened, 2);
    worker.forget();
    worker.call([](SecurityModule& module) { module.read_epoch(); });
    EXPECT_EQ(opened, 3);
}

TEST_F(Workers, ThePinOutlivesTheConnection)
{
    worker.call([](SecurityModule& module) {
        module.prepare(anchor);
        module.pin_storage_key(Bytes(34, 1));
    });
    worker.forget();
    EXPECT_EQ(reason_of([&] { worker.call([](SecurityModule& module) { SecurityModule::Work work(module); }); }),
              Reason::tpm_intercepted);
}

TEST_F(Workers, WhatIsLeftOfALostConnectionIsDestroyedQuietly)
{
    std::optional<SecurityModule::Work> work;
    worker.call([&](SecurityModule& module) {
        module.prepare(anchor);
        work.emplace(module);
    });
    worker.forget();
    worker.call([&](SecurityModule&) { work.reset(); });
    EXPECT_EQ(leaked(), 0U);
}

TEST_F(Workers, AnUnreachableTpmIsNamed)
{
    Worker nowhere(
        [] { return std::make_unique<SecurityModule>(tpm::Connection("device:/nonexistent"), tpm::Settings{}); });
    EXPECT_EQ(reason_of([&] { nowhere.call([](SecurityModule& module) { module.look(); }); }), Reason::tpm_unavailable);
}

TEST(ResponseCodes, GetAReasonAndASentence)
{
    EXPECT_EQ(tpm::reason_of(TPM2_RC_LOCKOUT), Reason::tpm_locked_out);
    EXPECT_EQ(tpm::reason_of(TSS2_RESMGR_TPM_RC_LAYER | TPM2_RC_AUTH_FAIL | TPM2_RC_S | TPM2_RC_1),
              Reason::tpm_authorization);
    EXPECT_EQ(tpm::reason_of(TPM2_RC_POLICY_FAIL | TPM2_RC_S | TPM2_RC_2), Reason::tpm_refused);
    EXPECT_EQ(tpm::reason_of(TPM2_RC_INTEGRITY | TPM2_RC_P | TPM2_RC_3), Reason::tpm_refused);
    EXPECT_EQ(tpm::reason_of(TSS2_ESYS_RC_RSP_AUTH_FAILED), Reason::tpm_intercepted);
    EXPECT_EQ(tpm::reason_of(TSS2_TCTI_RC_IO_ERROR), Reason::tpm_unavailable);
    EXPECT_TRUE(tpm::is_missing(TPM2_RC_HANDLE | TPM2_RC_1));
    EXPECT_FALSE(tpm::is_missing(TPM2_RC_HIERARCHY | TPM2_RC_1));
    EXPECT_STREQ(tpm::error_of(TPM2_RC_LOCKOUT, "sign").what(),
                 "cannot sign: tpm:warn(2.0): authorizations for objects subject to DA protection are not allowed at "
                 "this time because the TPM is in DA lockout mode (0x921)");
}

} // namespace

} // namespace imprint::test
