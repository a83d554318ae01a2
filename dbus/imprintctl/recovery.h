// SPDX-License-Identifier: Apache-2.0
// Where a record may come from: an archive or a mirror on the network, or what the user can read and the daemon, in its
// sandbox, cannot.
#pragma once

#include "daemon/base/bytes.h"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>

namespace imprint::ctl {

// "http://host[:port][/path]": for the daemon to ask. Throws Error(invalid_argument) for other addresses.
bool is_archive(const std::string& source);

// The record of a file, of stdin ("-"), or of the directory of a mirror: there it is the one with this sequence, else
// the one of the device's present odd epoch, else the one with the highest. Throws Error(invalid_argument |
// record_not_found).
Bytes read_record(const std::string& source, const nlohmann::ordered_json& properties,
                  std::optional<std::uint64_t> sequence);

// At most `limit` bytes of a file, or of stdin ("-"). `what` for people: "a record".
Bytes read_input(const std::string& file, std::size_t limit, const std::string& what);

} // namespace imprint::ctl
