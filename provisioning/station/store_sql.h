// SPDX-License-Identifier: Apache-2.0
// What the store's own files share.
#pragma once

#include "provisioning/server/sql.h"

namespace imprint::station {

namespace sql = server::sql;

} // namespace imprint::station
