// SPDX-License-Identifier: Apache-2.0
#include "backup/package/backup_package.h"

#include "tests/package/software_device.h"
#include "tests/support/process.h"

#include <gtest/gtest.h>

#include <set>

namespace imprint::package {
namespace {

const std::string chip(64, 'a');
const std::string other_chip(64, 'b');

BackupContent content_of(std::size_t size)
{
    BackupContent content;
    content.set_version(format_version);
    content.set_chip_identifier(chip);
    content.set_sequence(5);
    content.set_data_package(std::string(size, 'x'));
    return content;
}

Secret secret() { return Secret(Bytes(secret_size, 0x42)); }

TEST(BackupPackages, RoundTrip)
{
    const auto opened = open(seal(content_of(100), secret()), secret(), chip, 5);
    ASSERT_TRUE(opened) << opened.refusal().detail;
    EXPECT_EQ(opened->data_package(), std::string(100, 'x'));
}

// RFC 5869 with the salt left out, as another implementation computes it.
TEST(BackupPackages, TheKeyIsWhatStockToolsDerive)
{
    using namespace std::string_literals;
    const Bytes info = to_bytes("imprint/1 backup\0"s + chip + "\0\0\0\0\0\0\0\1\5"s);
    const auto derived = test::run({"openssl", "kdf", "-keylen", "32", "-binary", "-kdfopt", "digest:SHA256", "-kdfopt",
                                    "hexkey:" + hex(secret().view()), "-kdfopt", "hexsalt:" + std::string(64, '0'),
                                    "-kdfopt", "hexinfo:" + hex(info), "HKDF"});
    ASSERT_EQ(derived.status, 0) << derived.err;
    EXPECT_EQ(hex(as_bytes(derived.out)), hex(derive_kek(secret(), chip, 0x105).view()));
}

TEST(Attack21, BackupPackagesHaveFourSizes)
{
    std::set<std::size_t> sizes;
    for (const std::size_t size : {0, 1, 1000, 3900, 4000, 4096, 10000, 16384, 60000, 70000, 130000, 163000})
        sizes.insert(seal(content_of(size), secret()).size());
    EXPECT_EQ(sizes.size(), padded_sizes.size());
    EXPECT_LE(*sizes.rbegin(), max_backup_package);
}

// Around the sizes: every length of the padding's own length, and the lengths that no padding fills.
TEST(BackupPackages, EveryContentAroundTheSizesFits)
{
    for (const std::size_t size : {padded_sizes[0], padded_sizes[1]})
        for (std::size_t less = 0; less < 300; ++less) {
            const auto opened = open(seal(content_of(size - less), secret()), secret(), chip, 5);
            ASSERT_TRUE(opened) << size << " - " << less << ": " << opened.refusal().detail;
        }
}

TEST(BackupPackages, ContentThatIsTooLargeIsRefused)
{
    EXPECT_THROW(seal(content_of(padded_sizes.back()), secret()), Error);
}

// Sealed as seal() does, but with any padding.
Bytes seal_unpadded(const BackupContent& content)
{
    return pki::envelope(Secret(serialize(content)), derive_kek(secret(), chip, 5), key_identifier(chip, 5));
}

TEST(BackupPackages, PaddingIsChecked)
{
    auto content = open(seal(content_of(100), secret()), secret(), chip, 5).or_throw();
    EXPECT_TRUE(open(seal_unpadded(content), secret(), chip, 5));
    content.mutable_padding()->back() = 'x';
    EXPECT_FALSE(open(seal_unpadded(content), secret(), chip, 5));
    content.mutable_padding()->back() = '\0';
    content.mutable_padding()->pop_back();
    EXPECT_FALSE(open(seal_unpadded(content), secret(), chip, 5));
}

TEST(BackupPackages, AnotherVersionOrAnUnknownFieldIsRefused)
{
    auto content = content_of(100);
    content.set_version(2);
    EXPECT_FALSE(open(seal(content, secret()), secret(), chip, 5));
    content = content_of(100);
    content.mutable_device()->mutable_unknown_fields()->append("\x38\x01");
    EXPECT_FALSE(open(seal(content, secret()), secret(), chip, 5));
}

TEST(Attack19BackupPackages, APackageOpensForItsOwnChipAndSequenceOnly)
{
    const Bytes sealed = seal(content_of(100), secret());
    for (const auto& [who, when] : {std::pair(other_chip, 5), std::pair(chip, 3), std::pair(chip, 7)}) {
        const auto opened = open(sealed, secret(), who, when);
        ASSERT_FALSE(opened);
        EXPECT_EQ(opened.refusal().reason, Reason::record_invalid);
    }
    EXPECT_FALSE(open(sealed, Secret(Bytes(secret_size, 0x43)), chip, 5));
}

// The key identifier is not authenticated by CMS: the key is bound to what it stands for.
TEST(Attack19BackupPackages, AnotherKeyIdentifierOpensNothing)
{
    Bytes sealed = seal(content_of(100), secret());
    const Bytes mine = key_identifier(chip, 5);
    const Bytes foreign = key_identifier(other_chip, 5);
    const auto at = std::ranges::search(sealed, mine);
    ASSERT_FALSE(at.empty());
    std::ranges::copy(foreign, at.begin());
    EXPECT_FALSE(open(sealed, secret(), chip, 5));
    EXPECT_FALSE(open(sealed, secret(), other_chip, 5));
}

TEST(Attack19BackupPackages, ContentOfAnotherChipUnderTheRightKeyIsRefused)
{
    auto content = open(seal(content_of(100), secret()), secret(), chip, 5).or_throw();
    content.set_chip_identifier(other_chip);
    EXPECT_FALSE(open(seal_unpadded(content), secret(), chip, 5));
}

TEST(Attack47, AChangedByteAnywhereIsRefused)
{
    const Bytes sealed = seal(content_of(100), secret());
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        Bytes changed = sealed;
        changed[i] = static_cast<std::uint8_t>(changed[i] ^ 1U << (i % 8));
        ASSERT_FALSE(open(changed, secret(), chip, 5)) << "byte " << i;
    }
}

TEST(Attack47, ATruncatedPackageIsRefused)
{
    const Bytes sealed = seal(content_of(100), secret());
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, sealed.size() - 12, sealed.size() - 1})
        EXPECT_FALSE(open(BytesView(sealed).first(size), secret(), chip, 5)) << size;
}

