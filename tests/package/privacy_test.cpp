// SPDX-License-Identifier: Apache-2.0
// What a public record tells: what formats.md names, one of four sizes, and nothing that two records have in common.
#include "daemon/structures/marshal.h"
#include "tests/package/software_device.h"

#include <gtest/gtest.h>

#include <set>

namespace imprint::test {
namespace {

constexpr std::size_t tag_size = 18; // with its header: the end of AuthEnvelopedData
constexpr std::size_t run = 8; // that random bytes have in common once in 2^40 comparisons of records

bool holds(BytesView record, BytesView part) { return !std::ranges::search(record, part).empty(); }

template <class T>
Bytes buffer_of(const T& tpm2b)
{
    return {tpm2b.buffer, tpm2b.buffer + tpm2b.size};
}

// All runs of eight bytes.
std::set<std::string> runs(BytesView bytes)
{
    std::set<std::string> all;
    for (std::size_t at = 0; at + run <= bytes.size(); ++at)
        all.insert(to_string(bytes.subspan(at, run)));
    return all;
}

bool share_a_run(BytesView one, BytesView other)
{
    const auto known = runs(one);
    for (std::size_t at = 0; at + run <= other.size(); ++at)
        if (known.contains(to_string(other.subspan(at, run))))
            return true;
    return false;
}

// The parts of a record that were encrypted or wrapped for one chip, without the structure around them.
struct Veiled {
    Bytes content; // of the backup package
    Bytes wrapped_key; // the content's key
    Bytes duplicate; // of the sealed secret
    Bytes seed; // the point that it is wrapped by
    Bytes unique; // of its public area
};

std::size_t padded_size(std::size_t package)
{
    std::size_t fitting = 0;
    for (const auto size : package::padded_sizes)
        if (size + tag_size < package)
            fitting = size;
    return fitting;
}

Veiled veiled(const package::RecordContent& content)
{
    const Bytes package = to_bytes(content.backup_package());
    const auto start = package.size() - tag_size - padded_size(package.size());
    const Bytes head(package.begin(), package.begin() + static_cast<std::ptrdiff_t>(start));
    const Bytes octets{0x04, 0x28}; // 40 bytes: a wrapped AES-256 key
    const auto found = std::ranges::search(head, octets);
    EXPECT_FALSE(found.empty());
    const auto& sealed = content.sealed_secret();
    const auto duplicate = structures::unmarshal<TPM2B_PRIVATE>(as_bytes(sealed.duplicate())).or_throw();
    const auto area = structures::unmarshal<TPM2B_PUBLIC>(as_bytes(sealed.object())).or_throw().publicArea;
    constexpr std::size_t point_header = 4;
    return {Bytes(package.begin() + static_cast<std::ptrdiff_t>(start), package.end() - tag_size),
            Bytes(found.end(), found.end() + 40), buffer_of(duplicate), to_bytes(sealed.seed().substr(point_header)),
            buffer_of(area.unique.keyedHash)};
}

void expect_nothing_in_common(const package::RecordContent& one, const package::RecordContent& other)
{
    const Veiled a = veiled(one), b = veiled(other);
    for (const auto part :
         {&Veiled::content, &Veiled::wrapped_key, &Veiled::duplicate, &Veiled::seed, &Veiled::unique}) {
        EXPECT_GE((a.*part).size(), 32U);
        EXPECT_FALSE(share_a_run(a.*part, b.*part));
    }
}

class Privacy : public testing::Test {
protected:
    // A data package with this many keys, the certificate of each as long as that.
    package::RecordContent with_keys(int keys, std::size_t certificate) const
    {
        auto data = device.data_package(3);
        const auto key = data.entries(0);
        data.clear_entries();
        for (int i = 0; i < keys; ++i) {
            auto& entry = *data.add_entries();
            entry = key;
            entry.set_label("key-" + std::to_string(i));
            entry.set_certificate(std::string(certificate, 'c'));
        }
        auto backup = device.backup_content(3);
        backup.set_data_package(to_string(package::serialize(data)));
        auto content = device.record_content(3);
        content.set_backup_package(to_string(package::seal(std::move(backup), device.secret)));
        return content;
    }

    TestPki pki;
    SoftwareDevice device{pki, "SN-1"};
};

TEST_F(Privacy, Attack21_EncryptedContentHasAtMostFourSizes)
{
    std::set<std::size_t> sizes;
    for (const std::size_t certificate : {std::size_t(0), std::size_t(300), std::size_t(1500)})
        for (int keys = 0; keys <= static_cast<int>(package::max_entries); ++keys)
            sizes.insert(with_keys(keys, certificate).backup_package().size());
    EXPECT_EQ(sizes.size(), package::padded_sizes.size());
    for (const auto size : sizes)
        EXPECT_LE(size, package::max_backup_package);
}

TEST_F(Privacy, Attack21_NothingStandsThereInClearButWhatTheFormatNames)
{
    const auto data = device.data_package(3);
    auto backup = device.backup_content(3);
    backup.set_data_package(to_string(package::serialize(data)));
    backup.mutable_device()->set_module_certificate(to_string(random_bytes(300)));
    backup.mutable_device()->set_module_object(to_string(random_bytes(100)));
    auto content = device.record_content(3);
    content.set_backup_package(to_string(package::seal(backup, device.secret)));
    const Bytes record = package::countersign(device.device_record(content), pki.station_signing.certificate,
                                              pki.station_signing.key.get(), {});
    ASSERT_TRUE(holds(record, as_bytes(device.chip))) << "the chip identifier is public";
    ASSERT_TRUE(holds(record, device.identity.certificate.der())) << "so is the identity certificate";

    const auto& point = device.storage_key.unique.ecc;
    EXPECT_FALSE(holds(record, buffer_of(point.x))) << "the chip storage key's public part";
    EXPECT_FALSE(holds(record, buffer_of(point.y)));
    EXPECT_FALSE(holds(record, Bytes{0xff, 'T', 'C', 'G'})) << "an attestation";
    EXPECT_FALSE(holds(record, as_bytes(backup.device().module_certificate())));
    EXPECT_FALSE(holds(record, as_bytes(backup.device().module_object())));
    for (const auto& entry : data.entries())
        for (const auto* part : {&entry.label(), &entry.object(), &entry.duplicate(), &entry.seed()})
            EXPECT_FALSE(holds(record, as_bytes(*part))) << entry.label();
}

TEST_F(Privacy, Attack21_RecordsOfTwoDevicesShareNoRunOfBytes)
{
    const SoftwareDevice other(pki, "SN-2");
    expect_nothing_in_common(device.record_content(3), other.record_content(3));
}

TEST_F(Privacy, Attack21_NeitherDoTwoOfOneDevice)
{
    expect_nothing_in_common(device.record_content(3), device.record_content(5));
}

// The test would see it.
TEST_F(Privacy, Attack21_ARunInCommonIsSeen)
{
    const auto one = veiled(device.record_content(3));
    Bytes other = random_bytes(one.content.size());
    EXPECT_FALSE(share_a_run(one.content, other));
    std::copy_n(one.content.begin() + 100, run, other.begin() + 900);
    EXPECT_TRUE(share_a_run(one.content, other));
}

} // namespace
} // namespace imprint::test
