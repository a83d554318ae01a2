// SPDX-License-Identifier: Apache-2.0
// What containers are booted from, made once and kept between runs.
#pragma once

#include "tests/support/process.h"

#include <functional>

namespace imprint::test {

class Container;

// The root file system with the packages under test, as the layers of an overlay, uppermost first, with colons between.
std::string package_layers();

// One more, above those: what `make` changes in a container that is booted without it. It is made anew when the
// packages or `contents`, what it is made from, are others. Returns its directory.
std::filesystem::path kept_layer(const std::string& name, const Bytes& contents,
                                 const std::function<void(const Container&)>& make);

} // namespace imprint::test
