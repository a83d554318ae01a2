// SPDX-License-Identifier: Apache-2.0
// Inside daemon/pki only: owners of OpenSSL's objects, and its return codes as exceptions.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/error.h"
#include "daemon/base/owned.h"
#include "daemon/pki/certificate.h"

#include <openssl/bio.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

namespace imprint::pki {

inline void free_certificates(STACK_OF(X509) * stack) { sk_X509_free(stack); }
inline void free_certificates_deep(STACK_OF(X509) * stack) { sk_X509_pop_free(stack, X509_free); }
inline void free_crls(STACK_OF(X509_CRL) * stack) { sk_X509_CRL_free(stack); }

using Bio = Owned<BIO, BIO_free_all>;
using Object = Owned<ASN1_OBJECT, ASN1_OBJECT_free>;
using OctetString = Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free>;
using Asn1Time = Owned<ASN1_TIME, ASN1_TIME_free>;
using BorrowedStack = Owned<STACK_OF(X509), free_certificates>; // the certificates belong to someone else
using OwningStack = Owned<STACK_OF(X509), free_certificates_deep>;

// Allocation and encoding in OpenSSL fail for want of memory or by our own mistake: nothing a peer could cause.
inline void require(bool ok, const char* what)
{
    if (!ok)
        throw openssl_error(Reason::internal, what);
}

template <auto I2d, class T>
Bytes encode(T* object)
{
    const int size = I2d(object, nullptr);
    require(size >= 0, "cannot encode");
    Bytes out(static_cast<std::size_t>(size));
    unsigned char* end = out.data();
    require(I2d(object, &end) == size, "cannot encode");
    return out;
}

inline BytesView view(const ASN1_STRING* string)
{
    return {ASN1_STRING_get0_data(string), static_cast<std::size_t>(ASN1_STRING_length(string))};
}

inline Bio reader(BytesView bytes)
{
    Bio bio(
        BIO_new_mem_buf(bytes.empty() ? "" : static_cast<const void*>(bytes.data()), static_cast<int>(bytes.size())));
    require(bio != nullptr, "cannot read from memory");
    return bio;
}

inline Bio writer()
{
    Bio bio(BIO_new(BIO_s_mem())); // its memory is cleansed when it is freed
    require(bio != nullptr, "cannot write to memory");
    return bio;
}

inline BytesView written(BIO* bio)
{
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    return {reinterpret_cast<const std::uint8_t*>(data), static_cast<std::size_t>(size)};
}

inline Object object(const std::string& dotted)
{
    Object oid(OBJ_txt2obj(dotted.c_str(), 1));
    require(oid != nullptr, "not an object identifier");
    return oid;
}

Bytes sha256(BytesView bytes);
Time to_time(const ASN1_TIME* time);
Asn1Time from_time(Time time); // Time::max(): 99991231235959Z
// A certificate's EC keys must name their curve: parameters made by a peer are a way to stall or fool us.
bool has_named_curve(const X509* certificate);
BorrowedStack stack_of(const Certificates& certificates);

} // namespace imprint::pki
