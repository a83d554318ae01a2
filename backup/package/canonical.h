// SPDX-License-Identifier: Apache-2.0
// The strict reader behind every format of this folder: parse, look for unknown fields, re-encode, compare.
#pragma once

#include "backup/package/package.pb.h"
#include "daemon/base/bytes.h"
#include "daemon/base/error.h"

namespace imprint::package {

// Serialized deterministically: fields by number, every length minimal.
Bytes serialize(const google::protobuf::MessageLite& message);

// Fills `message` from at most `limit` bytes; a Refusal with `reason` names the format as `what`.
// The caller goes on to ask none_unknown() for every message of the tree.
Verdict parse_canonical(google::protobuf::MessageLite& message, BytesView bytes, std::size_t limit, Reason reason,
                        const std::string& what);

// The lite runtime keeps unknown fields and writes them back, so re-encoding does not show them.
template <class... Parts>
bool none_unknown(const Parts&... parts)
{
    return (parts.unknown_fields().empty() && ...);
}

} // namespace imprint::package
