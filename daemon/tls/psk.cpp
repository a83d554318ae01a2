// SPDX-License-Identifier: Apache-2.0
#include "daemon/tls/psk.h"

#include "daemon/tls/boundary.h"

#include <array>

namespace imprint::tls {

namespace {

constexpr auto* suite = "TLS_AES_256_GCM_SHA384";
constexpr std::array<unsigned char, 2> suite_number{0x13, 0x02};

int index()
{
    static const int number = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return number;
}

Owned<SSL_SESSION, SSL_SESSION_free> make_session(SSL* ssl, const Secret& secret)
{
    Owned<SSL_SESSION, SSL_SESSION_free> session(SSL_SESSION_new());
    const SSL_CIPHER* cipher = SSL_CIPHER_find(ssl, suite_number.data());
    if (!session || cipher == nullptr ||
        SSL_SESSION_set1_master_key(session.get(), secret.data(), secret.size()) != 1 ||
        SSL_SESSION_set_cipher(session.get(), cipher) != 1 ||
        SSL_SESSION_set_protocol_version(session.get(), TLS1_3_VERSION) != 1)
        throw openssl_error(Reason::internal, "cannot offer a pre-shared key");
    return session;
}

} // namespace

PskOffer::PskOffer(const PreSharedKey& psk, SSL* ssl)
    : psk_(psk)
    , ssl_(ssl)
{
    if (SSL_set_ex_data(ssl, index(), this) != 1 || SSL_set_ciphersuites(ssl, suite) != 1)
        throw openssl_error(Reason::internal, "cannot offer a pre-shared key");
    SSL_set_psk_use_session_callback(ssl, boundary<&PskOffer::callback>);
}

PskOffer::~PskOffer()
{
    SSL_set_psk_use_session_callback(ssl_, nullptr);
    SSL_set_ex_data(ssl_, index(), nullptr);
}

// Asked again after a HelloRetryRequest, then with the hash of the suite that the server has chosen. Where that is
// another one, the handshake goes on without the key.
int PskOffer::callback(SSL* ssl, const EVP_MD* digest, const unsigned char** identity, std::size_t* size,
                       SSL_SESSION** session)
{
    const auto* offer = static_cast<const PskOffer*>(SSL_get_ex_data(ssl, index()));
    *identity = nullptr;
    *size = 0;
    *session = nullptr;
    if (offer == nullptr || (digest != nullptr && EVP_MD_get_type(digest) != NID_sha384))
        return 1;
    *session = make_session(ssl, offer->psk_.secret).release();
    *identity = offer->psk_.identity.data();
    *size = offer->psk_.identity.size();
    return 1;
}

} // namespace imprint::tls
