// SPDX-License-Identifier: Apache-2.0
#include "provisioning/central/certificate_name.h"

#include <openssl/bn.h>
#include <openssl/err.h>

namespace imprint::central {

namespace {

using Name = Owned<X509_NAME, X509_NAME_free>;
using Number = Owned<ASN1_INTEGER, ASN1_INTEGER_free>;

Name name_from(const Bytes& der)
{
    const unsigned char* position = der.data();
    return Name(d2i_X509_NAME(nullptr, &position, static_cast<long>(der.size())));
}

Number number_from(const std::string& serial)
{
    const auto bytes = unhex(serial);
    if (!bytes || bytes->empty())
        return nullptr;
    const Owned<BIGNUM, BN_free> number(BN_bin2bn(bytes->data(), static_cast<int>(bytes->size()), nullptr));
    return Number(number ? BN_to_ASN1_INTEGER(number.get(), nullptr) : nullptr);
}

bool is_revoked(const CertificateName& name, const std::vector<pki::Crl>& lists)
{
    const auto issuer = name_from(name.issuer);
    const auto serial = number_from(name.serial);
    ERR_clear_error();
    if (!issuer || !serial)
        return true;
    return std::ranges::any_of(lists, [&](const pki::Crl& list) {
        X509_REVOKED* entry = nullptr;
        return X509_NAME_cmp(issuer.get(), X509_CRL_get_issuer(list.crl())) == 0 &&
            X509_CRL_get0_by_serial(list.crl(), &entry, serial.get()) == 1;
    });
}

} // namespace

CertificateName name_of(const pki::Certificate& certificate)
{
    unsigned char* der = nullptr;
    const int size = i2d_X509_NAME(X509_get_issuer_name(certificate.x509()), &der);
    if (size < 0)
        throw openssl_error(Reason::internal, "cannot encode a name");
    Bytes issuer(der, der + size);
    OPENSSL_free(der);
    return {std::move(issuer), certificate.serial()};
}

CertificateNames names_of(const pki::Certificates& chain)
{
    CertificateNames names;
    for (const auto& certificate : chain)
        names.push_back(name_of(certificate));
    return names;
}

bool is_revoked(const CertificateNames& names, const std::vector<pki::Crl>& lists)
{
    return std::ranges::any_of(names, [&](const CertificateName& name) { return is_revoked(name, lists); });
}

} // namespace imprint::central
