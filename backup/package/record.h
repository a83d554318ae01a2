// SPDX-License-Identifier: Apache-2.0
// The record that goes to the public archive: CMS SignedData by the device's identity key and the station.
#pragma once

#include "backup/package/package.pb.h"
#include "daemon/pki/cms.h"
#include "daemon/pki/verify.h"

#include <optional>

namespace imprint::package {

inline constexpr std::size_t max_record = 256 * 1024;

// A record whose signatures hold. Whose they are was checked against `trust`.
struct Record {
    Bytes bytes;
    Bytes content_bytes;
    RecordContent content;
    pki::Certificate identity; // device's identity certificate, chain checked, chip identifier matches
    pki::Certificates identity_issuers; // between that and the anchor
    std::optional<pki::Certificate> station; // station's signing certificate, chain and role checked
};

// The content signed by the identity key. `identity_key` is a provider's key in the device.
Bytes make_record(const RecordContent& content, const pki::Certificate& identity, EVP_PKEY* identity_key,
                  const pki::Certificates& issuers, pki::Signing how = {});
// The station's signature beside the device's.
Bytes countersign(BytesView record, const pki::Certificate& station, EVP_PKEY* key, const pki::Certificates& issuers,
                  pki::Signing how = {});

// As it comes from the device: exactly one signer, the identity key. Refusal(record_invalid | signature_invalid | the
// chain's reasons).
Result<Record> open_device_record(BytesView record, const pki::Trust& trust, pki::Time now);
// Complete: exactly two signers, the identity key and a station's signing key. Without `now` both chains are judged at
// the time that the station signed: a recovery may come years after the station's certificate has ended.
Result<Record> open_record(BytesView record, const pki::Trust& trust, std::optional<pki::Time> now);

// SHA-256 over the record's bytes: its name in receipts and on the archive's interface.
Bytes record_digest(BytesView record);

} // namespace imprint::package
