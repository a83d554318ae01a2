// SPDX-License-Identifier: Apache-2.0
#include "daemon/pki/certificate.h"

#include "daemon/pki/handles.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <ctime>

namespace imprint::pki {

namespace {

constexpr std::size_t max_certificate = 64 * 1024;
constexpr int max_common_name = 4 * 64; // X.520: 64 characters; it goes into logs and refusals
constexpr std::size_t max_crl = 4 * 1024 * 1024;

Refusal untrusted(const std::string& detail)
{
    ERR_clear_error();
    return {Reason::untrusted_certificate, detail};
}

template <auto D2i>
auto decode(BytesView der, std::size_t& consumed)
{
    const unsigned char* position = der.data();
    auto* object = D2i(nullptr, &position, static_cast<long>(der.size()));
    consumed = static_cast<std::size_t>(position - der.data());
    return object;
}

// Every block of one kind; those of others are passed over.
template <class T, auto Read>
std::vector<T> all_from_pem(BytesView pem, const char* broken)
{
    const auto bio = reader(pem);
    std::vector<T> out;
    ERR_clear_error();
    while (auto* object = Read(bio.get(), nullptr, nullptr, nullptr))
        out.emplace_back(object);
    const auto error = ERR_peek_last_error();
    if (ERR_GET_LIB(error) != ERR_LIB_PEM || ERR_GET_REASON(error) != PEM_R_NO_START_LINE)
        throw openssl_error(Reason::untrusted_certificate, broken);
    ERR_clear_error();
    return out;
}

Result<Crl> strict_crl(X509_CRL* owned, BytesView der)
{
    if (owned == nullptr)
        return untrusted("not a certificate revocation list");
    Crl crl(owned);
    if (!der.empty() && !equal(crl.der(), der))
        return untrusted("a certificate revocation list that is not DER");
    return crl;
}

} // namespace

Bytes sha256(BytesView bytes)
{
    Bytes digest(32);
    require(EVP_Q_digest(nullptr, "SHA256", nullptr, bytes.data(), bytes.size(), digest.data(), nullptr) == 1,
            "cannot hash");
    return digest;
}

Time to_time(const ASN1_TIME* time)
{
    std::tm parts{};
    require(ASN1_TIME_to_tm(time, &parts) == 1, "not a time");
    const std::chrono::year_month_day day(std::chrono::year(parts.tm_year + 1900),
                                          std::chrono::month(static_cast<unsigned>(parts.tm_mon + 1)),
                                          std::chrono::day(static_cast<unsigned>(parts.tm_mday)));
    return std::chrono::sys_days(day) + std::chrono::hours(parts.tm_hour) + std::chrono::minutes(parts.tm_min) +
        std::chrono::seconds(parts.tm_sec);
}

Asn1Time from_time(Time time)
{
    Asn1Time out(ASN1_TIME_new());
    require(out != nullptr, "cannot make a time");
    if (time == Time::max())
        require(ASN1_TIME_set_string_X509(out.get(), "99991231235959Z") == 1, "cannot make a time");
    else if (ASN1_TIME_set(out.get(), std::chrono::system_clock::to_time_t(time)) == nullptr)
        throw openssl_error(Reason::invalid_argument, "a time that certificates cannot carry");
    return out;
}

bool has_named_curve(const X509* certificate)
{
    X509_ALGOR* algorithm = nullptr;
    if (X509_PUBKEY_get0_param(nullptr, nullptr, nullptr, &algorithm, X509_get_X509_PUBKEY(certificate)) != 1)
        return false;
    const ASN1_OBJECT* oid = nullptr;
    int type = V_ASN1_UNDEF;
    X509_ALGOR_get0(&oid, &type, nullptr, algorithm);
    return OBJ_obj2nid(oid) != NID_X9_62_id_ecPublicKey || type == V_ASN1_OBJECT;
}

BorrowedStack stack_of(const Certificates& certificates)
{
    BorrowedStack stack(sk_X509_new_null());
    require(stack != nullptr, "cannot list certificates");
    for (const auto& certificate : certificates)
        require(sk_X509_push(stack.get(), certificate.x509()) > 0, "cannot list certificates");
    return stack;
}

Result<Certificate> Certificate::from_der(BytesView der)
{
    auto certificate = from_padded_der(der);
    if (certificate && !equal(certificate->der(), der))
        return untrusted("a certificate that is not DER");
    return certificate;
}

Result<Certificate> Certificate::from_padded_der(BytesView der)
{
    if (der.size() > max_certificate)
        return untrusted("a certificate larger than 64 KiB");
    std::size_t consumed = 0;
    X509* x509 = decode<d2i_X509>(der, consumed);
    if (x509 == nullptr)
        return untrusted("not a certificate");
    Certificate certificate(x509);
    if (ASN1_TIME_check(X509_get0_notBefore(x509)) != 1 || ASN1_TIME_check(X509_get0_notAfter(x509)) != 1)
        return untrusted("a certificate with a malformed validity");
    return certificate;
}

Bytes Certificate::der() const { return encode<i2d_X509>(x509()); }

Bytes Certificate::spki() const { return encode<i2d_X509_PUBKEY>(X509_get_X509_PUBKEY(x509())); }

std::string Certificate::common_name() const
{
    const X509_NAME* name = X509_get_subject_name(x509());
    const int index = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    if (index < 0)
        return {};
    unsigned char* utf8 = nullptr;
    const int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index)));
    if (size < 0) {
        ERR_clear_error();
        return {};
    }
    std::string text(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(std::min(size, max_common_name)));
    OPENSSL_free(utf8);
    return text;
}

