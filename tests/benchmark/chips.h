// SPDX-License-Identifier: Apache-2.0
// What a sequence of TPM commands costs on real chips: published latencies (wolfTPM's measurements), summed up.
#pragma once

#include "tests/support/software_tpm.h"

#include <array>
#include <string_view>

namespace imprint::benchmark {

// Milliseconds of a P-256 key generation, an ECDSA signature, an ECDH; everything else counts as light.
struct Chip {
    std::string_view name;
    double key_generation, signature, ecdh;
    double light = 8;
};

inline constexpr std::array chips{
    Chip{"SLB9670", 231, 69, 232},
    Chip{"SLB9672", 136, 36, 66},
    Chip{"NPCT750", 84, 56, 29},
    Chip{"ST33TPHF2X", 220, 42, 247},
};

// The modelled time in milliseconds. RSA operations of an RSA endorsement key are counted like ECDH.
inline double modelled_time(const Chip& chip, const test::CommandCount& commands)
{
    double sum = 0;
    for (const auto& [code, count] : commands.by_code) {
        double cost = chip.light;
        switch (code) {
        case 0x131: // CreatePrimary
        case 0x153: // Create
            cost = chip.key_generation;
            break;
        case 0x14A: // CertifyCreation
        case 0x148: // Certify
        case 0x184: // NV_Certify
        case 0x15D: // Sign
            cost = chip.signature;
            break;
        case 0x147: // ActivateCredential
        case 0x156: // Import
        case 0x176: // StartAuthSession, salted
            cost = chip.ecdh;
            break;
        default:
            break;
        }
        sum += cost * static_cast<double>(count);
    }
    return sum;
}

} // namespace imprint::benchmark
