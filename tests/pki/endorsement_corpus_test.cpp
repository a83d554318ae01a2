// SPDX-License-Identifier: Apache-2.0
// Certificates of endorsement keys, right and wrong ones, each with its expected verdict.
#include "daemon/pki/extensions.h"
#include "daemon/pki/roca.h"
#include "tests/support/faulty_modulus.h"
#include "tests/support/test_pki.h"

#include <gtest/gtest.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/x509v3.h>

#include <array>
#include <functional>

namespace imprint::pki {
namespace {

// What a TPM shows, and whom the operator trusts.
struct Shown {
    Bytes der;
    Certificates chain;
    Trust vendors;
};

// A vendor that can make everything.
class Vendor {
public:
    using Change = std::function<void(X509*)>;

    // By the vendor's root, unless another signer is given; trusted as it should be.
    Shown shown(const Change& change, const EVP_MD* digest = EVP_sha256()) const
    {
        return {make(change, maker.root, key, digest), {}, {.anchors = {maker.root.certificate}}};
    }
    Shown shown_with(const Key& other) const
    {
        return {make(nothing, maker.root, other, EVP_sha256()), {}, {.anchors = {maker.root.certificate}}};
    }
    Shown shown_by(const test::Certified& signer, const Certificates& chain, const Certificates& anchors) const
    {
        return {make(nothing, signer, key, EVP_sha256()), chain, {.anchors = anchors}};
    }
    Shown shown_with_list(const Crl& list) const
    {
        Shown out = shown(nothing);
        out.vendors.crls = {list};
        return out;
    }
    Crl list(const std::string& serial, Validity validity = test::valid) const
    {
        return issue_crl(maker.root.issuer(), 1, {{serial, test::at(2022)}}, validity);
    }
    // Of one certificate's bytes, the one at this place from the end.
    Shown flipped(std::size_t place) const
    {
        Shown out = shown(nothing);
        out.der.at(out.der.size() - place) ^= 1U;
        return out;
    }

    static void nothing(X509*) { }
    static Change usages(std::vector<std::string_view> oids)
    {
        return [oids](X509* x509) { add_extended_key_usage(x509, oids); };
    }
    static Change extension(const char* oid, bool critical)
    {
        return [=](X509* x509) {
            const Owned<ASN1_OBJECT, ASN1_OBJECT_free> object(OBJ_txt2obj(oid, 1));
            const Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> value(ASN1_OCTET_STRING_new());
            constexpr std::array<std::uint8_t, 2> empty_sequence{0x30, 0};
            ASN1_OCTET_STRING_set(value.get(), empty_sequence.data(), empty_sequence.size());
            const Owned<X509_EXTENSION, X509_EXTENSION_free> made(
                X509_EXTENSION_create_by_OBJ(nullptr, object.get(), critical ? 1 : 0, value.get()));
            X509_add_ext(x509, made.get(), -1);
        };
    }

