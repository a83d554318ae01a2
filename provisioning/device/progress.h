// SPDX-License-Identifier: Apache-2.0
// How far a long call has come.
#pragma once

#include <functional>
#include <string>

namespace imprint::device {

// percent: 0 to 100, never falling within one call; step: a short phrase such as "creating the module key".
using Progress = std::function<void(unsigned percent, const std::string& step)>;

} // namespace imprint::device
