// SPDX-License-Identifier: Apache-2.0
// TSS2 key files: what is written is what everybody else writes, and only that is read again. (That tpm2-openssl uses
// them is for tests with a TPM.)
#include "daemon/pki/tss2_key.h"

#include "tests/support/process.h"

#include <gtest/gtest.h>

namespace imprint::pki {
namespace {

const Tss2Key key{0x8100494F, Bytes(90, 0x91), Bytes(130, 0x92)};

std::string replaced(std::string text, const std::string& what, const std::string& by)
{
    const auto at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return text.replace(at, what.size(), by);
}

TEST(Tss2KeyFile, ItIsOfTheFormThatOthersRead)
{
    const auto parsed = test::run({"openssl", "asn1parse"}, to_string(to_pem(key)));
    ASSERT_EQ(parsed.status, 0) << parsed.err;
    std::string types;
    for (std::size_t line = 0; line < parsed.out.size(); line = parsed.out.find('\n', line) + 1) {
        const auto from = parsed.out.find(": ", line) + 2;
        const auto text = parsed.out.substr(from, parsed.out.find('\n', line) - from);
        types += text.substr(0, text.find("HEX DUMP")) + "\n";
    }
    EXPECT_EQ(types,
              "SEQUENCE          \n"
              "OBJECT            :2.23.133.10.1.3\n"
              "cont [ 0 ]        \n"
              "BOOLEAN           :255\n"
              "INTEGER           :8100494F\n"
              "OCTET STRING      [\n"
              "OCTET STRING      [\n");
}

TEST(Tss2KeyFile, ItIsReadAgain)
{
    const auto read = tss2_key_from_pem(to_pem(key)).or_throw();
    EXPECT_EQ(read.parent, key.parent);
    EXPECT_EQ(read.object, key.object);
    EXPECT_EQ(read.sensitive, key.sensitive);
}

// Whoever made such a file, it was not us.
TEST(Tss2KeyFile, Attack17_NoOtherFormIsRead)
{
    const auto pem = to_string(to_pem(key));
    const std::vector<std::string> others{
        "",
        "no PEM at all",
        pem.substr(0, pem.size() - 1),
        pem.substr(0, pem.size() / 2),
        pem + "\n",
        pem + pem,
        "a comment\n" + pem,
        replaced(pem, "\n", "\r\n"),
        replaced(pem, "TSS2 PRIVATE KEY", "TSS2 PUBLIC KEY"),
        replaced(pem, "KEY-----\n", "KEY-----\nHeader: 1\n\n"),
        pem + std::string(max_tss2_key, '\n'),
    };
    for (const auto& other : others)
        EXPECT_FALSE(tss2_key_from_pem(as_bytes(other))) << other;
    // As tpm2-openssl writes it: its TRUE is 1.
    const auto der = test::run({"openssl", "base64", "-d"}, pem.substr(pem.find('\n') + 1, pem.find("-----END") - 34));
    const auto changed = [&](std::size_t at, char to) {
        std::string bytes = der.out;
        bytes.at(at) = to;
        return tss2_key_from_pem(as_bytes("-----BEGIN TSS2 PRIVATE KEY-----\n" +
                                          test::run({"openssl", "base64"}, bytes).out +
                                          "-----END TSS2 PRIVATE KEY-----\n"));
    };
    constexpr std::size_t last_of_oid = 10, truth = 15;
    ASSERT_EQ(static_cast<unsigned char>(der.out.at(truth)), 0xff);
    EXPECT_TRUE(changed(truth, static_cast<char>(0xff)));
    EXPECT_FALSE(changed(truth, 1));
    EXPECT_FALSE(changed(truth, 0));
    EXPECT_FALSE(changed(last_of_oid, 4)) << "an importable key";
}

} // namespace
} // namespace imprint::pki
