// SPDX-License-Identifier: Apache-2.0
// QR codes of what may be a secret: on a terminal, and as a picture.
#pragma once

#include "daemon/base/secret.h"

#include <string_view>

namespace imprint::server {

// Two rows of modules in each line of half-block characters (UTF-8), a margin of 4 modules around them; light modules
// are drawn, as on a dark terminal. `colours`: with the escape sequences that make it so on any terminal.
// Throws Error(invalid_argument): there is no QR code for that much text.
Secret qr_text(std::string_view text, bool colours);

// An SVG document of the same, one unit a module, without a size of its own.
Secret qr_svg(std::string_view text);

} // namespace imprint::server
