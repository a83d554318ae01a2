// SPDX-License-Identifier: Apache-2.0
// Transaction keys (claim A32): from the first connection on, PSKs that the TPM derives take the place of signatures.
#include "tests/device/connecting.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/wrap.h"
#include "provisioning/protocol/transaction_key.h"

namespace imprint::test {
namespace {

class Transactions : public Connecting {
protected:
    Transactions()
        : Connecting(true)
    {
    }
    bool has_key() { return lifecycle::Store(box.directory()).transaction_keys(box.epoch()).keys_size() > 0; }
    // A device that has its transaction key.
    void get_key()
    {
        operate();
        connect();
        ASSERT_TRUE(becomes([this] { return has_key(); }));
    }
    // Connects, and waits for what follows on it.
    void connect_until(const std::function<bool()>& condition)
    {
        const Fd channel = connect();
        EXPECT_TRUE(echoes(channel));
        EXPECT_TRUE(becomes(condition));
    }
    // The central hands out what `alter` makes of it: no key is kept, and connections work all the same.
    void expect_no_key(const TestCentral::Habits& habits)
    {
        central.set(habits);
        connect_until([this] { return central.key_conversations() > 0; });
        box.device().enter_personalization({}); // waits for what is under way
        EXPECT_FALSE(std::filesystem::exists(box.file("transaction-3.pb")));
    }
};

TEST_F(Transactions, A32_TheSecondConnectionRunsOnAPskWithoutASignature)
{
    get_key();
    EXPECT_EQ(central.with_certificate(), 1);
    box.wire.reset();
    EXPECT_TRUE(echoes(connect()));
    EXPECT_EQ(central.with_psk(), 1);
    EXPECT_EQ(box.wire.count(TPM2_CC_Sign), 0U);
    EXPECT_EQ(box.wire.count(TPM2_CC_HMAC), 1U);
    EXPECT_LE(box.wire.count(), 6U);
    box.wire.reset();
    EXPECT_TRUE(echoes(connect()));
    EXPECT_EQ(box.wire.count(), 3U);
    EXPECT_EQ(central.with_certificate(), 1);
    EXPECT_EQ(central.key_conversations(), 1);
}

TEST_F(Transactions, A32_TheKeyOutlivesTheDaemonButNotItsEpoch)
{
    get_key();
    box.boot();
    EXPECT_TRUE(echoes(connect()));
    EXPECT_EQ(central.with_psk(), 1);
    box.device().enter_personalization({});
    box.personalize(station, true);
    EXPECT_FALSE(std::filesystem::exists(box.file("transaction-3.pb")));
    introduce({&central.certificate()});
    EXPECT_TRUE(echoes(connect()));
    EXPECT_EQ(central.with_certificate(), 2);
}

TEST_F(Transactions, A32_ACentralSystemThatForgotTheKeyGivesANewOne)
{
    get_key();
    central.set({.forgets_keys = true});
    connect_until([this] { return central.key_conversations() == 2 && has_key(); });
    EXPECT_EQ(central.with_certificate(), 2);
    central.set({});
    EXPECT_TRUE(echoes(connect()));
    EXPECT_EQ(central.with_psk(), 1);
}

TEST_F(Transactions, A32_OneThatForgetsAllTheTimeIsNotAskedAllTheTime)
{
    get_key();
    central.set({.forgets_keys = true});
    connect_until([this] { return central.key_conversations() == 2 && has_key(); });
    for (int i = 0; i < 5; ++i)
        EXPECT_TRUE(echoes(connect()));
    box.device().end_channels();
    EXPECT_EQ(central.key_conversations(), 2);
}

TEST_F(Transactions, A32_AKeyIsRenewedInTime)
{
    operate();
    central.set({.alter = [](protocol::KeyMessage& message) {
        if (message.has_grant())
            message.mutable_grant()->set_rotate_after(1); // long ago
    }});
    connect();
    ASSERT_TRUE(becomes([this] { return has_key(); }));
    const auto first = lifecycle::Store(box.directory()).transaction_keys(3).keys(0).key_id();
    central.set({});
    connect_until([&] { return lifecycle::Store(box.directory()).transaction_keys(3).keys(0).key_id() != first; });
    EXPECT_EQ(central.with_psk(), 1); // good meanwhile
}

TEST_F(Transactions, A25_AKeyMadeUnderARemovedKeyIsNotOfferedAnyMore)
{
    get_key();
    // For good: the background may show it after the test.
    static const auto next = manufacturer().server(pki::Role::central, "localhost");
    introduce({&next});
    central.set({.certificate = &next});
    EXPECT_TRUE(echoes(connect()));
    EXPECT_EQ(central.with_psk(), 0);
    EXPECT_EQ(central.with_certificate(), 2);
}

TEST_F(Transactions, A32_AnOrdinaryServerIsAskedOnceAndServedWithTheModuleKey)
{
    operate();
    central.set({.no_key_conversation = true});
    for (int i = 0; i < 3; ++i)
        EXPECT_TRUE(echoes(connect()));
    box.device().end_channels();
    EXPECT_EQ(central.with_certificate(), 3);
    EXPECT_EQ(central.key_conversations(), 0);
    EXPECT_FALSE(has_key());
}

TEST_F(Transactions, Attack11_NeitherKeyNorPskIsOnTheTpmsWire)
{
    box.wire.recording = true;
    get_key();
    EXPECT_TRUE(echoes(connect()));
    EXPECT_EQ(central.with_psk(), 1);
    box.device().end_channels();
    const auto secrets = central.secrets();
    ASSERT_EQ(secrets.size(), 2U); // the key, and the one PSK made of it
    for (const auto& exchange : box.wire.record())
        for (const auto& secret : secrets) {
            EXPECT_TRUE(std::ranges::search(exchange.command, secret).empty());
            EXPECT_TRUE(std::ranges::search(exchange.response, secret).empty());
        }
}

using Alter = void (*)(protocol::KeyGrant&);
struct Bad {
    const char* what;
    Alter alter;
};

TPM2B_PUBLIC object_of(const protocol::KeyGrant& grant)
{
    return structures::unmarshal<TPM2B_PUBLIC>(as_bytes(grant.object())).or_throw();
}

// A key for another epoch, wrapped as well as any.
void another_epoch(protocol::KeyGrant& grant)
{
    auto object = object_of(grant);
    object.publicArea.authPolicy.buffer[0] ^= 1;
    grant.set_object(to_string(structures::marshal(object)));
}
void usable_without_policy(protocol::KeyGrant& grant)
{
    auto object = object_of(grant);
    object.publicArea.objectAttributes |= TPMA_OBJECT_USERWITHAUTH;
    grant.set_object(to_string(structures::marshal(object)));
}
void in_clear(protocol::KeyGrant& grant) { grant.set_seed(std::string(2, '\0')); }
void broken_wrap(protocol::KeyGrant& grant) { grant.mutable_duplicate()->back() ^= 1; }
void no_object(protocol::KeyGrant& grant) { grant.clear_object(); }
void short_id(protocol::KeyGrant& grant) { grant.set_key_id("short"); }
void expired_already(protocol::KeyGrant& grant) { grant.set_not_after(1); }
void rotated_after_its_end(protocol::KeyGrant& grant) { grant.set_rotate_after(grant.not_after() + 1); }
void eternal(protocol::KeyGrant& grant) { grant.set_not_after(std::numeric_limits<std::int64_t>::max()); }

class BadGrants : public Transactions, public testing::WithParamInterface<Bad> { };

TEST_P(BadGrants, A32_NothingIsKept)
{
    operate();
    expect_no_key({.alter = [](protocol::KeyMessage& message) {
        if (message.has_grant())
            GetParam().alter(*message.mutable_grant());
    }});
}

INSTANTIATE_TEST_SUITE_P(All, BadGrants,
                         testing::Values(Bad{"AnotherEpoch", another_epoch},
                                         Bad{"UsableWithoutPolicy", usable_without_policy}, Bad{"InClear", in_clear},
                                         Bad{"BrokenWrap", broken_wrap}, Bad{"NoObject", no_object},
                                         Bad{"ShortId", short_id}, Bad{"ExpiredAlready", expired_already},
                                         Bad{"RotatedAfterItsEnd", rotated_after_its_end}, Bad{"Eternal", eternal}),
                         [](const auto& chosen) { return std::string(chosen.param.what); });

TEST_F(Transactions, Attack17_WhatIsNoMessageIsNoKey)
{
    operate();
    expect_no_key({.replace = [](Bytes bytes) {
        bytes.push_back(0);
        return bytes;
    }});
}

TEST_F(Transactions, Attack07_DoneBeforeItIsDue)
{
    operate();
    expect_no_key({.alter = [](protocol::KeyMessage& message) { message.mutable_done(); }});
}

TEST_F(Transactions, Attack07_ARefusalIsNoKey)
{
    operate();
    expect_no_key({.alter = [](protocol::KeyMessage& message) { message.mutable_refused()->set_reason(1); }});
}

} // namespace
} // namespace imprint::test
