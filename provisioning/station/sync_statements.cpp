// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/sync_statements.h"

#include "backup/package/replacement.h"

#include <openssl/err.h>

#include <set>

namespace imprint::station {

namespace {

using protocol::SyncOutcome;

ReplacementEntry entry_of(const package::Replacement& replacement, const std::string& statement)
{
    return {.former = replacement.former,
            .present = replacement.present,
            .identity = replacement.identity,
            .time = replacement.time,
            .reason = replacement.reason,
            .statement = to_bytes(statement)};
}

// As at this station's own replacements; and the identity is the one that the chip has here.
Verdict may_replace(Store& store, const package::Replacement& replacement)
{
    const auto identity = store.check_replacement(replacement.former, replacement.present);
    if (!identity)
        return identity.refusal();
    if (*identity != replacement.identity)
        return Refusal{Reason::identity_taken, "chip " + replacement.former + " is " + identity->value + " here"};
    return accepted();
}

struct SignedList {
    pki::Crl list;
    pki::Certificates certificates; // the signer first
};

Result<SignedList> read(const protocol::SyncRevocations& item)
{
    auto list = pki::Crl::from_der(as_bytes(item.list()));
    if (!list)
        return list.refusal();
    SignedList out{*std::move(list), {}};
    for (const auto& der : item.certificates()) {
        auto certificate = pki::Certificate::from_der(as_bytes(der));
        if (!certificate)
            return certificate.refusal();
        out.certificates.push_back(*std::move(certificate));
    }
    return out;
}

// The signer's certificate may have ended since: what it revoked stays revoked.
Verdict check(const SignedList& brought, const pki::Trust& trust, const std::string& station)
{
    const auto& signer = brought.certificates.front();
    if (signer.common_name() != station)
        return Refusal{Reason::not_authorized, "the list is that of " + signer.common_name()};
    const bool its_own =
        X509_NAME_cmp(X509_get_subject_name(signer.x509()), X509_CRL_get_issuer(brought.list.crl())) == 0 &&
        X509_CRL_verify(brought.list.crl(), X509_get0_pubkey(signer.x509())) == 1;
    ERR_clear_error();
    if (!its_own)
        return Refusal{Reason::signature_invalid, "the list is not signed by the certificate beside it"};
    const auto chain =
        pki::verify(signer, brought.certificates, trust, pki::Role::station_signing, signer.not_before());
    return chain ? accepted() : chain.refusal();
}

Bytes to_pem(const SignedList& brought)
{
    Bytes pem = brought.list.pem();
    const Bytes certificates = pki::to_pem(brought.certificates);
    pem.insert(pem.end(), certificates.begin(), certificates.end());
    return pem;
}

} // namespace

Judgement judge_replacement(Store& store, const pki::Trust& trust, const protocol::SyncReplacement& item)
{
    Judgement made{.kind = "replacement"};
    const auto replacement = package::open_replacement(as_bytes(item.statement()), trust, std::nullopt);
    if (!replacement) {
        made.outcome = SyncOutcome::refused;
        made.why = replacement.refusal();
        return made;
    }
    made.chip = replacement->former;
    made.name = replacement->former + " " + replacement->present;
    const auto there = store.replacement_of(replacement->former);
    if (there && there->present == replacement->present && there->identity == replacement->identity) {
        made.outcome = SyncOutcome::known;
        return made;
    }
    if (const auto may = may_replace(store, *replacement); !may) {
        made.outcome = SyncOutcome::conflict;
        made.why = may.refusal();
        return made;
    }
    store.add_replacement(entry_of(*replacement, item.statement()));
    made.revoked = store.revoke_all_grants(replacement->former, replacement->time);
    return made;
}

Judgement judge_revocations(Store& store, const pki::Trust& trust, const Origin& origin,
                            const protocol::SyncRevocations& item)
{
    Judgement made{.kind = "revocations", .name = origin.station};
    const auto brought = read(item);
    const auto verdict = brought ? check(*brought, trust, origin.station) : Verdict(brought.refusal());
    if (!verdict) {
        made.outcome = SyncOutcome::refused;
        made.why = verdict.refusal();
        return made;
    }
    const auto number = pki::number_of(brought->list);
    const auto there = store.revocation_list(origin.station);
    if (there && there->number >= number)
        made.outcome = SyncOutcome::known;
    else
        store.put_revocation_list({origin.station, number, to_pem(*brought)});
    return made;
}

bool has(Store& store, const protocol::ReplacementName& replacement)
{
    const auto there = store.replacement_of(replacement.former());
    return there && there->present == replacement.present();
}

protocol::SyncRevocations message_of(const pki::Crl& list, const pki::Certificates& signing)
{
    protocol::SyncRevocations message;
    message.set_list(to_string(list.der()));
    for (const auto& certificate : signing)
        message.add_certificates(to_string(certificate.der()));
    return message;
}

std::vector<std::string> to_be_revoked(Store& store, const std::string& station)
{
    auto serials = store.revoked_of(station);
    const auto kept = store.revocation_list(station);
    if (serials.empty() || !kept)
        return serials;
    std::set<std::string> done;
    for (const auto& entry : pki::revoked_by(pki::Crl::from_pem(kept->pem).or_throw()))
        done.insert(entry.serial);
    std::erase_if(serials, [&](const std::string& serial) { return done.contains(serial); });
    return serials;
}

} // namespace imprint::station
