// SPDX-License-Identifier: Apache-2.0
// Activation of credentials: the proof that the identity key and an endorsement key live in one TPM.
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/policy.h"
#include "daemon/structures/templates.h"
#include "daemon/tpm/reference.h"
#include "daemon/tpm/security_module.h"

namespace imprint::tpm {

// The key is known by its Name: that of the area which ESYS will salt to.
ESYS_TR SecurityModule::endorsement_object(const EndorsementKey& ek, Transient& created)
{
    const auto name = structures::name_of(ek.area);
    for (const auto& object : persistent_eks())
        if (structures::name_of(public_of(connection_, object)) == name)
            return object.tr;
    const auto* shape = structures::ek_template_of(ek.area);
    if (!shape)
        throw Error(Reason::capability_missing, "the endorsement key was made from a template that is not known");
    TPMT_PUBLIC area{};
    created = create_primary(shape->area, area);
    return structures::name_of(area) == name ? created.tr() : ESYS_TR_NONE;
}

bool SecurityModule::has(const EndorsementKey& ek)
try {
    Transient created;
    return endorsement_object(ek, created) != ESYS_TR_NONE;
} catch (const Error& error) {
    if (error.reason() != Reason::tpm_failed)
        throw;
    return false; // a TPM that cannot even make a key of this kind
}

void SecurityModule::satisfy_ek_policy(const Transient& session, const EndorsementKey& ek)
{
    auto authorization = authorize(ESYS_TR_RH_ENDORSEMENT);
    connection_.check(Esys_PolicySecret(connection_.esys(), ESYS_TR_RH_ENDORSEMENT, session.tr(), authorization.tr(),
                                        ESYS_TR_NONE, ESYS_TR_NONE, nullptr, nullptr, nullptr, 0, nullptr, nullptr),
                      "authorize the use of the endorsement key");
    authorization.spent();
    const auto* shape = structures::ek_template_of(ek.area);
    if (!shape || !shape->policy_b)
        return;
    TPML_DIGEST branches{};
    for (const auto& branch : structures::ek_policy_b_branches(ek.area.nameAlg))
        branches.digests[branches.count++] = structures::to_tpm2b<TPM2B_DIGEST>(branch);
    connection_.check(
        Esys_PolicyOR(connection_.esys(), session.tr(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &branches),
        "satisfy the policy of the endorsement key");
}

Secret SecurityModule::activate_credential(const EndorsementKey& ek, const structures::Credential& credential)
{
    const auto id_object = structures::unmarshal<TPM2B_ID_OBJECT>(credential.id_object).or_throw();
    const auto encrypted = structures::unmarshal<TPM2B_ENCRYPTED_SECRET>(credential.secret).or_throw();
    make_room();
    const auto object = identity();
    Transient created;
    const auto key = endorsement_object(ek, created);
    if (key == ESYS_TR_NONE)
        throw Error(Reason::tpm_intercepted, "the TPM does not have the endorsement key of its certificate");
    auto session = start_session(connection_, key, TPM2_SE_POLICY, ek.area.nameAlg);
    satisfy_ek_policy(session, ek);
    set_attributes(connection_, session, true, true);
    Received<TPM2B_DIGEST> secret;
    connection_.check(Esys_ActivateCredential(connection_.esys(), object, key, ESYS_TR_PASSWORD, session.tr(),
                                              ESYS_TR_NONE, &id_object, &encrypted, secret.out()),
                      "activate a credential");
    session.release();
    return Secret(structures::view(*secret));
}

} // namespace imprint::tpm
