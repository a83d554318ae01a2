// SPDX-License-Identifier: Apache-2.0
// The end of a personalization: the station's signature beside the device's on the same record. No I/O.
#pragma once

#include "daemon/lifecycle/store.h"
#include "daemon/pki/verify.h"
#include "provisioning/protocol/messages.pb.h"

namespace imprint::device {

// The pending personalization with the completed record in it. The station's chain is judged at the time of its
// signature: a lost receipt may be fetched long after. `station`: who has to have signed, where that is known.
// Refusal: record_invalid (another content), key_mismatch (another station) or what package::open_record says.
Result<lifecycle::Personalization> complete(lifecycle::Personalization pending, const protocol::Receipt& receipt,
                                            const pki::Trust& trust, const std::optional<pki::Certificate>& station);

// Asks for the lost receipt of a pending personalization: the serialized Resume.
Bytes resume_message(const lifecycle::Personalization& pending);

} // namespace imprint::device
