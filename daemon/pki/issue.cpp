// SPDX-License-Identifier: Apache-2.0
#include "daemon/pki/issue.h"

#include "daemon/pki/extensions.h"
#include "daemon/pki/handles.h"
#include "daemon/pki/profile_asn1.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <array>

namespace imprint::pki {

namespace {

using Number = Owned<BIGNUM, BN_free>;
using Integer = Owned<ASN1_INTEGER, ASN1_INTEGER_free>;

const EVP_MD* digest_for(const EVP_PKEY* key)
{
    return EVP_PKEY_get_security_bits(key) > 128 ? EVP_sha384() : EVP_sha256();
}

Key public_key(BytesView spki)
{
    const unsigned char* position = spki.data();
    Key key(d2i_PUBKEY(nullptr, &position, static_cast<long>(spki.size())));
    if (!key || position != spki.data() + spki.size())
        throw openssl_error(Reason::invalid_argument, "not a public key");
    return key;
}

// 16 random bytes (RFC 5280 allows 20), positive and never shorter.
void set_serial(X509* certificate)
{
    auto bytes = random_bytes(16);
    bytes[0] = static_cast<std::uint8_t>((bytes[0] & 0x7f) | 0x40);
    const Number number(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
    require(number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr,
            "cannot set a serial number");
}

void add_name(X509* certificate, int nid, int type, const std::string& text)
{
    auto* name = X509_get_subject_name(certificate);
    if (X509_NAME_add_entry_by_NID(name, nid, type, reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()), -1, 0) != 1)
        throw openssl_error(Reason::invalid_argument, "not a name for a certificate: " + text);
}

// A certificate with everything that all profiles share but the issuer.
Certificate blank(EVP_PKEY* key, const std::string& common_name, Validity validity)
{
    if (common_name.empty() || validity.not_after < validity.not_before)
        throw Error(Reason::invalid_argument, "a certificate needs a name, and ends after it begins");
    Certificate certificate(X509_new());
    X509* x509 = certificate.x509();
    require(x509 != nullptr && X509_set_version(x509, X509_VERSION_3) == 1 && X509_set_pubkey(x509, key) == 1,
            "cannot make a certificate");
    if (!has_named_curve(x509))
        throw Error(Reason::invalid_argument, "a public key whose curve has no name");
    set_serial(x509);
    add_name(x509, NID_commonName, MBSTRING_UTF8, common_name);
    require(X509_set1_notBefore(x509, from_time(validity.not_before).get()) == 1 &&
                X509_set1_notAfter(x509, from_time(validity.not_after).get()) == 1,
            "cannot set a validity");
    return certificate;
}

Owned<AUTHORITY_KEYID, AUTHORITY_KEYID_free> authority_key_id(const X509* issuer)
{
    Owned<AUTHORITY_KEYID, AUTHORITY_KEYID_free> id(AUTHORITY_KEYID_new());
    require(id != nullptr, "cannot encode a key identifier");
    id->keyid = ASN1_OCTET_STRING_new();
    const auto bytes = subject_key_id(issuer);
    require(id->keyid && ASN1_OCTET_STRING_set(id->keyid, bytes.data(), static_cast<int>(bytes.size())) == 1,
            "cannot encode a key identifier");
    return id;
}

void check_issuer(const X509* issuer, EVP_PKEY* key)
{
    if (X509_check_private_key(issuer, key) != 1)
        throw openssl_error(Reason::key_mismatch, "the issuer's key does not belong to its certificate");
}

// Signs, and reads the outcome back: OpenSSL remembers what it made of the extensions while they were incomplete.
Certificate finish(const Certificate& made, const X509* issuer, EVP_PKEY* key)
{
    X509* certificate = made.x509();
    check_issuer(issuer, key);
    add_subject_key_id(certificate);
    if (issuer != certificate)
        require(X509_add1_ext_i2d(certificate, NID_authority_key_identifier, authority_key_id(issuer).get(), 0,
                                  X509V3_ADD_DEFAULT) == 1,
                "cannot add an extension");
    require(X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1, "cannot set the issuer");
    if (X509_sign(certificate, key, digest_for(key)) == 0)
        throw openssl_error(Reason::internal, "cannot sign a certificate");
    return Certificate::from_der(made.der()).or_throw();
}

void check_device(const DeviceIdentity& identity)
{
    if (const auto verdict = check(identity); !verdict)
        throw Error(verdict.refusal());
}

Certificate device_certificate(BytesView spki, const DeviceIdentity& identity, Validity validity,
                               int key_usage = KU_DIGITAL_SIGNATURE)
{
    check_device(identity);
    auto certificate = blank(public_key(spki).get(), identity.value, validity);
    // IEEE 802.1AR wants the serial number in the subject, as a PrintableString, which holds less than ASCII.
    const auto* text = reinterpret_cast<const unsigned char*>(identity.value.data());
    if (ASN1_PRINTABLE_type(text, static_cast<int>(identity.value.size())) == V_ASN1_PRINTABLESTRING)
        add_name(certificate.x509(), NID_serialNumber, V_ASN1_PRINTABLESTRING, identity.value);
    add_basic_constraints(certificate.x509(), false, no_path_limit);
    add_key_usage(certificate.x509(), key_usage);
    add_device_identity(certificate.x509(), identity);
    return certificate;
}

void add_revoked(X509_CRL* crl, const Revoked& entry)
{
    BIGNUM* parsed = nullptr;
    const int digits = BN_hex2bn(&parsed, entry.serial.c_str());
    const Number number(parsed);
    if (digits == 0 || static_cast<std::size_t>(digits) != entry.serial.size())
        throw Error(Reason::invalid_argument, "not a serial number: " + entry.serial);
    const Integer serial(BN_to_ASN1_INTEGER(number.get(), nullptr));
    Owned<X509_REVOKED, X509_REVOKED_free> revoked(X509_REVOKED_new());
    require(serial && revoked && X509_REVOKED_set_serialNumber(revoked.get(), serial.get()) == 1 &&
                X509_REVOKED_set_revocationDate(revoked.get(), from_time(entry.when).get()) == 1 &&
                X509_CRL_add0_revoked(crl, revoked.get()) == 1,
            "cannot add to a certificate revocation list");
    static_cast<void>(revoked.release());
}

} // namespace

Certificate issue_checking_ca(EVP_PKEY* key, const std::string& common_name, Validity validity)
{
    auto certificate = blank(key, common_name, validity);
    add_basic_constraints(certificate.x509(), true, no_path_limit);
    add_key_usage(certificate.x509(), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    return finish(certificate, certificate.x509(), key);
}

Certificate issue_link(const Issuer& present, const Certificate& next)
{
    const Validity validity{next.not_before(), std::min(next.not_after(), present.certificate.not_after())};
    auto certificate = blank(public_key(next.spki()).get(), next.common_name(), validity);
    add_basic_constraints(certificate.x509(), true, no_path_limit);
    add_key_usage(certificate.x509(), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    return finish(certificate, present.certificate.x509(), present.key);
}

Certificate issue_ca(const Issuer& issuer, BytesView spki, Role role, const std::string& common_name, Validity validity,
                     const Scope& scope)
{
    if (role != Role::identity_ca && role != Role::station_signing)
        throw Error(Reason::invalid_argument, "no CA has the role " + std::string(role_name(role)));
    const auto key = public_key(spki);
    if (role == Role::station_signing && EVP_PKEY_is_a(key.get(), "EC") != 1)
        throw Error(Reason::invalid_argument, "a station signs records with a key of an elliptic curve");
    auto certificate = blank(key.get(), common_name, validity);
    add_basic_constraints(certificate.x509(), true, 0);
    const int signs_records = role == Role::station_signing ? KU_DIGITAL_SIGNATURE : 0;
    add_key_usage(certificate.x509(), KU_KEY_CERT_SIGN | KU_CRL_SIGN | signs_records);
    add_scope(certificate.x509(), scope);
    // clientAuth: OpenSSL accepts a client's chain only through CAs that have it, if they have any usage.
    add_extended_key_usage(certificate.x509(), std::array{role_oid(role), std::string_view(client_auth_oid)});
    return finish(certificate, issuer.certificate.x509(), issuer.key);
}

Certificate issue_server(const Issuer& issuer, BytesView spki, Role role, const std::string& common_name,
                         const std::vector<std::string>& names, Validity validity)
{
    if (role != Role::station_tls && role != Role::archive && role != Role::central)
        throw Error(Reason::invalid_argument, "no server has the role " + std::string(role_name(role)));
    if (names.empty())
        throw Error(Reason::invalid_argument, "a server's certificate needs a host name or an address");
    auto certificate = blank(public_key(spki).get(), common_name, validity);
    add_basic_constraints(certificate.x509(), false, no_path_limit);
    add_key_usage(certificate.x509(), KU_DIGITAL_SIGNATURE);
    std::vector<std::string_view> usages{server_auth_oid};
    if (role == Role::station_tls)
        usages.emplace_back(client_auth_oid);
    usages.push_back(role_oid(role));
    add_extended_key_usage(certificate.x509(), usages);
    add_server_names(certificate.x509(), names);
    return finish(certificate, issuer.certificate.x509(), issuer.key);
}

Certificate issue_client(const Issuer& issuer, BytesView spki, Role role, const std::string& common_name,
                         Validity validity)
{
    if (role != Role::station_operator && role != Role::mirror)
        throw Error(Reason::invalid_argument, "no client has the role " + std::string(role_name(role)));
    auto certificate = blank(public_key(spki).get(), common_name, validity);
    add_basic_constraints(certificate.x509(), false, no_path_limit);
    add_key_usage(certificate.x509(), KU_DIGITAL_SIGNATURE);
    add_extended_key_usage(certificate.x509(), std::array{std::string_view(client_auth_oid), role_oid(role)});
    return finish(certificate, issuer.certificate.x509(), issuer.key);
}

Certificate issue_certified_central(const Issuer& issuer, BytesView spki, const std::string& common_name,
                                    Validity validity)
{
    auto certificate = blank(public_key(spki).get(), common_name, validity);
    add_basic_constraints(certificate.x509(), false, no_path_limit);
    add_key_usage(certificate.x509(), KU_DIGITAL_SIGNATURE);
    add_extended_key_usage(certificate.x509(), std::array{role_oid(Role::certified_central)});
    return finish(certificate, issuer.certificate.x509(), issuer.key);
}

Certificate issue_cross_certificate(const Issuer& central, const Certificate& station_signing, Validity validity)
{
    auto certificate = blank(public_key(station_signing.spki()).get(), station_signing.common_name(), validity);
    add_basic_constraints(certificate.x509(), false, no_path_limit);
    add_key_usage(certificate.x509(), KU_DIGITAL_SIGNATURE);
    add_extended_key_usage(certificate.x509(), std::array{std::string_view(certified_station_oid)});
    return finish(certificate, central.certificate.x509(), central.key);
}

Certificate issue_identity(const Issuer& issuer, BytesView spki, const DeviceIdentity& identity,
                           const std::string& chip_identifier)
{
    // It begins when its CA began: a station's clock has no say in an identity that never ends.
    const Validity validity{issuer.certificate.not_before(), Time::max()};
    auto certificate = device_certificate(spki, identity, validity);
    add_extended_key_usage(certificate.x509(), std::array{std::string_view(attestation_key_oid)});
    add_device_policies(certificate.x509());
    add_chip_identifier(certificate.x509(), chip_identifier);
    return finish(certificate, issuer.certificate.x509(), issuer.key);
}

Certificate issue_module(const Issuer& issuer, BytesView spki, const DeviceIdentity& identity,
                         const ModuleBinding& binding, Validity validity)
{
    auto certificate = device_certificate(spki, identity, validity);
    add_extended_key_usage(certificate.x509(), std::array{std::string_view(client_auth_oid)});
    add_module_binding(certificate.x509(), binding);
    return finish(certificate, issuer.certificate.x509(), issuer.key);
}

Certificate issue_data_key(const Issuer& issuer, BytesView spki, const DeviceIdentity& identity,
                           const std::string& label, DataKeyUse use, Validity validity)
{
    constexpr std::array usages{KU_DIGITAL_SIGNATURE, KU_KEY_ENCIPHERMENT, KU_KEY_AGREEMENT};
    auto certificate = device_certificate(spki, identity, validity, usages.at(static_cast<std::size_t>(use)));
    add_name(certificate.x509(), NID_organizationalUnitName, MBSTRING_UTF8, label);
    std::vector<std::string_view> purposes{role_oid(Role::data_key)};
    if (use == DataKeyUse::sign)
        purposes.emplace_back(client_auth_oid);
    add_extended_key_usage(certificate.x509(), purposes);
    return finish(certificate, issuer.certificate.x509(), issuer.key);
}

std::vector<Revoked> revoked_by(const Crl& crl)
{
    std::vector<Revoked> out;
    const STACK_OF(X509_REVOKED)* entries = X509_CRL_get_REVOKED(crl.crl());
    for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i) {
        const auto* entry = sk_X509_REVOKED_value(entries, i);
        out.push_back(
            {hex(view(X509_REVOKED_get0_serialNumber(entry))), to_time(X509_REVOKED_get0_revocationDate(entry))});
    }
    return out;
}

std::uint64_t number_of(const Crl& crl)
{
    const Integer number(static_cast<ASN1_INTEGER*>(X509_CRL_get_ext_d2i(crl.crl(), NID_crl_number, nullptr, nullptr)));
    std::uint64_t out = 0;
    if (number)
        ASN1_INTEGER_get_uint64(&out, number.get());
    ERR_clear_error();
    return out;
}

Crl issue_crl(const Issuer& issuer, std::uint64_t number, const std::vector<Revoked>& revoked, Validity validity)
{
    Crl out(X509_CRL_new());
    X509_CRL* crl = out.crl();
    const Integer serial(ASN1_INTEGER_new());
    require(crl && serial && ASN1_INTEGER_set_uint64(serial.get(), number) == 1 &&
                X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
                X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer.certificate.x509())) == 1 &&
                X509_CRL_set1_lastUpdate(crl, from_time(validity.not_before).get()) == 1 &&
                X509_CRL_set1_nextUpdate(crl, from_time(validity.not_after).get()) == 1,
            "cannot make a certificate revocation list");
    for (const auto& entry : revoked)
        add_revoked(crl, entry);
    require(X509_CRL_add1_ext_i2d(crl, NID_crl_number, serial.get(), 0, X509V3_ADD_DEFAULT) == 1 &&
                X509_CRL_add1_ext_i2d(crl, NID_authority_key_identifier,
                                      authority_key_id(issuer.certificate.x509()).get(), 0, X509V3_ADD_DEFAULT) == 1 &&
                X509_CRL_sort(crl) == 1,
            "cannot make a certificate revocation list");
    check_issuer(issuer.certificate.x509(), issuer.key);
    if (X509_CRL_sign(crl, issuer.key, digest_for(issuer.key)) == 0)
        throw openssl_error(Reason::internal, "cannot sign a certificate revocation list");
    return out;
}

} // namespace imprint::pki
