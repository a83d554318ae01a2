// SPDX-License-Identifier: Apache-2.0
// The transaction key's public area, its PSKs and the messages by which it comes to a device.
#include "provisioning/protocol/transaction_key.h"

#include "daemon/structures/name.h"
#include "daemon/structures/policy.h"
#include "provisioning/protocol/framing.h"
#include "provisioning/protocol/key_messages.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

namespace imprint::protocol {
namespace {

Bytes index_name() { return structures::name_of(structures::epoch_index(0x0180494D, true)); }

TPMT_PUBLIC area()
{
    TPMT_PUBLIC made = transaction_key_area(index_name(), 7);
    made.unique.keyedHash.size = 32;
    return made;
}

TEST(TransactionKey, A32_IsAnHmacKeyOfOneEpoch)
{
    const TPMT_PUBLIC key = area();
    EXPECT_EQ(key.type, TPM2_ALG_KEYEDHASH);
    EXPECT_EQ(key.objectAttributes, TPMA_OBJECT_NODA | TPMA_OBJECT_SIGN_ENCRYPT);
    EXPECT_EQ(key.parameters.keyedHashDetail.scheme.scheme, TPM2_ALG_HMAC);
    const Bytes policy = structures::policy_epoch(index_name(), 7);
    EXPECT_TRUE(equal({key.authPolicy.buffer, key.authPolicy.size}, policy));
    EXPECT_TRUE(is_transaction_key(key, index_name(), 7));
}

TEST(TransactionKey, Attack03_NothingElseIsTakenForOne)
{
    const std::vector<std::function<void(TPMT_PUBLIC&)>> changes{
        [](TPMT_PUBLIC& a) { a.type = TPM2_ALG_ECC; },
        [](TPMT_PUBLIC& a) { a.nameAlg = TPM2_ALG_SHA384; },
        [](TPMT_PUBLIC& a) { a.objectAttributes |= TPMA_OBJECT_USERWITHAUTH; },
        [](TPMT_PUBLIC& a) { a.objectAttributes |= TPMA_OBJECT_DECRYPT; },
        [](TPMT_PUBLIC& a) { a.objectAttributes |= TPMA_OBJECT_FIXEDTPM; },
        [](TPMT_PUBLIC& a) { a.objectAttributes &= ~TPMA_OBJECT_NODA; },
        [](TPMT_PUBLIC& a) { a.objectAttributes &= ~TPMA_OBJECT_SIGN_ENCRYPT; },
        [](TPMT_PUBLIC& a) { a.authPolicy.size = 0; },
        [](TPMT_PUBLIC& a) { a.authPolicy.buffer[0] ^= 1; },
        [](TPMT_PUBLIC& a) { a.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL; },
        [](TPMT_PUBLIC& a) { a.parameters.keyedHashDetail.scheme.details.hmac.hashAlg = TPM2_ALG_SHA1; },
        [](TPMT_PUBLIC& a) { a.unique.keyedHash.size = 0; },
        [](TPMT_PUBLIC& a) { a.unique.keyedHash.size = 31; }};
    for (std::size_t i = 0; i < changes.size(); ++i) {
        TPMT_PUBLIC changed = area();
        changes[i](changed);
        EXPECT_FALSE(is_transaction_key(changed, index_name(), 7)) << i;
    }
    EXPECT_FALSE(is_transaction_key(area(), index_name(), 9)) << "another epoch";
    const Bytes other = structures::name_of(structures::epoch_index(0x0180494E, true));
    EXPECT_FALSE(is_transaction_key(area(), other, 7)) << "another index";
}

TEST(TransactionKey, Attack02_EveryConnectionHasAnIdentityOfItsOwn)
{
    const Bytes id(key_id_size, 0x11);
    std::set<Bytes> seen;
    for (int i = 0; i < 100'000; ++i)
        EXPECT_TRUE(seen.insert(new_psk_identity(id)).second);
    EXPECT_EQ(key_id_of(*seen.begin()), id);
    for (const std::size_t size : {0UL, 16UL, 31UL, 33UL, 64UL})
        EXPECT_EQ(key_id_of(Bytes(size)), std::nullopt) << size;
}

// The vectors are from another implementation of HMAC (Python's).
TEST(TransactionKey, A32_DerivesByTheseBytes)
{
    Bytes identity(psk_identity_size);
    for (std::size_t i = 0; i < identity.size(); ++i)
        identity[i] = static_cast<std::uint8_t>(i);
    EXPECT_EQ(hex(psk_input(identity)), hex(as_bytes("imprint/1 psk")) + "00" + hex(identity));
    const Secret key(Bytes(transaction_key_size, 0x0B));
    EXPECT_EQ(hex(transaction_hmac(key, psk_input(identity)).view()),
              "e4efdfb5405edb555d567b9a7065e084b2b262746498a1a96994125db392d67a");
    const Bytes binding(32, 0x22), id(key_id_size, 0x11);
    EXPECT_EQ(hex(confirmation_input(binding, id)),
              hex(as_bytes("imprint/1 key confirmation")) + "00" + hex(binding) + hex(id));
    EXPECT_EQ(hex(transaction_hmac(key, confirmation_input(binding, id)).view()),
              "6d50101342da4162e87ba4f6bacd177bd8eb8e533aab0c3abd71fe311052d674");
}

KeyMessage request()
{
    KeyMessage message;
    message.mutable_request()->set_version(1);
    message.mutable_request()->set_storage_key("area");
    return message;
}

TEST(KeyMessages, A32_ComeBackAsTheyWere)
{
    KeyMessage grant, confirm, done;
    grant.mutable_grant()->set_key_id(std::string(16, 'k'));
    grant.mutable_grant()->set_not_after(-1);
    confirm.mutable_confirm()->set_proof(std::string(32, 'p'));
    done.mutable_done();
    for (const auto& message : {request(), grant, confirm, done, key_refused({Reason::busy, "later"})}) {
        const auto bytes = serialize(message);
        const auto parsed = parse_key_message(bytes);
        ASSERT_TRUE(parsed) << parsed.refusal().detail;
        EXPECT_EQ(serialize(*parsed), bytes);
    }
    EXPECT_EQ(refusal_of(key_refused({Reason::busy, "later"}).refused()).reason, Reason::busy);
}

TEST(KeyMessages, Attack17_OnlyTheCanonicalFormIsTaken)
{
    const Bytes good = serialize(request());
    const auto with = [&good](const std::function<void(Bytes&)>& change) {
        Bytes bytes = good;
        change(bytes);
        const auto parsed = parse_key_message(bytes);
        return parsed ? std::nullopt : std::optional(parsed.refusal().reason);
    };
    EXPECT_EQ(with([](Bytes&) {}), std::nullopt);
    const std::vector<std::function<void(Bytes&)>> changes{
        [](Bytes& b) { b.clear(); },
        [](Bytes& b) { b.pop_back(); },
        [](Bytes& b) { b.push_back(0); },
        [](Bytes& b) {
            b.insert(b.end(), {0x22, 0x00});
        }, // a second body
        [](Bytes& b) {
            b.insert(b.end(), {0x7A, 0x00});
        }, // an unknown field
        [](Bytes& b) { b.insert(b.begin() + 1, static_cast<std::uint8_t>(b[1] | 0x80U)), b[2] = 0; }, // a long length
        [](Bytes& b) { // an unknown field inside
            b.insert(b.end(), {0x7A, 0x00});
            b[1] = static_cast<std::uint8_t>(b[1] + 2);
        },
        [](Bytes& b) { b.assign(max_message + 1, 0x0A); }};
    for (std::size_t i = 0; i < changes.size(); ++i)
        EXPECT_TRUE(with(changes[i])) << i;
    for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
        Bytes flipped = good;
        flipped[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
        const auto parsed = parse_key_message(flipped);
        EXPECT_TRUE(!parsed || serialize(*parsed) == flipped) << bit;
    }
}

} // namespace
} // namespace imprint::protocol
