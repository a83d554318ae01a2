// SPDX-License-Identifier: Apache-2.0
// What binds every attestation to this one conversation.
#pragma once

#include "daemon/base/bytes.h"

namespace imprint::protocol {

// SHA-256("imprint/1 attestation" ‖ 0x00 ‖ TLS exporter (RFC 9266, 32 bytes) ‖ SHA-256(Hello) ‖ SHA-256(Challenge)),
// over the messages as they stood on the wire (without their length).
Bytes qualifying_data(BytesView channel_binding, BytesView hello, BytesView challenge);

} // namespace imprint::protocol
