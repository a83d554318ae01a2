// SPDX-License-Identifier: Apache-2.0
// The judgement on an introduction that a device presents, and what all conversations of a server share for it.
#pragma once

#include "provisioning/station/attempt_limiter.h"
#include "provisioning/station/check_hello.h"
#include "provisioning/station/introductions.h"
#include "provisioning/station/station.h"

#include <map>
#include <memory>

namespace imprint::station {

// Held by a conversation from the judgement to the grant; free again when the last holder lets go of it.
using Reservation = std::shared_ptr<const std::string>; // of this chip

class Introductions {
public:
    AttemptLimiter limiter;

    // Nothing if another chip holds it. The same chip may come on a second connection: its first line may be dead.
    Reservation reserve(const std::string& selector, const std::string& chip);

private:
    std::map<std::string, std::weak_ptr<const std::string>> reserved_;
};

// Refusal(transaction_number_required).
Verdict check_required(Store& store, const Claim& claim, Required required);

// Whether the claim's introduction is good now, and reserves it. Refusal(transaction_number_wrong | what usable_by()
// says | transaction_number_in_use); all but the first are told to nobody who has not proven the secret. Neither the
// answer nor the time that it takes says whether a selector exists.
Result<Reservation> check_introduction(Store& store, Introductions& introductions, const Claim& claim,
                                       BytesView channel_binding, pki::Time now);

} // namespace imprint::station
