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
        const auto verdict = verify_ek(*certificate, {}, cas);
        EXPECT_TRUE(verdict) << index << ": " << verdict.refusal().detail;
        // The intermediate may come from anyone, and may be all that the operator trusts.
        for (const auto& ca : cas)
            EXPECT_EQ(static_cast<bool>(verify_ek(*certificate, cas, {ca})), true) << ca.common_name();
        EXPECT_FALSE(verify_ek(*certificate, cas, {}));
        EXPECT_FALSE(verify_ek(*certificate, cas, {test::TestPki().root.certificate}));
    }
}

// An EK-like certificate by the vendor, with changes made before it is signed.
class WrongEndorsementCertificates : public testing::Test {
protected:
    using Change = std::function<void(X509*)>;

    Certificate make(const Change& change, EVP_PKEY* signer, const EVP_MD* digest = EVP_sha256())
    {
        X509* x509 = X509_new();
        X509_set_version(x509, X509_VERSION_3);
        ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
        X509_set_issuer_name(x509, X509_get_subject_name(vendor.certificate.x509()));
        X509_gmtime_adj(X509_getm_notBefore(x509), 0);
        X509_gmtime_adj(X509_getm_notAfter(x509), 1000);
        X509_set_pubkey(x509, key.get());
        change(x509);
        X509_sign(x509, signer, digest);
        return *Certificate::from_der(Certificate(x509).der());
    }
    bool accepted(const Change& change, const EVP_MD* digest = EVP_sha256())
    {
        const auto verdict = verify_ek(make(change, vendor.key.get(), digest), {}, {vendor.certificate});
        EXPECT_TRUE(verdict || verdict.refusal().reason == Reason::untrusted_endorsement_key);
        return static_cast<bool>(verdict);
    }
    static void usages(X509* x509, std::string_view oid) { add_extended_key_usage(x509, std::array{oid}); }

    const test::TestPki maker{"Vendor"};
    const test::Certified& vendor = maker.root;
    Key key = generate_key("P-256");
};

TEST_F(WrongEndorsementCertificates, Attack06_UsageAndConstraints)
{
    EXPECT_TRUE(accepted([](X509*) {})) << "without extensions";
    EXPECT_TRUE(accepted([](X509* x) { usages(x, "2.23.133.8.1"); }));
    EXPECT_FALSE(accepted([](X509* x) { usages(x, "2.23.133.8.3"); }));
    EXPECT_FALSE(accepted([](X509* x) { usages(x, "1.3.6.1.5.5.7.3.2"); }));
    EXPECT_TRUE(accepted([](X509* x) { add_basic_constraints(x, false, no_path_limit); }));
    EXPECT_FALSE(accepted([](X509* x) { add_basic_constraints(x, true, no_path_limit); }));
    EXPECT_FALSE(verify_ek(vendor.certificate, {}, {vendor.certificate})) << "the CA itself";
    EXPECT_FALSE(verify_ek(maker.identity_ca.certificate, {}, {vendor.certificate})) << "an intermediate";
    EXPECT_FALSE(verify_ek(maker.archive.certificate, {}, {vendor.certificate})) << "another kind of certificate";
}

TEST_F(WrongEndorsementCertificates, Attack06_ValidityIsNotLookedAt)
{
    EXPECT_TRUE(accepted([](X509* x) { X509_gmtime_adj(X509_getm_notAfter(x), -1000); }));
}

TEST_F(WrongEndorsementCertificates, Attack06_Signatures)
{
    EXPECT_FALSE(accepted([](X509*) {}, EVP_sha1()));
    const auto foreign = make([](X509*) {}, key.get());
    EXPECT_FALSE(verify_ek(foreign, {}, {vendor.certificate}));
    auto der = make([](X509*) {}, vendor.key.get()).der();
    der.back() = static_cast<std::uint8_t>(der.back() ^ 1);
    const auto flipped = Certificate::from_der(der);
    EXPECT_FALSE(flipped && verify_ek(*flipped, {}, {vendor.certificate}));
}

TEST_F(WrongEndorsementCertificates, Attack06_Attack29_Keys)
{
    key = Key(EVP_RSA_gen(1024));
    EXPECT_FALSE(accepted([](X509*) {}));
    key = Key(EVP_RSA_gen(2048));
    EXPECT_TRUE(accepted([](X509*) {}));
    key = generate_key("P-256");
    ASSERT_EQ(EVP_PKEY_set_utf8_string_param(key.get(), "encoding", "explicit"), 1);
    EXPECT_FALSE(accepted([](X509*) {}));
}

TEST_F(WrongEndorsementCertificates, Attack06_UnknownCriticalExtensions)
{
    EXPECT_FALSE(accepted([](X509* x) {
        const Owned<ASN1_OBJECT, ASN1_OBJECT_free> oid(OBJ_txt2obj("1.2.3.4", 1));
        const Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> value(ASN1_OCTET_STRING_new());
        const Owned<X509_EXTENSION, X509_EXTENSION_free> extension(
            X509_EXTENSION_create_by_OBJ(nullptr, oid.get(), 1, value.get()));
        X509_add_ext(x, extension.get(), -1);
    }));
}

} // namespace
} // namespace imprint::pki
