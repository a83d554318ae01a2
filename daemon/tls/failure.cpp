// SPDX-License-Identifier: Apache-2.0
#include "daemon/tls/failure.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace imprint::tls {

namespace {

// The alerts of RFC 8446, section 6, that say what the peer holds against us.
Reason reason_of_alert(int alert)
{
    switch (alert) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
        return Reason::untrusted_certificate;
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
        return Reason::wrong_role;
    case SSL_AD_CERTIFICATE_REVOKED:
        return Reason::certificate_revoked;
    case SSL_AD_CERTIFICATE_EXPIRED:
        return Reason::certificate_expired;
    case SSL_AD_CERTIFICATE_REQUIRED:
    case SSL_AD_ACCESS_DENIED:
        return Reason::not_authorized;
    case SSL_AD_BAD_RECORD_MAC:
    case SSL_AD_DECRYPT_ERROR:
        return Reason::signature_invalid;
    case SSL_AD_UNRECOGNIZED_NAME:
        return Reason::wrong_name;
    case SSL_AD_PROTOCOL_VERSION:
    case SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_INSUFFICIENT_SECURITY:
    case SSL_AD_NO_APPLICATION_PROTOCOL:
        return Reason::unsupported_version;
    case SSL_AD_INTERNAL_ERROR:
    case SSL_AD_USER_CANCELLED:
        return Reason::connection_lost;
    default:
        return Reason::malformed_message;
    }
}

Reason reason_of(int fault)
{
    switch (fault) {
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return Reason::connection_lost;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_WRONG_SSL_VERSION:
        return Reason::unsupported_version;
    case SSL_R_BAD_SIGNATURE:
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
    case SSL_R_DIGEST_CHECK_FAILED:
        return Reason::signature_invalid;
    default:
        return Reason::malformed_message;
    }
}

} // namespace

// The first fault is the cause. What follows may be of our own making and mislead: the alert that answers a broken
// record cannot be sent where the peer is gone already.
Error failure(const std::string& doing)
{
    const unsigned long cause = ERR_peek_error();
    if (cause == 0)
        return {Reason::connection_lost, doing + ": the peer has closed the connection"};
    if (ERR_GET_LIB(cause) != ERR_LIB_SSL)
        return openssl_error(Reason::malformed_message, doing);
    const int fault = ERR_GET_REASON(cause);
    const char* words = ERR_reason_error_string(cause);
    ERR_clear_error();
    const bool alert = fault > SSL_AD_REASON_OFFSET && fault <= SSL_AD_REASON_OFFSET + 255;
    return {alert ? reason_of_alert(fault - SSL_AD_REASON_OFFSET) : reason_of(fault),
            doing + (alert ? ": the peer refuses: " : ": ") + (words == nullptr ? "unknown fault" : words)};
}

} // namespace imprint::tls
