// SPDX-License-Identifier: Apache-2.0
// Certificates of endorsement keys: those of swtpm's CA, and wrong ones.
#include "daemon/pki/extensions.h"
#include "tests/support/software_tpm.h"
#include "tests/support/test_pki.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>

namespace imprint::pki {
namespace {

Bytes read_nv(const test::SoftwareTpm& tpm, const std::string& index)
{
    const test::TemporaryDirectory directory;
    const auto read =
        test::run({"tpm2_nvread", "-T", tpm.tools_tcti(), "-C", "o", "-o", (directory / "out").string(), index});
    EXPECT_EQ(read.status, 0) << read.err;
    return read_file(directory / "out", 4096).value_or(Bytes{});
}

TEST(EndorsementCertificates, Attack06_AcceptsWhatTheVendorMade)
{
    const test::SoftwareTpm tpm(test::SoftwareTpm::Kind::manufactured, test::SoftwareTpm::Access::socket);
    const auto cas = certificates_from_pem(test::SoftwareTpm::vendor_ca());
    for (const auto* index : {"0x01c00002", "0x01c00016"}) {
        const auto nv = read_nv(tpm, index);
        const auto certificate = Certificate::from_padded_der(nv);
        ASSERT_TRUE(certificate) << index;
        const auto verdict = verify_ek(*certificate, {}, {.anchors = cas});
        EXPECT_TRUE(verdict) << index << ": " << verdict.refusal().detail;
        // The intermediate may come from anyone, and may be all that the operator trusts.
        for (const auto& ca : cas)
            EXPECT_EQ(static_cast<bool>(verify_ek(*certificate, cas, {.anchors = {ca}})), true) << ca.common_name();
        EXPECT_FALSE(verify_ek(*certificate, cas, {}));
        EXPECT_FALSE(verify_ek(*certificate, cas, {.anchors = {test::TestPki().root.certificate}}));
    }
}

} // namespace
} // namespace imprint::pki
