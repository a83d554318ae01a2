// SPDX-License-Identifier: Apache-2.0
#include "backup/recovery/find.h"

#include "backup/package/newest.h"
#include "backup/recovery/fetch.h"

namespace imprint::recovery {

namespace {

struct Archive {
    const std::string& address;
    const pki::Trust& trust;
    pki::Time now;
    tls::Deadline deadline;
    const tls::Cancel& cancel;
};

Result<package::Newest> ask_for_newest(const Archive& archive, const std::string& chip)
{
    const Bytes nonce = random_bytes(package::newest_nonce_size);
    const auto word = fetch_newest(archive.address, chip, nonce, archive.deadline, archive.cancel);
    if (!word)
        return word.refusal();
    return package::open_newest(*word, archive.trust, archive.now, chip, nonce);
}

// There is no word, which a mirror cannot give: tells whether there is a record at all.
Refusal without_word(const Archive& archive, const std::string& chip)
{
    const auto record = fetch_record(archive.address, chip, std::nullopt, archive.deadline, archive.cancel);
    if (!record)
        return record.refusal();
    return {Reason::newest_unproven, "there is a record at " + archive.address + ", but no word of the archive on it"};
}

Result<Bytes> fetch_newest_record(const Archive& archive, const std::string& chip)
{
    const auto newest = ask_for_newest(archive, chip);
    if (!newest)
        return newest.refusal().reason == Reason::record_not_found ? without_word(archive, chip) : newest.refusal();
    auto record = fetch_record(archive.address, chip, newest->sequence, archive.deadline, archive.cancel);
    if (record && package::record_digest(*record) != newest->record_digest)
        return Refusal{Reason::newest_unproven, "the archive gave another record than the one that it signed for"};
    return record;
}

} // namespace

Result<package::Record> find_record(const std::string& archive, const Wanted& wanted, const pki::Trust& trust,
                                    pki::Time now, tls::Deadline deadline, const tls::Cancel& cancel)
{
    const Archive asked{archive, trust, now, deadline, cancel};
    Result<Bytes> bytes = Refusal{Reason::record_not_found, "this TPM has no endorsement key to know it by"};
    for (const auto& chip : wanted.chips) {
        bytes = wanted.sequence ? fetch_record(archive, chip, wanted.sequence, deadline, cancel)
                                : fetch_newest_record(asked, chip);
        if (bytes || bytes.refusal().reason != Reason::record_not_found)
            break;
    }
    if (!bytes)
        return bytes.refusal();
    return check_record(*bytes, wanted, trust);
}

Result<package::Record> take_record(BytesView bytes, const Wanted& wanted, const pki::Trust& trust)
{
    auto record = check_record(bytes, wanted, trust);
    if (record && !wanted.sequence)
        return Refusal{Reason::newest_unproven,
                       "the record has sequence " + std::to_string(record->content.sequence()) +
                           "; the TPM has no counter that says whether it is the right one"};
    return record;
}

} // namespace imprint::recovery
