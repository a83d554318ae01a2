// SPDX-License-Identifier: Apache-2.0
#include "provisioning/central/revocation.h"

#include "daemon/structures/name.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <array>

namespace imprint::central {

namespace {

constexpr std::size_t max_lists = 16; // of one file

Result<std::vector<pki::Crl>> lists_from_pem(BytesView pem)
{
    const Owned<BIO, BIO_free_all> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    if (!bio)
        throw openssl_error(Reason::internal, "cannot read from memory");
    std::vector<pki::Crl> lists;
    ERR_clear_error();
    while (X509_CRL* crl = PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr))
        lists.emplace_back(crl);
    const auto error = ERR_peek_last_error();
    const bool whole = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    if (!whole || lists.empty() || lists.size() > max_lists)
        return Refusal{Reason::malformed_message, "the file holds no revocation list, or a broken one"};
    return lists;
}

std::optional<std::uint64_t> number_of(const pki::Crl& list)
{
    const Owned<ASN1_INTEGER, ASN1_INTEGER_free> number(
        static_cast<ASN1_INTEGER*>(X509_CRL_get_ext_d2i(list.crl(), NID_crl_number, nullptr, nullptr)));
    std::uint64_t value = 0;
    const bool given = number && ASN1_INTEGER_get_uint64(&value, number.get()) == 1 &&
        value <= std::uint64_t{std::numeric_limits<std::int64_t>::max()};
    ERR_clear_error();
    return given ? std::optional(value) : std::nullopt;
}

const pki::Certificate* signer_of(const pki::Crl& list, const pki::Certificates& candidates)
{
    const auto signed_it = [&](const pki::Certificate& candidate) {
        return X509_NAME_cmp(X509_get_subject_name(candidate.x509()), X509_CRL_get_issuer(list.crl())) == 0 &&
            X509_CRL_verify(list.crl(), X509_get0_pubkey(candidate.x509())) == 1;
    };
    const auto found = std::ranges::find_if(candidates, signed_it);
    ERR_clear_error();
    return found == candidates.end() ? nullptr : &*found;
}

// Of the roles that keep lists, whether the signer has one; the refusal is that of a station.
Verdict may_sign(const pki::Certificate& signer, const pki::Certificates& untrusted, const pki::Trust& trust,
                 pki::Time now)
{
    for (const pki::Role role : {pki::Role::identity_ca, pki::Role::checking_ca})
        if (pki::verify(signer, untrusted, trust, role, now))
            return accepted();
    const auto station = pki::verify(signer, untrusted, trust, pki::Role::station_signing, now);
    return station ? accepted() : Verdict(station.refusal());
}

} // namespace

Result<std::vector<StoredList>> open_lists(BytesView pem, const pki::Trust& trust, pki::Time now)
try {
    const auto untrusted = pki::certificates_from_pem(pem);
    const auto lists = lists_from_pem(pem);
    if (!lists)
        return lists.refusal();
    pki::Certificates candidates = untrusted;
    candidates.insert(candidates.end(), trust.intermediates.begin(), trust.intermediates.end());
    candidates.insert(candidates.end(), trust.anchors.begin(), trust.anchors.end());
    std::vector<StoredList> out;
    for (const auto& list : *lists) {
        const auto* signer = signer_of(list, candidates);
        if (signer == nullptr)
            return Refusal{Reason::signature_invalid, "nobody whose certificate is here signed the revocation list"};
        if (const auto verdict = may_sign(*signer, untrusted, trust, now); !verdict)
            return verdict.refusal();
        const auto number = number_of(list);
        if (!number)
            return Refusal{Reason::malformed_message, "a revocation list without a number"};
        out.push_back({structures::digest(TPM2_ALG_SHA256, signer->spki()), *number, {}, list.der()});
    }
    return out;
} catch (const Error& error) { // a broken certificate in the file
    return error.refusal();
}

} // namespace imprint::central
