// SPDX-License-Identifier: Apache-2.0
#include "backup/package/backup_package.h"

#include "daemon/base/hkdf.h"
#include "daemon/pki/cms.h"
#include "daemon/structures/name.h"

#include <google/protobuf/io/coded_stream.h>

namespace imprint::package {

namespace {

Refusal invalid(const std::string& detail) { return {Reason::record_invalid, detail}; }

Bytes info(std::string_view chip_identifier, std::uint64_t sequence)
{
    Bytes bytes = to_bytes("imprint/1 backup");
    bytes.push_back(0);
    bytes.insert(bytes.end(), chip_identifier.begin(), chip_identifier.end());
    bytes.push_back(0);
    for (int shift = 56; shift >= 0; shift -= 8)
        bytes.push_back(static_cast<std::uint8_t>(sequence >> shift));
    return bytes;
}

// The length of a padding field's value that fills exactly `room` bytes, tag and length included. There is none where
// one more byte of value would need one more byte of length.
std::optional<std::size_t> padding_for(std::size_t room)
{
    using google::protobuf::io::CodedOutputStream;
    if (room == 0)
        return 0;
    for (std::size_t head = 2; head <= 4 && head <= room; ++head)
        if (1 + CodedOutputStream::VarintSize64(room - head) == head)
            return room - head;
    return std::nullopt;
}

// The serialized content, padded up to the first size that can be met.
Secret padded(BackupContent content)
{
    content.clear_padding();
    const std::size_t plain = content.ByteSizeLong();
    for (const std::size_t size : padded_sizes) {
        if (plain > size)
            continue;
        const auto padding = padding_for(size - plain);
        if (!padding)
            continue;
        if (plain < size)
            content.set_padding(std::string(*padding, '\0'));
        return Secret(serialize(content));
    }
    throw Error(Reason::package_invalid, "a backup of " + std::to_string(plain) + " bytes is too large");
}

bool known(const BackupContent& content) { return protobuf::none_unknown(content, content.device()); }

bool is_padded(const BackupContent& content, std::size_t size)
{
    return std::ranges::find(padded_sizes, size) != padded_sizes.end() &&
        std::ranges::all_of(content.padding(), [](char c) { return c == '\0'; });
}

} // namespace

Secret derive_kek(const Secret& secret, std::string_view chip_identifier, std::uint64_t sequence)
{
    return hkdf_sha256(secret, info(chip_identifier, sequence), secret_size);
}

Bytes key_identifier(std::string_view chip_identifier, std::uint64_t sequence)
{
    return structures::digest(TPM2_ALG_SHA256, info(chip_identifier, sequence));
}

Bytes seal(BackupContent content, const Secret& secret)
{
    const Secret kek = derive_kek(secret, content.chip_identifier(), content.sequence());
    const Bytes identifier = key_identifier(content.chip_identifier(), content.sequence());
    return pki::envelope(padded(std::move(content)), kek, identifier);
}

Result<BackupContent> open(BytesView enveloped, const Secret& secret, std::string_view chip_identifier,
                           std::uint64_t sequence)
{
    const Secret kek = derive_kek(secret, chip_identifier, sequence);
    const auto plain =
        pki::open_envelope(enveloped, kek, key_identifier(chip_identifier, sequence), max_backup_package);
    if (!plain)
        return invalid(plain.refusal().detail);
    BackupContent content;
    if (const auto verdict = protobuf::parse_canonical(content, plain->view(), padded_sizes.back(),
                                                       Reason::record_invalid, "the backup package");
        !verdict)
        return verdict.refusal();
    if (!known(content) || content.version() != format_version)
        return invalid("the backup package has unknown fields or another version");
    if (content.chip_identifier() != chip_identifier || content.sequence() != sequence)
        return invalid("the backup package is for another chip or sequence");
    if (!is_padded(content, plain->size()))
        return invalid("the backup package is not padded as it must be");
    return content;
}

} // namespace imprint::package