    const test::TestPki maker{"Vendor"};
    const test::TestPki twin{"Vendor"}; // the same names, other keys
    const test::Certified intermediate = maker.ca(Role::station_signing, "Vendor Intermediate");
    const Key key = generate_key("P-256");

private:
    Bytes make(const Change& change, const test::Certified& signer, const Key& subject, const EVP_MD* digest) const
    {
        X509* x509 = X509_new();
        X509_set_version(x509, X509_VERSION_3);
        ASN1_INTEGER_set(X509_get_serialNumber(x509), 0x17);
        X509_set_issuer_name(x509, X509_get_subject_name(signer.certificate.x509()));
        X509_gmtime_adj(X509_getm_notBefore(x509), 0);
        X509_gmtime_adj(X509_getm_notAfter(x509), 1000);
        X509_set_pubkey(x509, subject.get());
        change(x509);
        X509_sign(x509, signer.key.get(), digest);
        return Certificate(x509).der();
    }
};

struct Case {
    const char* name;
    bool good;
    std::function<Shown(const Vendor&)> shown;
};

Key explicit_curve()
{
    Key key = generate_key("P-256");
    EVP_PKEY_set_utf8_string_param(key.get(), "encoding", "explicit");
    return key;
}

Shown padded(Shown shown, std::uint8_t with)
{
    shown.der.insert(shown.der.end(), 100, with);
    return shown;
}

Shown cut(Shown shown)
{
    shown.der.pop_back();
    return shown;
}

// Whatever is made from an unchanged certificate by one extension or field.
Case by(const char* name, bool good, Vendor::Change change)
{
    return {name, good, [change](const Vendor& v) { return v.shown(change); }};
}

const std::vector<Case>& corpus()
{
    using V = Vendor;
    static const std::vector<Case> cases{
        by("bare", true, V::nothing),
        by("usage of an EK", true, V::usages({"2.23.133.8.1"})),
        by("usage of an EK and more", true, V::usages({"2.23.133.8.1", "1.3.6.1.5.5.7.3.2"})),
        by("usage of a platform certificate", false, V::usages({"2.23.133.8.2"})),
        by("usage of an attestation key", false, V::usages({"2.23.133.8.3"})),
        by("usage of a TLS client", false, V::usages({"1.3.6.1.5.5.7.3.2"})),
        by("any usage", false, V::usages({"2.5.29.37.0"})),
        by("no CA", true, [](X509* x) { add_basic_constraints(x, false, no_path_limit); }),
        by("a CA", false, [](X509* x) { add_basic_constraints(x, true, no_path_limit); }),
        by("a CA for leaves", false, [](X509* x) { add_basic_constraints(x, true, 0); }),
        by("key encipherment", true, [](X509* x) { add_key_usage(x, KU_KEY_ENCIPHERMENT); }),
        by("key agreement", true, [](X509* x) { add_key_usage(x, KU_KEY_AGREEMENT); }),
        by("certificate signing", false, [](X509* x) { add_key_usage(x, KU_KEY_CERT_SIGN); }),
        by("expired", true, [](X509* x) { X509_gmtime_adj(X509_getm_notAfter(x), -1000); }),
        by("not yet valid", true, [](X509* x) { X509_gmtime_adj(X509_getm_notBefore(x), 900); }),
        by("never expires", true, [](X509* x) { ASN1_TIME_set_string(X509_getm_notAfter(x), "99991231235959Z"); }),
        by("names of its own", true, [](X509* x) { add_server_names(x, {"tpm.example"}); }),
        by("a critical alternative name", true, V::extension("2.5.29.17", true)),
        by("directory attributes", true, V::extension("2.5.29.9", false)),
        by("an unknown extension", true, V::extension("1.2.3.4", false)),
        by("an unknown critical extension", false, V::extension("1.2.3.4", true)),
        by("critical directory attributes", false, V::extension("2.5.29.9", true)),
        by("foreign issuer's name", false,
           [](X509* x) {
               X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                                          reinterpret_cast<const unsigned char*>("Somebody"), -1, -1, 0);
               X509_set_issuer_name(x, X509_get_subject_name(x));
           }),
        {"SHA-384", true, [](const V& v) { return v.shown(V::nothing, EVP_sha384()); }},
        {"SHA-512", true, [](const V& v) { return v.shown(V::nothing, EVP_sha512()); }},
        {"SHA-1", false, [](const V& v) { return v.shown(V::nothing, EVP_sha1()); }},
        {"SHA-224", true, [](const V& v) { return v.shown(V::nothing, EVP_sha224()); }},
        {"RSA 1024", false, [](const V& v) { return v.shown_with(Key(EVP_RSA_gen(1024))); }},
        {"RSA 2048", true, [](const V& v) { return v.shown_with(Key(EVP_RSA_gen(2048))); }},
        {"P-384", true, [](const V& v) { return v.shown_with(generate_key("P-384")); }},
        {"a curve without a name", false, [](const V& v) { return v.shown_with(explicit_curve()); }},
        {"a flipped bit of the signature", false, [](const V& v) { return v.flipped(1); }},
        {"another flipped bit of it", false, [](const V& v) { return v.flipped(40); }},
        {"a flipped bit of the key", false, [](const V& v) { return v.flipped(140); }},
        {"padding with zeros", true, [](const V& v) { return padded(v.shown(V::nothing), 0); }},
        {"padding with ones", true, [](const V& v) { return padded(v.shown(V::nothing), 0xff); }},
        {"its last byte missing", false, [](const V& v) { return cut(v.shown(V::nothing)); }},
        {"nothing at all", false,
         [](const V& v) {
             return Shown{{}, {}, {.anchors = {v.maker.root.certificate}}};
         }},
        {"nobody is trusted", false, [](const V& v) { return v.shown_by(v.maker.root, {}, {}); }},
        {"another vendor is trusted", false,
         [](const V& v) { return v.shown_by(v.maker.root, {}, {test::TestPki("Other").root.certificate}); }},
        {"the vendor's twin", false,
         [](const V& v) { return v.shown_by(v.twin.root, {}, {v.maker.root.certificate}); }},
        {"the twin brings itself along", false,
         [](const V& v) { return v.shown_by(v.twin.root, {v.twin.root.certificate}, {v.maker.root.certificate}); }},
        {"its intermediate comes along", true,
         [](const V& v) {
             return v.shown_by(v.intermediate, {v.intermediate.certificate}, {v.maker.root.certificate});
         }},
        {"its intermediate is missing", false,
         [](const V& v) { return v.shown_by(v.intermediate, {}, {v.maker.root.certificate}); }},
        {"only its intermediate is trusted", true,
         [](const V& v) { return v.shown_by(v.intermediate, {}, {v.intermediate.certificate}); }},
        {"issued by another leaf", false,
         [](const V& v) {
             return v.shown_by(v.maker.archive, {v.maker.archive.certificate}, {v.maker.root.certificate});
         }},
        {"too many come along", false,
         [](const V& v) {
             return v.shown_by(v.maker.root, Certificates(17, v.intermediate.certificate), {v.maker.root.certificate});
         }},
        {"the vendor's root itself", false,
         [](const V& v) {
             return Shown{v.maker.root.certificate.der(), {}, {.anchors = {v.maker.root.certificate}}};
         }},
        {"the vendor's intermediate", false,
         [](const V& v) {
             return Shown{v.intermediate.certificate.der(), {}, {.anchors = {v.maker.root.certificate}}};
         }},
        {"a server of the vendor", false,
         [](const V& v) {
             return Shown{v.maker.archive.certificate.der(), {}, {.anchors = {v.maker.root.certificate}}};
         }},
        {"a list that names it", false, [](const V& v) { return v.shown_with_list(v.list("17")); }},
        {"an old list that names it", false, [](const V& v) { return v.shown_with_list(v.list("17", test::expired)); }},
        {"a list that names another one", true, [](const V& v) { return v.shown_with_list(v.list("18")); }},
        {"a list by the vendor's twin", false,
         [](const V& v) {
             return v.shown_with_list(issue_crl(v.twin.root.issuer(), 1, {{"18", test::at(2022)}}, test::valid));
         }},
        {"a list that names its intermediate", false,
         [](const V& v) {
             Shown out = v.shown_by(v.intermediate, {v.intermediate.certificate}, {v.maker.root.certificate});
             out.vendors.crls = {v.list(v.intermediate.certificate.serial())};
             return out;
         }},
    };
    return cases;
}

Verdict judge(const Shown& shown)
{
    const auto leaf = Certificate::from_padded_der(shown.der);
    return leaf ? verify_ek(*leaf, shown.chain, shown.vendors) : Verdict(leaf.refusal());
}

TEST(EndorsementCorpus, Attack06_Attack29_EachHasItsVerdict)
{
    EXPECT_GE(corpus().size(), 40U);
    const Vendor vendor;
    for (const auto& one : corpus()) {
        const auto verdict = judge(one.shown(vendor));
        EXPECT_EQ(static_cast<bool>(verdict), one.good)
            << one.name << ": " << (verdict ? "accepted" : verdict.refusal().detail);
    }
}

// A public key with this modulus, SubjectPublicKeyInfo.
Bytes rsa_key(const char* modulus_hex)
{
    BIGNUM* number = nullptr;
    BN_hex2bn(&number, modulus_hex);
    const Owned<BIGNUM, BN_free> modulus(number);
    const Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> builder(OSSL_PARAM_BLD_new());
    OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get());
    OSSL_PARAM_BLD_push_ulong(builder.get(), OSSL_PKEY_PARAM_RSA_E, 65537);
    const Owned<OSSL_PARAM, OSSL_PARAM_free> parameters(OSSL_PARAM_BLD_to_param(builder.get()));
    const Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
    EVP_PKEY* key = nullptr;
    EVP_PKEY_fromdata_init(context.get());
    EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get());
    return spki(Key(key).get());
}

TEST(RsaKeys, Attack31_AKeyThatCanBeFactoredIsKnown)
{
    EXPECT_TRUE(has_roca_fingerprint(rsa_key(test::faulty_modulus)));
    std::string other = test::faulty_modulus;
    other.back() = 'd';
    EXPECT_FALSE(has_roca_fingerprint(rsa_key(other.c_str())));
    for (const unsigned bits : {1024U, 2048U})
        EXPECT_FALSE(has_roca_fingerprint(spki(Key(EVP_RSA_gen(bits)).get()))) << bits;
    EXPECT_FALSE(has_roca_fingerprint(spki(generate_key("P-256").get())));
    EXPECT_FALSE(has_roca_fingerprint(to_bytes("no key")));
}

} // namespace
} // namespace imprint::pki
