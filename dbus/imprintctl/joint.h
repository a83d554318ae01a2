// SPDX-License-Identifier: Apache-2.0
// Joins a channel to somebody who speaks over one descriptor and listens on another, or on the same.
#pragma once

#include "daemon/base/file.h"

namespace imprint::ctl {

// Carries bytes both ways; passes on that one side has stopped sending; returns when both have, or one is gone.
// SIGPIPE is ignored. What cannot be written to without waiting holds back the other direction no more than a pipe
// does.
void join(Fd in, Fd out, Fd channel);

} // namespace imprint::ctl
