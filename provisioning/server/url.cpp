// SPDX-License-Identifier: Apache-2.0
#include "provisioning/server/url.h"

#include "daemon/base/error.h"

namespace imprint::server {

Location parse_location(std::string_view scheme, const std::string& url, std::string_view what)
{
    const std::string prefix = std::string(scheme) + "://";
    const Error bad(Reason::invalid_argument,
                    "not the address of " + std::string(what) + " (" + prefix + "host:port): " + url);
    if (!url.starts_with(prefix))
        throw bad;
    std::string rest = url.substr(prefix.size());
    if (rest.ends_with('/'))
        rest.pop_back();
    const auto colon = rest.rfind(':');
    if (rest.find('/') != std::string::npos || colon == std::string::npos || colon == 0 || colon + 1 == rest.size())
        throw bad;
    Location location{rest.substr(0, colon), rest.substr(colon + 1)};
    if (location.host.front() == '[' && location.host.back() == ']')
        location.host = location.host.substr(1, location.host.size() - 2);
    return location;
}

} // namespace imprint::server
