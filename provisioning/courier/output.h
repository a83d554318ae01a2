// SPDX-License-Identifier: Apache-2.0
// What imprint-courier shows and asks.
#pragma once

#include "provisioning/courier/station_client.h"

namespace imprint::courier {

// Whether the person at the terminal wants this chip to be introduced.
// Throws Error(invalid_argument) where there is no terminal to ask on.
bool confirmed(const std::string& link, const std::string& chip);

void print_introduced(const std::string& chip, const Introduction& introduction, bool json);
// Shows the number, which is the only time that it is shown; `qr`: also as a QR code, for a scanner at the device.
void print_number(const std::string& chip, const Introduction& introduction, bool json, bool qr);

} // namespace imprint::courier
