// SPDX-License-Identifier: Apache-2.0
// What a failed TLS call means: the reason that one of our own callbacks left, the peer's alert, or a broken line.
#pragma once

#include "daemon/base/error.h"

namespace imprint::tls {

// From OpenSSL's error queue, which is emptied.
Error failure(const std::string& doing);

} // namespace imprint::tls
