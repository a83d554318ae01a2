// SPDX-License-Identifier: Apache-2.0
// A security module on a software TPM of its own, with the wire between them open to the test.
#pragma once

#include "daemon/structures/name.h"
#include "daemon/structures/templates.h"
#include "daemon/tpm/security_module.h"
#include "tests/support/reason.h"
#include "tests/support/software_tpm.h"
#include "tests/support/test_tcti.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

namespace imprint::test {

inline const Bytes anchor(32, 0xa5);
inline const Bytes variation(32, 0x76);
inline const Bytes qualifying(32, 0x71);

// Settings of a TPM without a resource manager.
inline tpm::Settings bare_settings()
{
    tpm::Settings settings;
    settings.tcti = "test";
    return settings;
}

class TpmTest : public ::testing::Test {
protected:
    explicit TpmTest(SoftwareTpm::Kind kind = SoftwareTpm::Kind::bare)
        : tpm(kind)
    {
    }

    std::unique_ptr<tpm::SecurityModule> open(tpm::Settings settings = bare_settings())
    {
        return std::make_unique<tpm::SecurityModule>(tpm::Connection(wire.tcti()), std::move(settings));
    }

    // Commands that `work` costs.
    template <class F>
    std::size_t commands(F work)
    {
        const auto before = wire.count();
        work();
        return wire.count() - before;
    }

    // Transient objects and loaded sessions in the TPM.
    std::size_t leaked() const { return handles(0x80000000) + handles(0x02000000); }
    std::size_t handles(std::uint32_t first) const;

    SoftwareTpm tpm;
    Wire wire{tpm.descriptor()};
};

// A device in the personalization state.
class PreparedTest : public TpmTest {
protected:
    explicit PreparedTest(SoftwareTpm::Kind kind = SoftwareTpm::Kind::bare)
        : TpmTest(kind)
        , module(open())
        , epoch(module->prepare(anchor))
    {
    }
    tpm::CreatedModuleKey create_module_key()
    {
        tpm::SecurityModule::Work work(*module);
        work.last();
        return work.create_module_key(epoch + 1, variation, qualifying);
    }
    Bytes sign(const tpm::CreatedModuleKey& key)
    {
        return module->sign_with_module_key(key.object, key.sensitive, epoch + 1, as_bytes("message"));
    }
    std::unique_ptr<tpm::SecurityModule> module;
    std::uint64_t epoch;
};

// Verifies a DER ECDSA signature over SHA-256 by the key of a public area.
bool verify(const TPMT_PUBLIC& key, BytesView message, BytesView signature);

// A P-256 key pair made in software: the private scalar and the importable public area without a policy.
struct SoftwareKey {
    TPMT_PUBLIC area;
    Secret scalar;
};
SoftwareKey software_key();

} // namespace imprint::test
