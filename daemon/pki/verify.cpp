// SPDX-License-Identifier: Apache-2.0
#include "daemon/pki/verify.h"

#include "daemon/pki/handles.h"
#include "daemon/pki/profile_asn1.h"
#include "daemon/pki/scope.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include <array>

namespace imprint::pki {

namespace {

constexpr std::size_t max_chain = 8;
constexpr std::size_t max_untrusted = 16;
constexpr int security_level = 2; // 112 bits: no SHA-1, no RSA below 2048
constexpr int security_bits = 112; // the same

using Store = Owned<X509_STORE, X509_STORE_free>;
using StoreContext = Owned<X509_STORE_CTX, X509_STORE_CTX_free>;
using CrlStack = Owned<STACK_OF(X509_CRL), free_crls>;

Reason reason_of(int error)
{
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return Reason::certificate_expired;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return Reason::certificate_not_yet_valid;
    case X509_V_ERR_CERT_REVOKED:
        return Reason::certificate_revoked;
    default:
        return Reason::untrusted_certificate;
    }
}

struct Leniency {
    bool ignore_not_yet_valid = false;
    const Trust* trust = nullptr;
};

bool has_crl(const Trust& trust, const X509* certificate)
{
    return std::ranges::any_of(trust.crls, [&](const Crl& crl) {
        return X509_NAME_cmp(X509_CRL_get_issuer(crl.crl()), X509_get_issuer_name(certificate)) == 0;
    });
}

// What OpenSSL objects to and we do not: see verify.h. A CRL that is not renewed still revokes what it names.
int judge(int ok, X509_STORE_CTX* context) noexcept
{
    if (ok == 1)
        return 1;
    const auto* leniency = static_cast<const Leniency*>(X509_STORE_CTX_get_app_data(context));
    switch (X509_STORE_CTX_get_error(context)) {
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return leniency->ignore_not_yet_valid ? 1 : 0;
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_NOT_YET_VALID:
        return 1;
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        return has_crl(*leniency->trust, X509_STORE_CTX_get_current_cert(context)) ? 0 : 1;
    default:
        return 0;
    }
}

Store store_of(const Certificates& anchors)
{
    Store store(X509_STORE_new());
    require(store != nullptr, "cannot prepare a verification");
    for (const auto& anchor : anchors)
        require(X509_STORE_add_cert(store.get(), anchor.x509()) == 1, "cannot prepare a verification");
    return store;
}

CrlStack crls_of(const Trust& trust)
{
    CrlStack stack(sk_X509_CRL_new_null());
    require(stack != nullptr, "cannot prepare a verification");
    for (const auto& crl : trust.crls)
        require(sk_X509_CRL_push(stack.get(), crl.crl()) > 0, "cannot prepare a verification");
    return stack;
}

// Sets the flags, too. Lists and leniency outlive the verification.
void use_crls(X509_STORE_CTX* context, const CrlStack& crls, Leniency& leniency, unsigned long flags)
{
    X509_STORE_CTX_set_app_data(context, &leniency);
    X509_STORE_CTX_set_verify_cb(context, judge);
    X509_STORE_CTX_set0_crls(context, crls.get());
    if (!leniency.trust->crls.empty())
        flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
    X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(context), flags);
}

Refusal refusal_of(X509_STORE_CTX* context)
{
    ERR_clear_error();
    const int error = X509_STORE_CTX_get_error(context);
    std::string detail = X509_verify_cert_error_string(error);
    if (X509* x509 = X509_STORE_CTX_get_current_cert(context); x509 != nullptr)
        detail += " (" + shared(x509).common_name() + ")";
    return {reason_of(error), detail};
}

Result<Certificates> run(X509_STORE_CTX* context)
{
    auto* parameters = X509_STORE_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_depth(parameters, static_cast<int>(max_chain) - 2); // OpenSSL counts what lies between
    X509_VERIFY_PARAM_set_auth_level(parameters, security_level);
    if (X509_verify_cert(context) != 1)
        return refusal_of(context);
    ERR_clear_error();
    return shared(X509_STORE_CTX_get0_chain(context));
}

Verdict check_input(const Certificate& leaf, const Certificates& untrusted)
{
    if (untrusted.size() > max_untrusted)
        return Refusal{Reason::untrusted_certificate, "too many certificates"};
    const auto named = [](const Certificate& certificate) { return has_named_curve(certificate.x509()); };
    if (!named(leaf) || !std::ranges::all_of(untrusted, named))
        return Refusal{Reason::untrusted_certificate, "a key whose elliptic curve has no name"};
    return accepted();
}

