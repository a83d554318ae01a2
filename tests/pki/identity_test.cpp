// SPDX-License-Identifier: Apache-2.0
// The kinds of device identity and the forms that people write.
#include "daemon/pki/identity.h"

#include "daemon/base/file.h"
#include "daemon/pki/handles.h"
#include "daemon/pki/issue.h"
#include "tests/support/process.h"
#include "tests/support/test_pki.h"

#include <gtest/gtest.h>

#include <openssl/x509v3.h>

#include <sstream>

namespace imprint::pki {
namespace {

const std::string chip(64, 'a');

struct Vector {
    std::string written, expected;
};

std::vector<Vector> vectors()
{
    std::istringstream lines(to_string(read_file(IDENTITIES, 64 * 1024).value()));
    std::vector<Vector> out;
    for (std::string line; std::getline(lines, line);) {
        const auto arrow = line.find(" => ");
        if (!line.starts_with('#') && arrow != std::string::npos)
            out.push_back({line.substr(0, arrow), line.substr(arrow + 4)});
    }
    return out;
}

DeviceIdentity split(const std::string& text)
{
    const auto colon = text.find(':');
    return {text.substr(0, colon), text.substr(colon + 1)};
}

TEST(Identities, B8_WhatPeopleWriteGetsOneForm)
{
    ASSERT_GT(vectors().size(), 40U);
    for (const auto& vector : vectors()) {
        const auto parsed = parse_identity(vector.written);
        EXPECT_EQ(parsed ? parsed->kind + ":" + parsed->value : "refused", vector.expected) << vector.written;
    }
}

TEST(Identities, B16_InsideOnlyTheCanonicalFormIsTaken)
{
    for (const auto& vector : vectors()) {
        const bool canonical = vector.written == vector.expected;
        EXPECT_EQ(static_cast<bool>(check(split(vector.written))), canonical) << vector.written;
    }
}

TEST(Identities, B24_EveryWrongDigitOfAnImeiIsNoticed)
{
    const std::string good = "490154203237518";
    for (std::size_t i = 0; i < good.size(); ++i)
        for (char digit = '0'; digit <= '9'; ++digit) {
            std::string typed = good;
            typed[i] = digit;
            EXPECT_EQ(static_cast<bool>(check(DeviceIdentity{"imei", typed})), typed == good) << typed;
        }
}

// Where the subject's alternative names stand in a certificate.
std::string san_offset(const std::string& file)
{
    const auto parsed = test::run({"openssl", "asn1parse", "-in", file}).out;
    const auto line = parsed.find('\n', parsed.find("X509v3 Subject Alternative Name"));
    return parsed.substr(line + 1, parsed.find(':', line) - line - 1);
}

TEST(Identities, B2_EveryKindStandsInACertificateThatStockToolsVerify)
{
    const test::TestPki pki;
    const test::TemporaryDirectory directory;
    write_file(directory / "trust.pem", pki.trust_pem());
    const auto key = generate_key("P-256");
    for (const auto& identity :
         {DeviceIdentity{"imei", "490154203237518"}, DeviceIdentity{"eui48", "00:1b:44:11:3a:b7"},
          DeviceIdentity{"eui64", "00:1b:44:ff:fe:11:3a:b7"}, DeviceIdentity{"serial", "SN 47-11"},
          DeviceIdentity{"uuid", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"}}) {
        const auto certificate = issue_identity(pki.identity_ca.issuer(), spki(key.get()), identity, chip);
        EXPECT_EQ(device_identity(certificate), identity);
        const std::string file = directory / (identity.kind + ".pem");
        write_file(file, to_pem({certificate}));
        const auto verified =
            test::run({"openssl", "verify", "-x509_strict", "-CAfile", directory / "trust.pem", file});
        EXPECT_EQ(verified.status, 0) << verified.err;
        const auto shown = test::run({"openssl", "x509", "-in", file, "-noout", "-subject", "-ext", "subjectAltName"});
        EXPECT_NE(shown.out.find("serialNumber = " + identity.value), std::string::npos) << shown.out;
        EXPECT_NE(shown.out.find("1.3.6.1.5.5.7.8.4"), std::string::npos) << shown.out;
        const auto parsed = test::run({"openssl", "asn1parse", "-in", file, "-strparse", san_offset(file)});
        EXPECT_NE(parsed.out.find("UTF8STRING        :" + identity.value), std::string::npos) << parsed.out;
        EXPECT_NE(parsed.out.find(assigner_of(identity.kind)), std::string::npos) << parsed.out;
    }
    EXPECT_THROW(issue_identity(pki.identity_ca.issuer(), spki(key.get()), {"imei", "490154203237517"}, chip), Error);
}

using Names = Owned<GENERAL_NAMES, GENERAL_NAMES_free>;

Names names_of(const Certificate& certificate)
{
    return Names(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate.x509(), NID_subject_alt_name, nullptr, nullptr)));
}

// The identity in a certificate that has these names instead of its own; nobody looks at the signature here.
std::optional<DeviceIdentity> with_names(const Certificate& certificate, const Names& names)
{
    const Certificate changed(X509_dup(certificate.x509()));
    X509_add1_ext_i2d(changed.x509(), NID_subject_alt_name, names.get(), 0, X509V3_ADD_REPLACE);
    return device_identity(changed);
}

TEST(Identities, Attack35_ACertificateOfTheFirstReleaseHasOneNameOnly)
{
    const test::TestPki pki;
    const auto certificate = pki.identity("SN-1", chip).certificate;
    const auto names = names_of(certificate);
    ASSERT_EQ(sk_GENERAL_NAME_num(names.get()), 2);
    GENERAL_NAME_free(sk_GENERAL_NAME_pop(names.get()));
    EXPECT_EQ(with_names(certificate, names), (DeviceIdentity{"serial", "SN-1"}));
}

TEST(Identities, Attack05_NamesThatDisagreeNameNobody)
{
    const test::TestPki pki;
    const auto one = pki.identity("SN-1", chip).certificate, other = pki.identity("SN-2", chip).certificate;
    const auto mixed = names_of(one);
    GENERAL_NAME_free(sk_GENERAL_NAME_pop(mixed.get()));
    sk_GENERAL_NAME_push(mixed.get(), sk_GENERAL_NAME_pop(names_of(other).get()));
    EXPECT_EQ(with_names(one, mixed), std::nullopt);
    const auto imei = issue_identity(pki.identity_ca.issuer(), one.spki(), {"imei", "490154203237518"}, chip);
    const auto serial = issue_identity(pki.identity_ca.issuer(), one.spki(), {"serial", "490154203237518"}, chip);
    EXPECT_EQ(with_names(serial, names_of(imei)), std::nullopt) << "of another kind";
    const auto swapped = names_of(one);
    sk_GENERAL_NAME_unshift(swapped.get(), sk_GENERAL_NAME_pop(swapped.get()));
    EXPECT_EQ(with_names(one, swapped), std::nullopt);
    const auto three = names_of(one);
    sk_GENERAL_NAME_push(three.get(), sk_GENERAL_NAME_pop(names_of(one).get()));
    EXPECT_EQ(with_names(one, three), std::nullopt);
}

} // namespace
} // namespace imprint::pki
