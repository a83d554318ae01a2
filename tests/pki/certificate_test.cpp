// SPDX-License-Identifier: Apache-2.0
#include "daemon/pki/extensions.h"
#include "daemon/pki/profile_asn1.h"
#include "tests/support/process.h"
#include "tests/support/test_pki.h"

#include <gtest/gtest.h>
#include <openssl/x509v3.h>

#include <functional>
#include <set>

namespace imprint::pki {
namespace {

const std::string chip(64, 'a');
const ModuleBinding binding{Bytes(32, 1), 7, Bytes(34, 2), Bytes(34, 3), chip};

const test::TestPki& pki()
{
    static const test::TestPki pki;
    return pki;
}

Certificate module_with(const ModuleBinding& what)
{
    const auto key = generate_key("P-256");
    return issue_module(pki().station_signing.issuer(), spki(key.get()), {"serial", "D-1"}, what, test::valid);
}

// A module's certificate without its binding, but with `der` in its place, `times` over.
Certificate module_with_raw(BytesView der, int times = 1)
{
    X509* x509 = X509_dup(module_with(binding).x509());
    const Owned<ASN1_OBJECT, ASN1_OBJECT_free> oid(OBJ_txt2obj(module_binding_oid, 1));
    X509_EXTENSION_free(X509_delete_ext(x509, X509_get_ext_by_OBJ(x509, oid.get(), -1)));
    const Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> value(ASN1_OCTET_STRING_new());
    ASN1_OCTET_STRING_set(value.get(), der.data(), static_cast<int>(der.size()));
    const Owned<X509_EXTENSION, X509_EXTENSION_free> extension(
        X509_EXTENSION_create_by_OBJ(nullptr, oid.get(), 0, value.get()));
    for (int i = 0; i < times; ++i)
        X509_add_ext(x509, extension.get(), -1);
    X509_sign(x509, pki().station_signing.key.get(), EVP_sha256());
    return Certificate(x509);
}

std::string text_of(const Certificate& certificate)
{
    return test::run({"openssl", "x509", "-noout", "-text"}, to_string(to_pem({certificate}))).out;
}

TEST(Certificates, A30_TheBindingIsInsideTheSignedPart)
{
    const auto certificate = module_with(binding);
    EXPECT_EQ(module_binding(certificate), binding);
    EXPECT_EQ(device_identity(certificate), (DeviceIdentity{"serial", "D-1"}));
    EXPECT_EQ(chip_identifier(certificate), std::nullopt);
    EXPECT_EQ(module_binding(pki().station_tls.certificate), std::nullopt);

    auto der = certificate.der();
    const auto nonce = std::search(der.begin(), der.end(), binding.nonce.begin(), binding.nonce.end());
    ASSERT_NE(nonce, der.end());
    *nonce = 9;
    const auto forged = Certificate::from_der(der);
    ASSERT_TRUE(forged);
    EXPECT_NE(module_binding(*forged), binding);
    EXPECT_FALSE(verify(*forged, {pki().station_signing.certificate}, pki().trust(), Role::module, test::now));
}

TEST(Certificates, A30_ABindingThatIsNotStrictlyEncodedIsNone)
{
    const auto der = module_with(binding).extension(module_binding_oid);
    EXPECT_EQ(module_binding(module_with_raw(der)), binding);
    EXPECT_EQ(module_binding(module_with_raw(der, 2)), std::nullopt) << "twice";
    EXPECT_EQ(module_binding(module_with_raw({})), std::nullopt);
    auto longer = der;
    longer.push_back(0);
    EXPECT_EQ(module_binding(module_with_raw(longer)), std::nullopt);
    for (std::size_t size = 1; size < der.size(); ++size)
        EXPECT_EQ(module_binding(module_with_raw(BytesView(der).first(size))), std::nullopt) << size;
    // 30 81 bb: the length in two bytes, although one is enough.
    ASSERT_EQ(der[1], 0x81);
    auto loose = der;
    loose.insert(loose.begin() + 2, 0);
    loose[1] = 0x82;
    EXPECT_EQ(module_binding(module_with_raw(loose)), std::nullopt);
}

TEST(Certificates, A30_ABindingOutOfRangeIsNone)
{
    const auto with = [](const std::function<void(ModuleBinding&)>& change) {
        auto changed = binding;
        change(changed);
        return module_binding(module_with(changed));
    };
    EXPECT_TRUE(with([](ModuleBinding& b) { b.epoch = UINT64_MAX; }));
    EXPECT_FALSE(with([](ModuleBinding& b) { b.epoch = 8; })) << "even";
    EXPECT_FALSE(with([](ModuleBinding& b) { b.nonce.pop_back(); }));
    EXPECT_FALSE(with([](ModuleBinding& b) { b.nonce.push_back(0); }));
    EXPECT_FALSE(with([](ModuleBinding& b) { b.chip_identifier = "A" + std::string(63, 'a'); }));
    EXPECT_FALSE(with([](ModuleBinding& b) { b.chip_identifier += "a"; }));
}

TEST(Certificates, B2_TheIdentityIsTiedToTheChipAndReadByStockTools)
{
    const auto identity = pki().identity("SN 47-11", chip).certificate;
    EXPECT_EQ(chip_identifier(identity), chip);
    EXPECT_EQ(device_identity(identity), (DeviceIdentity{"serial", "SN 47-11"}));
    EXPECT_EQ(identity.not_before(), pki().identity_ca.certificate.not_before());
    EXPECT_EQ(identity.serial().size(), 32U);
    const auto text = text_of(identity);
    for (const auto* part : {"Not After : Dec 31 23:59:59 9999 GMT", "CN = SN 47-11, serialNumber = SN 47-11",
                             "Policy: 2.23.133.11.1.1", "Policy: 2.23.133.11.1.2", "Policy: 2.23.133.11.1.3",
                             "1.3.6.1.5.5.7.8.4", IMPRINT_OID_ARC ".2.1", "CA:FALSE"})
        EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;

    const test::TemporaryDirectory directory;
    write_file(directory / "trust.pem", pki().trust_pem());
    write_file(directory / "identity.pem", to_pem({identity}));
    const auto verified = test::run({"openssl", "verify", "-x509_strict", "-CAfile", (directory / "trust.pem").string(),
                                     (directory / "identity.pem").string()});
    EXPECT_EQ(verified.status, 0) << verified.err;
}

TEST(Certificates, A22_StockToolsAcceptAModuleAsATlsClient)
{
    const test::TemporaryDirectory directory;
    write_file(directory / "root.pem", to_pem({pki().root.certificate}));
    write_file(directory / "station.pem", to_pem({pki().station_signing.certificate}));
    write_file(directory / "module.pem", to_pem({module_with(binding)}));
    const auto verified = test::run({"openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile",
                                     (directory / "root.pem").string(), "-untrusted",
                                     (directory / "station.pem").string(), (directory / "module.pem").string()});
    EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
}

TEST(Certificates, Attack36_DeviceIdentitiesArePrintableAscii)
{
    EXPECT_TRUE(check(DeviceIdentity{"serial", "A"}));
    EXPECT_TRUE(check(DeviceIdentity{"serial", std::string(64, '~')}));
    EXPECT_FALSE(check(DeviceIdentity{"serial", ""}));
    EXPECT_FALSE(check(DeviceIdentity{"serial", std::string(65, 'A')}));
    EXPECT_FALSE(check(DeviceIdentity{"serial", "A\nB"}));
    EXPECT_FALSE(check(DeviceIdentity{"serial", "\x7f"}));
    EXPECT_FALSE(check(DeviceIdentity{"serial", "ü"}));
    EXPECT_FALSE(check(DeviceIdentity{"imsi", "262011234567890"}));
    const auto key = generate_key("P-256");
    EXPECT_THROW(issue_identity(pki().identity_ca.issuer(), spki(key.get()), {"serial", "A\nB"}, chip), Error);
    // Not every printable character stands in a PrintableString.
    EXPECT_EQ(device_identity(pki().identity("a@b_c*", chip).certificate), (DeviceIdentity{"serial", "a@b_c*"}));
}

TEST(Certificates, SerialNumbersAreRandom)
{
    std::set<std::string> serials;
    for (int i = 0; i < 100; ++i)
        serials.insert(pki().module("D-1").certificate.serial());
    EXPECT_EQ(serials.size(), 100U);
    EXPECT_TRUE(std::ranges::all_of(serials, [](const auto& serial) { return serial.size() == 32; }));
}

TEST(Certificates, WhatCannotBeIssuedIsAnError)
{
    const auto key = generate_key("P-256");
    const auto public_key = spki(key.get());
    const auto issuer = pki().root.issuer();
    const auto server = [&](BytesView spki, Role role, const std::string& name, const std::vector<std::string>& hosts,
                            Validity validity = test::valid) {
        issue_server(issuer, spki, role, name, hosts, validity);
    };
    EXPECT_NO_THROW(server(public_key, Role::archive, "Ärchiv", {"a.example", "10.0.0.1", "2001:db8::1"}));
    EXPECT_THROW(server(public_key, Role::archive, "A", {}), Error);
    EXPECT_THROW(server(public_key, Role::archive, "A", {"DNS:a,DNS:b"}), Error);
    EXPECT_THROW(server(public_key, Role::archive, "A", {std::string("a\0b", 3)}), Error);
    EXPECT_THROW(server(public_key, Role::archive, "", {"a"}), Error);
    EXPECT_THROW(server(public_key, Role::archive, std::string(65, 'a'), {"a"}), Error);
    EXPECT_THROW(server(public_key, Role::archive, "\xff", {"a"}), Error);
    EXPECT_THROW(server(public_key, Role::identity_ca, "A", {"a"}), Error);
    EXPECT_THROW(server(public_key, Role::archive, "A", {"a"}, {test::at(2030), test::at(2029)}), Error);
    EXPECT_THROW(server(BytesView(public_key).first(20), Role::archive, "A", {"a"}), Error);
    EXPECT_THROW(issue_ca(issuer, public_key, Role::archive, "A", test::valid), Error);
    const Issuer mismatched{pki().root.certificate, pki().archive.key.get()};
    EXPECT_THROW(issue_ca(mismatched, public_key, Role::identity_ca, "A", test::valid), Error);
}

TEST(Certificates, Attack17_OnlyDerIsRead)
{
    const auto certificate = pki().archive.certificate;
    const auto der = certificate.der();
    EXPECT_EQ(*Certificate::from_der(der), certificate);
    auto padded = der;
    padded.resize(der.size() + 300, 0xff);
    EXPECT_FALSE(Certificate::from_der(padded));
    const auto trimmed = Certificate::from_padded_der(padded);
    ASSERT_TRUE(trimmed);
    EXPECT_EQ(trimmed->der(), der);
    for (std::size_t size = 0; size < der.size(); ++size)
        EXPECT_FALSE(Certificate::from_padded_der(BytesView(der).first(size))) << size;
    padded.resize(64 * 1024 + 1);
    EXPECT_FALSE(Certificate::from_padded_der(padded));
}

// Whoever refuses a certificate tells its name, and anybody may send one.
TEST(Certificates, Attack36_AStrangersNameIsNotShownWithoutBounds)
{
    X509* x509 = X509_dup(pki().archive.certificate.x509());
    const Bytes name(60000, 'n');
    auto* subject = X509_get_subject_name(x509);
    X509_NAME_ENTRY_free(X509_NAME_delete_entry(subject, X509_NAME_get_index_by_NID(subject, NID_commonName, -1)));
    ASSERT_EQ(X509_NAME_add_entry_by_NID(subject, NID_commonName, V_ASN1_UTF8STRING, name.data(),
                                         static_cast<int>(name.size()), -1, 0),
              1);
    EXPECT_EQ(Certificate(x509).common_name(), std::string(256, 'n'));
}

TEST(Certificates, NotAByteCanBeChanged)
{
    const auto certificate = pki().archive.certificate;
    auto der = certificate.der();
    for (auto& byte : der) {
        byte = static_cast<std::uint8_t>(byte ^ 1);
        const auto changed = Certificate::from_der(der);
        EXPECT_FALSE(changed && verify(*changed, {}, pki().trust(), Role::archive, test::now))
            << "byte " << &byte - der.data();
        byte = static_cast<std::uint8_t>(byte ^ 1);
    }
}

TEST(RevocationLists, RoundTripAndAreReadByStockTools)
{
    const auto revoked = pki().module("D-1").certificate;
    const auto crl = pki().station_crl(revoked);
    const auto again = Crl::from_der(crl.der());
    ASSERT_TRUE(again);
    EXPECT_EQ(again->der(), crl.der());
    const test::TemporaryDirectory directory;
    write_file(directory / "crl", crl.der());
    write_file(directory / "station.pem", to_pem({pki().station_signing.certificate}));
    const auto text = test::run({"openssl", "crl", "-inform", "DER", "-in", (directory / "crl").string(), "-text",
                                 "-CAfile", (directory / "station.pem").string()});
    EXPECT_NE(text.err.find("verify OK"), std::string::npos) << text.err;
    std::string serial = revoked.serial();
    std::ranges::transform(serial, serial.begin(), [](char c) { return static_cast<char>(std::toupper(c)); });
    EXPECT_NE(text.out.find(serial), std::string::npos) << text.out;
    const auto pem = text.out.substr(text.out.find("-----BEGIN"));
    ASSERT_TRUE(Crl::from_pem(as_bytes(pem)));
    EXPECT_EQ(Crl::from_pem(as_bytes(pem))->der(), crl.der());

    auto longer = crl.der();
    longer.push_back(0);
    EXPECT_FALSE(Crl::from_der(longer));
    EXPECT_FALSE(Crl::from_der({}));
    EXPECT_FALSE(Crl::from_pem({}));
    EXPECT_THROW(issue_crl(pki().root.issuer(), 1, {{"xyz", test::now}}, test::valid), Error);
    EXPECT_THROW(issue_crl(pki().root.issuer(), 1, {{"", test::now}}, test::valid), Error);
}

} // namespace
} // namespace imprint::pki