bool is_ca(const Certificate& certificate)
{
    return X509_check_ca(certificate.x509()) == 1 && (X509_get_key_usage(certificate.x509()) & KU_KEY_CERT_SIGN) != 0;
}

// Exactly this one of our roles, or none of them.
bool carries_only(const Certificate& certificate, Role role)
{
    constexpr std::array roles{Role::identity_ca,       Role::station_signing, Role::station_tls,
                               Role::archive,           Role::central,         Role::station_operator,
                               Role::certified_central, Role::data_key,        Role::mirror};
    return std::ranges::all_of(roles, [&](Role other) {
        return certificate.has_extended_key_usage(std::string(role_oid(other))) == (other == role);
    });
}

bool has_role(const Certificate& certificate, Role role)
{
    if (!carries_only(certificate, role))
        return false;
    switch (role) {
    case Role::checking_ca:
        return is_ca(certificate) && certificate.extension("2.5.29.37").empty();
    case Role::identity_ca:
    case Role::station_signing:
        return is_ca(certificate) && X509_get_pathlen(certificate.x509()) == 0;
    case Role::station_tls:
    case Role::archive:
    case Role::central:
    case Role::station_operator:
    case Role::certified_central:
    case Role::mirror:
        return !is_ca(certificate);
    case Role::device_identity:
        return !is_ca(certificate) && chip_identifier(certificate) && device_identity(certificate);
    case Role::module:
        return !is_ca(certificate) && module_binding(certificate) && device_identity(certificate) &&
            certificate.has_extended_key_usage(client_auth_oid);
    case Role::data_key:
        return !is_ca(certificate) && device_identity(certificate).has_value();
    }
    return false;
}

// Who certifies a role: an identity CA the device identities, a station what it hands to devices, all else the checking
// key.
Role issuer_of(Role role)
{
    switch (role) {
    case Role::device_identity:
        return Role::identity_ca;
    case Role::module:
    case Role::data_key:
    case Role::certified_central:
        return Role::station_signing;
    default:
        return Role::checking_ca;
    }
}

Verdict check_roles(const Certificates& chain, Role role)
{
    for (const auto& certificate : chain) {
        if (!has_role(certificate, role))
            return Refusal{Reason::wrong_role,
                           "not a certificate for " + std::string(role_name(role)) + ": " + certificate.common_name()};
        role = issuer_of(role);
    }
    if (!has_role(chain.back(), Role::checking_ca))
        return Refusal{Reason::wrong_role, "the anchor is no checking CA"};
    return accepted();
}

// The root whose key certified the key of `root` in a link certificate of the bundle, or nullptr.
const Certificate* predecessor(const Trust& trust, const Certificate& root)
{
    for (const auto& link : trust.intermediates) {
        if (link.spki() != root.spki() || !has_role(link, Role::checking_ca))
            continue;
        const auto former =
            std::ranges::find_if(trust.anchors, [&](const auto& anchor) { return signed_by(link, anchor); });
        if (former != trust.anchors.end())
            return &*former;
    }
    return nullptr;
}

// A device's certificate names an identity that its issuer may give.
Verdict check_issuers_scope(const Certificates& chain, Role role)
{
    if (role != Role::device_identity && role != Role::module && role != Role::data_key)
        return accepted();
    return check_scope(chain.at(1), device_identity(chain.front()).value());
}

} // namespace

Trust trust_from_pem(BytesView pem)
{
    Trust trust;
    for (auto& certificate : certificates_from_pem(pem)) {
        const bool anchor = X509_self_signed(certificate.x509(), 1) == 1;
        (anchor ? trust.anchors : trust.intermediates).push_back(std::move(certificate));
    }
    ERR_clear_error();
    if (trust.anchors.empty())
        throw Error(Reason::not_configured, "the trust bundle has no self-signed certificate");
    trust.crls = crls_from_pem(pem);
    return trust;
}

Bytes anchor_digest(const Trust& trust)
{
    if (trust.anchors.empty())
        throw Error(Reason::not_configured, "the trust bundle has no self-signed certificate");
    return sha256(trust.anchors.front().spki());
}

