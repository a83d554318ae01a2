// SPDX-License-Identifier: Apache-2.0
// The messages between courier and station. courier_vectors.txt has some with their expected verdict.
#include "provisioning/protocol/courier_messages.h"

#include "daemon/base/file.h"
#include "provisioning/protocol/framing.h"

#include <gtest/gtest.h>

#include <sstream>

namespace imprint::protocol {
namespace {

std::vector<CourierMessage> all_messages()
{
    std::vector<CourierMessage> all(2);
    auto& request = *all[0].mutable_request();
    request.set_version(1);
    request.set_ticket(true);
    request.set_chip_identifier(std::string(64, 'a'));
    request.set_reason("because");
    request.set_validity(60);
    auto& answer = *all[1].mutable_answer();
    answer.set_introduction(std::string(96, '0'));
    answer.set_station_address("127.0.0.1:7443");
    answer.set_expires(1);
    all.push_back(courier_refused({Reason::operator_revoked, "who"}));
    return all;
}

TEST(CourierMessages, Attack17_WhatIsSerializedParsesBackAndNothingShorter)
{
    for (const auto& message : all_messages()) {
        const Bytes bytes = serialize(message);
        const auto parsed = parse_courier_message(bytes);
        ASSERT_TRUE(parsed) << message.body_case();
        EXPECT_EQ(serialize(*parsed), bytes);
        for (std::size_t size = 0; size < bytes.size(); ++size)
            EXPECT_FALSE(parse_courier_message(BytesView(bytes).first(size))) << message.body_case() << " " << size;
    }
}

TEST(CourierMessages, Attack17_UnknownFieldsAreRefusedAtEveryDepth)
{
    const std::string unknown = "\xf8\x07\x01"; // field 127, a varint
    auto all = all_messages();
    for (const auto& message : all)
        EXPECT_FALSE(parse_courier_message(to_bytes(to_string(serialize(message)) + unknown))) << message.body_case();
    *all[0].mutable_request()->mutable_unknown_fields() = unknown;
    *all[1].mutable_answer()->mutable_unknown_fields() = unknown;
    *all[2].mutable_refused()->mutable_unknown_fields() = unknown;
    for (const auto& message : all)
        EXPECT_FALSE(parse_courier_message(serialize(message))) << message.body_case();
}

// Lines of "hex expect-word # comment".
TEST(CourierMessages, Attack17_TheVectors)
{
    std::istringstream lines(to_string(read_file(COURIER_VECTORS, 1 << 20).value()));
    int count = 0;
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line.substr(0, line.find('#')));
        std::string digits;
        std::string expect;
        if (!(words >> digits >> expect))
            continue;
        const auto parsed = parse_courier_message(unhex(digits == "-" ? "" : digits).value());
        EXPECT_EQ(parsed ? "accept" : std::string(name(parsed.refusal().reason)), expect) << line;
        ++count;
    }
    EXPECT_GT(count, 10);
}

TEST(CourierMessages, Attack36_ReasonsAndAddressesArePrintableAndShort)
{
    EXPECT_TRUE(is_introduction_reason("new board in rack 7"));
    EXPECT_TRUE(is_introduction_reason(std::string(128, 'x')));
    EXPECT_TRUE(is_station_address(""));
    EXPECT_TRUE(is_station_address("[2001:db8::1]:7443"));
    EXPECT_TRUE(is_station_address("unix:/run/imprint/station"));
    for (const auto& text : {std::string(), std::string(129, 'x'), std::string("two\nlines"), std::string("\x1b[2J"),
                             std::string("\xc3\xa9")})
        EXPECT_FALSE(is_introduction_reason(text)) << text;
    for (const auto& text : {std::string(256, 'x'), std::string("a b"), std::string("a\nb"), std::string("a\0b", 3)})
        EXPECT_FALSE(is_station_address(text)) << text;
}

} // namespace
} // namespace imprint::protocol
