// SPDX-License-Identifier: Apache-2.0
#include "dbus/boundary.h"

#include "daemon/base/file.h"
#include "daemon/lifecycle/state.h"

#include <gtest/gtest.h>

namespace imprint::dbus {
namespace {

TEST(Printable, TextStays)
{
    for (const auto* text : {"", "plain text", "Grüße", "€", "\xf0\x9f\x94\x91"})
        EXPECT_EQ(printable(text), text);
}

TEST(Printable, Attack36_ControlAndBrokenBytesGo)
{
    using namespace std::string_literals;
    EXPECT_EQ(printable("a\nb\r\x1b[31m\x7f\0c"s), "a?b??[31m??c");
    EXPECT_EQ(printable("\xc2\x85"), "?") << "a C1 control";
    EXPECT_EQ(printable("\xff"), "?");
    EXPECT_EQ(printable("\xc3"), "?") << "cut short";
    EXPECT_EQ(printable("\xc0\xaf"), "??") << "overlong";
    EXPECT_EQ(printable("\xe0\x80\xaf"), "???") << "overlong";
    EXPECT_EQ(printable("\xed\xa0\x80"), "???") << "a surrogate";
    EXPECT_EQ(printable("\xf4\x90\x80\x80"), "????") << "above U+10FFFF";
    EXPECT_EQ(printable("\xe2\x82"), "??");
}

TEST(Errors, EveryReasonHasAnErrorThatLeadsBack)
{
    int count = 0;
    for (std::uint32_t number = 0; number < 1000; ++number) {
        const auto reason = reason_from_wire(number);
        if (!reason)
            continue;
        ++count;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        EXPECT_LT(set_error(&error, {*reason, "a\ndetail"}), 0);
        EXPECT_EQ(reason_named(error.name), reason);
        EXPECT_EQ(error.message, "a?detail\n" + std::string(hint(*reason)));
        sd_bus_error_free(&error);
    }
    EXPECT_GT(count, 50);
    EXPECT_EQ(reason_named("org.freedesktop.DBus.Error.NoReply"), std::nullopt);
}

TEST(Errors, WhateverIsThrownBecomesOne)
{
    EXPECT_FALSE(failure_of([] {}));
    EXPECT_EQ(failure_of([] { throw Error(Reason::busy, "x"); })->reason, Reason::busy);
    EXPECT_EQ(failure_of([] { throw std::runtime_error("y"); })->detail, "y");
    EXPECT_EQ(failure_of([] { throw 1; })->reason, Reason::internal);
}

TEST(Errors, TheManPageKnowsEveryErrorAndState)
{
    const auto page = to_string(read_file(IMPRINT_SOURCE "/dbus/org.imprint.Device1.5", 65536).value());
    for (std::uint32_t number = 0; number < 1000; ++number)
        if (const auto reason = reason_from_wire(number)) {
            const auto error = std::string(dbus_error(*reason)).substr(std::string("org.imprint.Error.").size());
            EXPECT_NE(page.find(".Er " + error), std::string::npos) << error;
        }
    for (int state = 0; state <= static_cast<int>(lifecycle::State::tpm_unavailable); ++state) {
        const auto name = std::string(lifecycle::name(static_cast<lifecycle::State>(state)));
        EXPECT_NE(page.find("\n.It Li " + name + "\n"), std::string::npos) << name;
    }
}

} // namespace
} // namespace imprint::dbus