std::vector<Bytes> anchor_history(const Trust& trust)
{
    std::vector<Bytes> digests{anchor_digest(trust)};
    const Certificate* present = &trust.anchors.front();
    while (present != nullptr) {
        const auto* former = predecessor(trust, *present);
        present = nullptr;
        if (former == nullptr)
            continue;
        const auto digest = sha256(former->spki());
        if (std::ranges::find(digests, digest) != digests.end())
            continue; // the chain of links bites its tail
        digests.push_back(digest);
        present = former;
    }
    return digests;
}

Result<Certificates> verify(const Certificate& leaf, const Certificates& untrusted, const Trust& trust, Role role,
                            Time now)
{
    if (auto verdict = check_input(leaf, untrusted); !verdict)
        return verdict.refusal();
    Certificates candidates = untrusted;
    candidates.insert(candidates.end(), trust.intermediates.begin(), trust.intermediates.end());
    const auto store = store_of(trust.anchors);
    const auto stack = stack_of(candidates);
    const auto crls = crls_of(trust);
    const StoreContext context(X509_STORE_CTX_new());
    require(context && X509_STORE_CTX_init(context.get(), store.get(), leaf.x509(), stack.get()) == 1,
            "cannot prepare a verification");

    Leniency leniency{role == Role::device_identity, &trust};
    auto* parameters = X509_STORE_CTX_get0_param(context.get());
    X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_ANY);
    X509_VERIFY_PARAM_set_time(parameters, std::chrono::system_clock::to_time_t(now));
    use_crls(context.get(), crls, leniency, X509_V_FLAG_X509_STRICT);

    auto chain = run(context.get());
    if (!chain)
        return chain;
    if (auto verdict = check_roles(*chain, role); !verdict)
        return verdict.refusal();
    if (auto verdict = check_issuers_scope(*chain, role); !verdict)
        return verdict.refusal();
    return chain;
}

bool signed_by(const Certificate& certificate, const Certificate& signer)
{
    int strength = 0; // bits
    EVP_PKEY* key = X509_get0_pubkey(signer.x509());
    const bool holds = has_named_curve(signer.x509()) && key != nullptr &&
        X509_get_signature_info(certificate.x509(), nullptr, nullptr, &strength, nullptr) == 1 &&
        strength >= security_bits && X509_verify(certificate.x509(), key) == 1;
    ERR_clear_error();
    return holds;
}

int verify_error(Reason reason)
{
    switch (reason) {
    case Reason::certificate_expired:
        return X509_V_ERR_CERT_HAS_EXPIRED;
    case Reason::certificate_not_yet_valid:
        return X509_V_ERR_CERT_NOT_YET_VALID;
    case Reason::certificate_revoked:
        return X509_V_ERR_CERT_REVOKED;
    case Reason::untrusted_certificate:
        return X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
    case Reason::wrong_role:
        return X509_V_ERR_INVALID_PURPOSE;
    case Reason::wrong_name:
        return X509_V_ERR_HOSTNAME_MISMATCH;
    default:
        return X509_V_ERR_APPLICATION_VERIFICATION;
    }
}

Verdict verify_ek(const Certificate& leaf, const Certificates& untrusted, const Trust& vendors)
{
    const auto refuse = [](const std::string& detail) { return Refusal{Reason::untrusted_endorsement_key, detail}; };
    if (auto verdict = check_input(leaf, untrusted); !verdict)
        return refuse(verdict.refusal().detail);
    const auto store = store_of(vendors.anchors);
    const auto stack = stack_of(untrusted);
    const auto crls = crls_of(vendors);
    const StoreContext context(X509_STORE_CTX_new());
    require(context && X509_STORE_CTX_init(context.get(), store.get(), leaf.x509(), stack.get()) == 1,
            "cannot prepare a verification");
    Leniency leniency{false, &vendors};
    auto* parameters = X509_STORE_CTX_get0_param(context.get());
    X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_ANY);
    use_crls(context.get(), crls, leniency, X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_PARTIAL_CHAIN);
    if (const auto chain = run(context.get()); !chain)
        return refuse(chain.refusal().detail);
    if (X509_check_ca(leaf.x509()) != 0)
        return refuse("a CA's certificate is not an endorsement key's");
    if (!leaf.extension("2.5.29.37").empty() && !leaf.has_extended_key_usage(endorsement_key_oid))
        return refuse("the certificate is for something else than an endorsement key");
    return accepted();
}

} // namespace imprint::pki
