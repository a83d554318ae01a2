// SPDX-License-Identifier: Apache-2.0
// An RSA 2048 modulus as the library of CVE-2017-15361 made them, in hexadecimal.
#pragma once

namespace imprint::test {

// Both primes are k * M + (65537^a mod M), M being the product of the first 126 primes.
inline constexpr const char* faulty_modulus =
    "a214fbdb0b366d51338d1969713829ccf443eb440e2e9786ba56f9079b179baedefb753b88f4217b88344f2f1a50278a"
    "3c3f3775c2bc7a43451d1fab3a0d7f5644d8b3da859e034aa202678add22d6a9809646c43c610cab27972e3df2f066af"
    "f0a04c170f13d43c2f9331d6aae6ca047ce30247c01a72f339920e987eed0030cbe4fb574e797a230a6d3456450008ca"
    "5d3285ffcad9c8b47ba5008e412c6766ecaf0ae3440fc2a2a7e3e3acd3afa98a9d5cdd1dccfdd03f07d315cb4c135d6b"
    "5ca6f213e336d44facb98e6725b0b49a964f6537db084a81c9b8edaf313b9ba3c9c1222b1e428c88b06b5096036e34a7"
    "c072e46f946ec369bfcc9f1a502d723f";

} // namespace imprint::test
