// SPDX-License-Identifier: Apache-2.0
// Channels to the central system, on a real (software) TPM.
#include "tests/device/connecting.h"

namespace imprint::test {
namespace {

class Connect : public Connecting {
protected:
    Connect()
        : Connecting(false)
    {
    }
};

TEST_F(Connect, A22_TheCentralSystemSeesTheModuleCertificate)
{
    operate();
    const Fd channel = connect();
    EXPECT_TRUE(echoes(channel));
    EXPECT_EQ(central.with_certificate(), 1);
    expect_count(1);
}

TEST_F(Connect, A23_RefusedInAnyStateButOperating)
{
    EXPECT_EQ(refusal(), Reason::wrong_state); // blank
    box.personalize(station);
    introduce({&central.certificate()});
    EXPECT_EQ(refusal(), Reason::wrong_state); // not switched yet
    box.device().enter_operating({});
    EXPECT_EQ(refusal(), std::nullopt);
    box.device().enter_personalization({});
    EXPECT_EQ(refusal(), Reason::wrong_state);
}

TEST_F(Connect, A23_GoingBackEndsAllChannelsAndThoseOnTheirWay)
{
    operate();
    std::vector<Fd> channels;
    for (int i = 0; i < 5; ++i)
        channels.push_back(connect());
    central.set({.silent = true});
    std::vector<std::future<Result<Fd>>> under_way;
    for (int i = 0; i < 12; ++i) // more than are tried at once
        under_way.push_back(begin(request()));
    box.device().enter_personalization({});
    EXPECT_EQ(count(), 0U);
    for (const auto& channel : channels)
        EXPECT_TRUE(closed(channel));
    for (auto& one : under_way) {
        const auto result = one.get();
        ASSERT_FALSE(result);
        EXPECT_EQ(result.refusal().reason, Reason::wrong_state);
    }
}

TEST_F(Connect, A23_SomebodyElsesSwitchIsNoWayAround)
{
    operate();
    const Fd channel = connect();
    box.increment();
    EXPECT_EQ(refusal(), Reason::tpm_refused); // the TPM itself
    box.device().refresh();
    EXPECT_TRUE(closed(channel));
    EXPECT_EQ(refusal(), Reason::wrong_state);
}

TEST_F(Connect, A25_ACentralSystemWithAnotherKeyIsRefused)
{
    operate();
    const auto other = manufacturer().server(pki::Role::central, "localhost");
    central.set({.certificate = &other});
    EXPECT_EQ(refusal(), Reason::central_key_unknown);
    introduce({&central.certificate(), &other}); // the present and the next one
    EXPECT_EQ(refusal(), std::nullopt);
    central.set({});
    EXPECT_EQ(refusal(), std::nullopt);
}

TEST_F(Connect, A25_WithoutTheStationsWordThereIsNoCentralSystem)
{
    bring_up();
    EXPECT_EQ(refusal(), Reason::central_key_unknown);
    EXPECT_EQ(central.with_certificate(), 0);
}

TEST_F(Connect, A22_ACertificateOfAnotherChainOrRoleIsRefused)
{
    operate();
    const TestPki twin;
    const auto foreign = twin.server(pki::Role::central, "localhost");
    const auto archive = manufacturer().server(pki::Role::archive, "localhost");
    introduce({&central.certificate(), &foreign, &archive});
    central.set({.certificate = &foreign});
    EXPECT_EQ(refusal(), Reason::untrusted_certificate);
    central.set({.certificate = &archive});
    EXPECT_EQ(refusal(), Reason::wrong_role);
}

TEST_F(Connect, A22_ClosingEitherEndClosesBoth)
{
    operate();
    {
        const Fd channel = connect();
        EXPECT_TRUE(echoes(channel));
    }
    expect_count(0);
    const Fd channel = connect();
    shutdown(channel.get(), SHUT_WR); // the echo ends then, too
    EXPECT_TRUE(closed(channel));
    expect_count(0);
}

TEST_F(Connect, TheTimeOfTheCallIsKept)
{
    operate();
    central.set({.silent = true});
    auto hurried = request();
    hurried.timeout = 1s;
    EXPECT_EQ(begin(hurried).get().refusal().reason, Reason::timed_out);
    auto nowhere = request();
    nowhere.address = "unix:/nowhere";
    EXPECT_EQ(begin(nowhere).get().refusal().reason, Reason::connection_refused);
}

TEST_F(Connect, Attack28_NoMoreThanAThousandWait)
{
    operate();
    central.set({.silent = true});
    std::vector<std::future<Result<Fd>>> waiting;
    const auto flood = [&] {
        for (int i = 0; i < 2000; ++i)
            waiting.push_back(begin(request()));
    };
    EXPECT_EQ(reason_of(flood), Reason::busy);
    EXPECT_GE(waiting.size(), 1024U);
    box.device().end_channels();
    for (auto& one : waiting)
        EXPECT_EQ(one.get().refusal().reason, Reason::cancelled);
}

TEST_F(Connect, AnApplicationProtocolHasToBeAgreedTo)
{
    operate();
    auto with = request();
    with.alpn = "http/1.1";
    const Fd channel = begin(with).get().or_throw();
    EXPECT_TRUE(echoes(channel));
}

TEST_F(Connect, A22_SixCommandsOfTheTpmTheFirstTimeAndThreeLater)
{
    operate();
    const auto commands = [&] {
        const auto before = box.wire.count();
        EXPECT_TRUE(echoes(connect()));
        return box.wire.count() - before;
    };
    EXPECT_LE(commands(), 6U);
    EXPECT_EQ(commands(), 3U);
    EXPECT_EQ(commands(), 3U);
}

TEST_F(Connect, A22_ManyAtOnce)
{
    operate();
    std::vector<std::future<Result<Fd>>> under_way;
    for (int i = 0; i < 50; ++i)
        under_way.push_back(begin(request()));
    std::vector<Fd> channels;
    for (auto& one : under_way)
        channels.push_back(one.get().or_throw());
    EXPECT_EQ(count(), 50U);
    for (const auto& channel : channels)
        EXPECT_TRUE(echoes(channel));
}

} // namespace
} // namespace imprint::test
