// SPDX-License-Identifier: Apache-2.0
// The one encoding of a message that every format of Imprint takes: parse, re-encode, compare, look for unknown fields.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/error.h"

#include <google/protobuf/message_lite.h>

#include <string>

namespace imprint::protobuf {

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

} // namespace imprint::protobuf
