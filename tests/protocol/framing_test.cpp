// SPDX-License-Identifier: Apache-2.0
// Framing, strict parsing, the transcript. vectors.txt has messages with their expected verdict.
#include "provisioning/protocol/framing.h"
#include "provisioning/protocol/transcript.h"

#include "daemon/base/file.h"

#include <gtest/gtest.h>

#include <sstream>

namespace imprint::protocol {

namespace {

Message full_hello()
{
    Message message;
    auto& hello = *message.mutable_hello();
    hello.set_version(1);
    hello.set_chip_identifier(std::string(64, 'a'));
    auto& key = *hello.add_endorsement_keys();
    key.set_area("area");
    key.add_chain("one");
    key.add_chain("two");
    hello.mutable_capabilities()->add_algorithms("p256");
    hello.set_epoch(2);
    hello.set_nonce(std::string(32, 'n'));
    hello.set_clock(-1);
    return message;
}

// Every message, with every nested one.
std::vector<Message> all_messages()
{
    std::vector<Message> all{full_hello()};
    all.emplace_back().mutable_challenge()->mutable_credential()->set_secret("s");
    all.emplace_back().mutable_proof()->mutable_creation()->set_attest("a");
    all.emplace_back().mutable_proof()->mutable_storage_key()->set_attest("a");
    all.emplace_back().mutable_proof()->mutable_epoch()->set_attest("a");
    all.emplace_back().mutable_grant()->add_certificates("c");
    all.emplace_back().mutable_backup()->add_keys()->mutable_certified()->set_signature("s");
    all.emplace_back().mutable_receipt()->set_record("r");
    all.emplace_back().mutable_refused()->set_reason(3);
    all.emplace_back().mutable_resume()->set_sequence(3);
    return all;
}

TEST(Framing, LengthsAreBigEndianAndBounded)
{
    EXPECT_EQ(announced_length({0, 0, 1, 2}).or_throw(), 258U);
    EXPECT_EQ(announced_length({0, 4, 0, 0}).or_throw(), max_message);
    EXPECT_EQ(announced_length({0, 0, 0, 0}).refusal().reason, Reason::malformed_message);
    EXPECT_EQ(announced_length({0, 4, 0, 1}).refusal().reason, Reason::message_too_large);
    EXPECT_EQ(announced_length({0xff, 0xff, 0xff, 0xff}).refusal().reason, Reason::message_too_large);
    EXPECT_EQ(frame(Bytes{7, 8}), (Bytes{0, 0, 0, 2, 7, 8}));
    EXPECT_THROW(frame({}), Error);
    EXPECT_THROW(frame(Bytes(max_message + 1)), Error);
}

TEST(Parsing, WhatIsSerializedParsesBack)
{
    for (const auto& message : all_messages()) {
        const Bytes bytes = serialize(message);
        const auto parsed = parse(bytes);
        ASSERT_TRUE(parsed) << message.body_case();
        EXPECT_EQ(serialize(*parsed), bytes);
    }
}

TEST(Parsing, Attack17_EveryTruncationIsRefused)
{
    for (const auto& message : all_messages()) {
        const Bytes bytes = serialize(message);
        for (std::size_t size = 0; size < bytes.size(); ++size)
            EXPECT_FALSE(parse(BytesView(bytes).first(size))) << message.body_case() << " cut to " << size;
    }
}

// The innermost part of a message, where an unknown field is hardest to see.
std::string& innermost_unknown(Message& message)
{
    switch (message.body_case()) {
    case Message::kHello:
        return *message.mutable_hello()->mutable_endorsement_keys(0)->mutable_unknown_fields();
    case Message::kChallenge:
        return *message.mutable_challenge()->mutable_credential()->mutable_unknown_fields();
    case Message::kProof:
        if (message.proof().has_creation())
            return *message.mutable_proof()->mutable_creation()->mutable_unknown_fields();
        if (message.proof().has_storage_key())
            return *message.mutable_proof()->mutable_storage_key()->mutable_unknown_fields();
        return *message.mutable_proof()->mutable_epoch()->mutable_unknown_fields();
    case Message::kBackup:
        return *message.mutable_backup()->mutable_keys(0)->mutable_certified()->mutable_unknown_fields();
    case Message::kGrant:
        return *message.mutable_grant()->mutable_unknown_fields();
    case Message::kReceipt:
        return *message.mutable_receipt()->mutable_unknown_fields();
    case Message::kRefused:
        return *message.mutable_refused()->mutable_unknown_fields();
    case Message::kResume:
        return *message.mutable_resume()->mutable_unknown_fields();
    case Message::BODY_NOT_SET:
        break;
    }
    return *message.mutable_unknown_fields();
}

TEST(Parsing, Attack17_UnknownFieldsAreRefusedAtEveryDepth)
{
    const std::string unknown = "\xf8\x07\x01"; // field 127, a varint
    for (auto message : all_messages()) {
        EXPECT_FALSE(parse(to_bytes(to_string(serialize(message)) + unknown))) << message.body_case();
        innermost_unknown(message) = unknown;
        EXPECT_FALSE(parse(serialize(message))) << message.body_case();
    }
}

TEST(Parsing, OversizedIsRefusedUnread)
{
    EXPECT_FALSE(parse(Bytes(max_message + 1)));
    Message large;
    large.mutable_backup()->set_record(std::string(max_message, 'r'));
    EXPECT_FALSE(parse(serialize(large)));
}

// Lines of "hex expect-word # comment": what the two programs have to agree on.
TEST(Parsing, Attack17_TheVectors)
{
    std::istringstream lines(to_string(read_file(VECTORS, 1 << 20).value()));
    int count = 0;
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line.substr(0, line.find('#')));
        std::string digits;
        std::string expect;
        if (!(words >> digits >> expect))
            continue;
        const auto parsed = parse(unhex(digits == "-" ? "" : digits).value());
        EXPECT_EQ(parsed ? "accept" : std::string(name(parsed.refusal().reason)), expect) << line;
        ++count;
    }
    EXPECT_GT(count, 10);
}

TEST(Refusals, Attack36_CrossTheWireCleaned)
{
    const auto message = refused({Reason::sequence_taken, "two\nlines\x01"});
    const Refusal back = refusal_of(parse(serialize(message))->refused());
    EXPECT_EQ(back.reason, Reason::sequence_taken);
    EXPECT_EQ(back.detail, "two?lines?");
    Refused unknown;
    unknown.set_reason(4'000'000);
    unknown.set_detail(std::string(5000, 'x'));
    EXPECT_EQ(refusal_of(unknown).reason, Reason::internal);
    EXPECT_EQ(refusal_of(unknown).detail.size(), 1024U);
}

TEST(Transcript, BindsConnectionHelloAndChallenge)
{
    const Bytes binding(32, 1);
    const Bytes hello{2};
    const Bytes challenge{3};
    const Bytes data = qualifying_data(binding, hello, challenge);
    // Computed with printf and openssl dgst, as protocol.md says.
    EXPECT_EQ(hex(data), "f78023bdb2ef4c7cfed3fd1287db7fa7f81395a6654f5a115aee5c719ebe7a99");
    EXPECT_NE(data, qualifying_data(Bytes(32, 9), hello, challenge));
    EXPECT_NE(data, qualifying_data(binding, Bytes{9}, challenge));
    EXPECT_NE(data, qualifying_data(binding, hello, Bytes{9}));
    EXPECT_NE(data, qualifying_data(binding, challenge, hello));
}

} // namespace

} // namespace imprint::protocol
