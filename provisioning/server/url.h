// SPDX-License-Identifier: Apache-2.0
// Where another server is.
#pragma once

#include <string>
#include <string_view>

namespace imprint::server {

struct Location {
    std::string host, port; // an IPv6 address without its brackets
};

// Of "SCHEME://host:port", a slash behind it or not; anything else throws Error(invalid_argument). `what` the address
// should be one of: "an archive".
Location parse_location(std::string_view scheme, const std::string& url, std::string_view what);

} // namespace imprint::server
