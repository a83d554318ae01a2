// SPDX-License-Identifier: Apache-2.0
// The keys of the operating state at work: the module key signs, the transaction key computes HMACs. What was loaded
// for it stays in the TPM until something else needs the room, for loading costs more than using.
#include "daemon/structures/encode.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/tpm/rc.h"
#include "daemon/tpm/security_module.h"

namespace imprint::tpm {

namespace {

constexpr TPMT_SIG_SCHEME ecdsa_sha256{.scheme = TPM2_ALG_ECDSA, .details = {.ecdsa = {.hashAlg = TPM2_ALG_SHA256}}};

} // namespace

// PolicyNV: the counter stands at `odd_epoch`. [1]
void SecurityModule::Work::policy_epoch(std::uint64_t odd_epoch)
{
    const auto index = module_->epoch();
    const auto operand = structures::to_tpm2b<TPM2B_OPERAND>(structures::big_endian(odd_epoch));
    dirty_ = true;
    const auto rc = Esys_PolicyNV(module_->connection_.esys(), index, index, session_.tr(), ESYS_TR_PASSWORD,
                                  ESYS_TR_NONE, ESYS_TR_NONE, &operand, 0, TPM2_EO_EQ);
    if (is_missing(rc))
        throw Error(Reason::tpm_refused, "the epoch counter is not in the TPM");
    module_->connection_.check(rc, "satisfy the policy of a key of the operating state");
}

// Over SHA-256 of the message; ends the session. Nothing: the key has gone. [1]
std::optional<Bytes> SecurityModule::Work::sign(const Transient& key, BytesView message)
{
    const auto digest = structures::to_tpm2b<TPM2B_DIGEST>(structures::digest(TPM2_ALG_SHA256, message));
    Received<TPMT_SIGNATURE> signature;
    attributes(Use::over);
    const auto& connection = module_->connection_;
    const auto rc = Esys_Sign(connection.esys(), key.tr(), session_.tr(), ESYS_TR_NONE, ESYS_TR_NONE, &digest,
                              &ecdsa_sha256, &no_ticket, signature.out());
    if (is_gone(rc))
        return std::nullopt;
    connection.check(rc, "sign with the module key");
    done(Use::over);
    return structures::to_der_signature(structures::marshal(*signature)).or_throw();
}

// Ends the session, in which both message and answer are encrypted. Nothing: the key has gone. [1]
std::optional<Secret> SecurityModule::Work::hmac(const Transient& key, BytesView message)
{
    const auto data = structures::to_tpm2b<TPM2B_MAX_BUFFER>(message);
    Received<TPM2B_DIGEST> value;
    attributes(Use::over);
    const auto& connection = module_->connection_;
    const auto rc = Esys_HMAC(connection.esys(), key.tr(), session_.tr(), ESYS_TR_NONE, ESYS_TR_NONE, &data,
                              TPM2_ALG_SHA256, value.out());
    if (is_gone(rc))
        return std::nullopt;
    connection.check(rc, "compute an HMAC with the transaction key");
    done(Use::over);
    return Secret(structures::view(*value));
}

// A key is back in its place only after it has worked. One that has gone is loaded once more: a reset of the TPM, or
// whoever flushes other people's objects, took it away. A refusal is never tried again.
template <class Command>
auto SecurityModule::use(Kept& place, BytesView object, BytesView sensitive, std::uint64_t odd_epoch, Command command)
{
    Kept kept = std::exchange(place, {});
    const bool loaded = equal(kept.object, object) && equal(kept.sensitive, sensitive);
    for (bool again = loaded;; again = false) {
        Work work(*this, Work::Room::beside_the_kept);
        if (!again) {
            kept = {};
            kept = {{object.begin(), object.end()}, {sensitive.begin(), sensitive.end()}, work.load(object, sensitive)};
        }
        work.policy_epoch(odd_epoch);
        if (auto answer = command(work, kept.key)) {
            place = std::move(kept);
            return *std::move(answer);
        }
        kept.key.release();
        if (!again)
            throw Error(Reason::tpm_reset, "the TPM lost a key as soon as it had it");
    }
}

Bytes SecurityModule::sign_with_module_key(BytesView object, BytesView sensitive, std::uint64_t odd_epoch,
                                           BytesView message)
{
    return use(module_key_, object, sensitive, odd_epoch,
               [&](Work& work, const Transient& key) { return work.sign(key, message); });
}

Secret SecurityModule::hmac_with_transaction_key(BytesView object, BytesView sensitive, std::uint64_t odd_epoch,
                                                 BytesView message)
{
    return use(transaction_key_, object, sensitive, odd_epoch,
               [&](Work& work, const Transient& key) { return work.hmac(key, message); });
}

void SecurityModule::make_room()
{
    module_key_ = {};
    transaction_key_ = {};
}

} // namespace imprint::tpm
