// SPDX-License-Identifier: Apache-2.0
#include "tests/support/software_tpm.h"
#include "tests/support/test_tcti.h"

#include <tss2/tss2_esys.h>
#include <tss2/tss2_tctildr.h>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace imprint::test {

namespace {

struct Esys {
    explicit Esys(TSS2_TCTI_CONTEXT* tcti) { EXPECT_EQ(Esys_Initialize(&context, tcti, nullptr), TSS2_RC_SUCCESS); }
    ~Esys() { Esys_Finalize(&context); }
    TSS2_RC random(Bytes& out)
    {
        TPM2B_DIGEST* digest = nullptr;
        const auto rc = Esys_GetRandom(context, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, 16, &digest);
        if (digest)
            out.assign(digest->buffer, digest->buffer + digest->size);
        Esys_Free(digest);
        return rc;
    }
    ESYS_CONTEXT* context = nullptr;
};

TEST(SoftwareTpm, AnswersCountsRecordsAndFails)
{
    const SoftwareTpm tpm;
    Wire wire(tpm.descriptor());
    wire.recording = true;
    const auto tcti = wire.tcti();
    Esys esys(tcti.get());
    Bytes bytes;
    EXPECT_EQ(esys.random(bytes), TSS2_RC_SUCCESS);
    EXPECT_EQ(bytes.size(), 16U);
    EXPECT_EQ(wire.count(TPM2_CC_GetRandom), 1U);
    ASSERT_EQ(wire.record().size(), 1U);
    EXPECT_TRUE(std::ranges::equal(std::span(wire.record()[0].response).last(16), bytes));
    EXPECT_GT(wire.busy().count(), 0);

    wire.before = [](std::size_t number, std::uint32_t) {
        return number == 2 ? std::optional<TSS2_RC>(TPM2_RC_LOCKOUT) : std::nullopt;
    };
    EXPECT_EQ(esys.random(bytes), TSS2_RC(TPM2_RC_LOCKOUT));
    wire.after = [](const Exchange&) { return std::optional<TSS2_RC>(TSS2_TCTI_RC_IO_ERROR); };
    EXPECT_EQ(esys.random(bytes), TSS2_RC(TSS2_TCTI_RC_IO_ERROR));
}

TEST(SoftwareTpm, FalsifiesAndSurvivesARestart)
{
    SoftwareTpm tpm;
    Wire wire(tpm.descriptor());
    const auto tcti = wire.tcti();
    Esys esys(tcti.get());
    Bytes bytes;
    wire.falsify = [](std::uint32_t, Octets& response) { response.back() = response[response.size() - 2] = 0; };
    EXPECT_EQ(esys.random(bytes), TSS2_RC_SUCCESS);
    EXPECT_EQ(bytes.at(15) + bytes.at(14), 0);
    tpm.restart();
    EXPECT_EQ(esys.random(bytes), TSS2_RC_SUCCESS);
    tpm.clear();
}

TEST(SoftwareTpm, ManufacturedTpmsDifferByChipNumber)
{
    const SoftwareTpm one(SoftwareTpm::Kind::manufactured);
    const SoftwareTpm other(SoftwareTpm::Kind::manufactured, SoftwareTpm::Access::descriptor, 1);
    const SoftwareTpm again(SoftwareTpm::Kind::manufactured);
    const Bytes read_public{0x80, 0x01, 0, 0, 0, 14, 0, 0, 0x01, 0x73, 0x81, 0x01, 0x00, 0x01};
    EXPECT_GT(one.send(read_public).size(), 300U);
    EXPECT_NE(one.send(read_public), other.send(read_public));
    EXPECT_EQ(one.send(read_public), again.send(read_public));
    EXPECT_EQ(to_string(SoftwareTpm::vendor_ca()).find("-----BEGIN CERTIFICATE"), 0U);
}

void work_through_module(const std::string& conf, int commands)
{
    TSS2_TCTI_CONTEXT* tcti = nullptr;
    if (Tss2_TctiLdr_Initialize(conf.c_str(), &tcti) != TSS2_RC_SUCCESS)
        ::_exit(1);
    {
        Esys esys(tcti);
        Bytes bytes;
        for (int i = 0; i < commands; ++i)
            if (esys.random(bytes) != TSS2_RC_SUCCESS)
                ::_exit(2);
    }
    Tss2_TctiLdr_Finalize(&tcti);
    ::_exit(0);
}

int status_of_child(const std::string& conf, int commands)
{
    const auto child = ::fork();
    if (child == 0)
        work_through_module(conf, commands);
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
}

TEST(SoftwareTpm, LoadableModuleCountsAndKills)
{
    const SoftwareTpm tpm(SoftwareTpm::Kind::bare, SoftwareTpm::Access::socket);
    const TemporaryDirectory directory;
    const auto file = directory.path() / "count";
    const auto conf = test_tcti("path=" + tpm.socket().string() + ",count=" + file.string());
    EXPECT_EQ(status_of_child(conf, 3), 0);
    EXPECT_EQ(read_count_file(file).commands, 3U);
    const int killed = status_of_child(conf + ",kill=2", 3);
    EXPECT_TRUE(WIFSIGNALED(killed) && WTERMSIG(killed) == SIGKILL);
    EXPECT_EQ(read_count_file(file).by_code[TPM2_CC_GetRandom], 5U);
    EXPECT_TRUE(WIFSIGNALED(status_of_child(conf + ",kill-before=1", 3)));
    EXPECT_EQ(read_count_file(file).commands, 5U);
}

TEST(SoftwareTpm, ToolsLookInWhileATctiIsOpen)
{
    const SoftwareTpm tpm(SoftwareTpm::Kind::bare, SoftwareTpm::Access::socket);
    Wire wire(tpm.socket().string());
    const auto tcti = wire.tcti();
    Esys esys(tcti.get());
    Bytes bytes;
    EXPECT_EQ(esys.random(bytes), TSS2_RC_SUCCESS);
    EXPECT_EQ(run({"tpm2_getrandom", "-T", tpm.tools_tcti(), "8", "--hex"}).out.size(), 16U);
    EXPECT_EQ(esys.random(bytes), TSS2_RC_SUCCESS);
}

} // namespace

} // namespace imprint::test