std::string Certificate::serial() const { return hex(view(X509_get0_serialNumber(x509()))); }

Time Certificate::not_before() const { return to_time(X509_get0_notBefore(x509())); }

Time Certificate::not_after() const { return to_time(X509_get0_notAfter(x509())); }

Bytes Certificate::extension(const std::string& oid) const
{
    const auto wanted = object(oid);
    const int index = X509_get_ext_by_OBJ(x509(), wanted.get(), -1);
    if (index < 0 || X509_get_ext_by_OBJ(x509(), wanted.get(), index) >= 0)
        return {}; // twice is as good as not at all: nobody says which one counts
    const auto value = view(X509_EXTENSION_get_data(X509_get_ext(x509(), index)));
    return {value.begin(), value.end()};
}

bool Certificate::has_extended_key_usage(const std::string& oid) const
{
    const Owned<EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free> usages(
        static_cast<EXTENDED_KEY_USAGE*>(X509_get_ext_d2i(x509(), NID_ext_key_usage, nullptr, nullptr)));
    const auto wanted = object(oid);
    for (int i = 0; usages && i < sk_ASN1_OBJECT_num(usages.get()); ++i)
        if (OBJ_cmp(sk_ASN1_OBJECT_value(usages.get(), i), wanted.get()) == 0)
            return true;
    ERR_clear_error();
    return false;
}

Certificate shared(X509* x509)
{
    require(x509 != nullptr && X509_up_ref(x509) == 1, "cannot share a certificate");
    return Certificate(x509);
}

Certificates shared(const STACK_OF(X509) * stack)
{
    Certificates certificates;
    for (int i = 0; i < sk_X509_num(stack); ++i)
        certificates.push_back(shared(sk_X509_value(stack, i)));
    return certificates;
}

Certificates certificates_from_pem(BytesView pem)
{
    return all_from_pem<Certificate, PEM_read_bio_X509>(pem, "a broken certificate in a PEM file");
}

Bytes to_pem(const Certificates& certificates)
{
    const auto bio = writer();
    for (const auto& certificate : certificates)
        require(PEM_write_bio_X509(bio.get(), certificate.x509()) == 1, "cannot write PEM");
    const auto pem = written(bio.get());
    return {pem.begin(), pem.end()};
}

Result<Crl> Crl::from_der(BytesView der)
{
    if (der.empty() || der.size() > max_crl)
        return untrusted("a certificate revocation list that is empty or larger than 4 MiB");
    std::size_t consumed = 0;
    return strict_crl(decode<d2i_X509_CRL>(der, consumed), der);
}

Result<Crl> Crl::from_pem(BytesView pem)
{
    if (pem.size() > 2 * max_crl)
        return untrusted("a certificate revocation list larger than 4 MiB");
    const auto bio = reader(pem);
    return strict_crl(PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr), {});
}

Bytes Crl::der() const { return encode<i2d_X509_CRL>(crl()); }

Bytes Crl::pem() const
{
    const auto bio = writer();
    require(PEM_write_bio_X509_CRL(bio.get(), crl()) == 1, "cannot write PEM");
    const auto text = written(bio.get());
    return {text.begin(), text.end()};
}

std::vector<Crl> crls_from_pem(BytesView pem)
{
    return all_from_pem<Crl, PEM_read_bio_X509_CRL>(pem, "a broken certificate revocation list in a PEM file");
}

} // namespace imprint::pki
