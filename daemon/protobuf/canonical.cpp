// SPDX-License-Identifier: Apache-2.0
#include "daemon/protobuf/canonical.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

namespace imprint::protobuf {

Bytes serialize(const google::protobuf::MessageLite& message)
{
    std::string text;
    {
        google::protobuf::io::StringOutputStream stream(&text);
        google::protobuf::io::CodedOutputStream coded(&stream);
        coded.SetSerializationDeterministic(true);
        if (!message.SerializeToCodedStream(&coded))
            throw Error(Reason::internal, "a message could not be serialized");
    }
    return to_bytes(text);
}

Verdict parse_canonical(google::protobuf::MessageLite& message, BytesView bytes, std::size_t limit, Reason reason,
                        const std::string& what)
{
    if (bytes.size() > limit)
        return Refusal{reason,
                       what + " has " + std::to_string(bytes.size()) + " bytes; " + std::to_string(limit) +
                           " are allowed"};
    if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
        return Refusal{reason, what + " is not valid Protocol Buffers"};
    // Repeated singular fields, fields out of order and non-minimal encodings all come back differently.
    if (!equal(serialize(message), bytes))
        return Refusal{reason, what + " is not in its canonical form"};
    return accepted();
}

} // namespace imprint::protobuf