std::set<std::string> windows(BytesView bytes)
{
    std::set<std::string> all;
    for (std::size_t i = 0; i + 8 <= bytes.size(); ++i)
        all.insert(to_string(bytes.subspan(i, 8)));
    return all;
}

bool share_something(std::string_view a, std::string_view b)
{
    const auto ours = windows(as_bytes(a));
    return std::ranges::any_of(windows(as_bytes(b)), [&](const auto& window) { return ours.contains(window); });
}

TEST(Attack21, PackagesOfTwoDevicesShareNothing)
{
    const test::TestPki pki;
    const test::SoftwareDevice one(pki, "SN-1"), two(pki, "SN-2");
    const auto a = one.record_content(5), b = two.record_content(5);
    const auto ciphertext = [](const RecordContent& content) { // behind the structure that all CMS have in common
        const std::string& package = content.backup_package();
        return std::string_view(package).substr(package.size() - padded_sizes[0]);
    };
    EXPECT_FALSE(share_something(ciphertext(a), ciphertext(b)));
    EXPECT_FALSE(share_something(a.sealed_secret().duplicate(), b.sealed_secret().duplicate()));
    EXPECT_FALSE(share_something(a.sealed_secret().seed(), b.sealed_secret().seed()));
    EXPECT_FALSE(share_something(to_string(key_identifier(one.chip, 5)), to_string(key_identifier(two.chip, 5))));
}

// The same content for the same chip and sequence, twice.
TEST(Attack21, EverySealingIsFresh)
{
    const Bytes a = seal(content_of(100), secret()), b = seal(content_of(100), secret());
    const auto tail = [](const Bytes& bytes) { return as_text(BytesView(bytes).last(padded_sizes[0])); };
    EXPECT_FALSE(share_something(tail(a), tail(b)));
}

} // namespace
} // namespace imprint::package
