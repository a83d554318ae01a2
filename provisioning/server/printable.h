// SPDX-License-Identifier: Apache-2.0
// Words of strangers, for people's terminals and for logs.
#pragma once

#include <string>
#include <string_view>

namespace imprint::server {

// The text with everything but printable ASCII as \xNN, and backslashes doubled.
std::string printable(std::string_view text);

} // namespace imprint::server
