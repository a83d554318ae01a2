// SPDX-License-Identifier: Apache-2.0
// What root could do with every authorization of the TPM in hand, and what is not ours and stays untouched.
#include "tests/tpm/fixture.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/outer_wrap.h"
#include "daemon/structures/policy.h"
#include "daemon/tpm/rc.h"
#include "daemon/tpm/reference.h"

namespace imprint::test {

namespace {

using tpm::Persistent;
using tpm::Received;
using tpm::SecurityModule;
using tpm::Transient;

class Root : public PreparedTest {
protected:
    ESYS_CONTEXT* esys() const { return connection.esys(); }

    Transient session(TPM2_SE type)
    {
        TPMT_SYM_DEF none{};
        none.algorithm = TPM2_ALG_NULL;
        ESYS_TR tr = ESYS_TR_NONE;
        connection.check(Esys_StartAuthSession(esys(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                               ESYS_TR_NONE, nullptr, type, &none, TPM2_ALG_SHA256, &tr),
                         "start a session");
        return {connection, tr};
    }
    Transient primary(ESYS_TR hierarchy, const TPMT_PUBLIC& area)
    {
        const TPM2B_SENSITIVE_CREATE sensitive{};
        const TPM2B_PUBLIC in{0, area};
        const TPML_PCR_SELECTION pcrs{};
        ESYS_TR tr = ESYS_TR_NONE;
        connection.check(Esys_CreatePrimary(esys(), hierarchy, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive,
                                            &in, nullptr, &pcrs, &tr, nullptr, nullptr, nullptr, nullptr),
                         "create a primary");
        return {connection, tr};
    }
    Transient load_external(const TPMT_PUBLIC& area)
    {
        const TPM2B_PUBLIC in{0, area};
        ESYS_TR tr = ESYS_TR_NONE;
        connection.check(
            Esys_LoadExternal(esys(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, nullptr, &in, ESYS_TR_RH_NULL, &tr),
            "load a public area");
        return {connection, tr};
    }
    TSS2_RC rewrap(ESYS_TR old_parent, ESYS_TR authorization, ESYS_TR new_parent, const structures::Importable& blob)
    {
        const auto duplicate = structures::unmarshal<TPM2B_PRIVATE>(blob.duplicate).or_throw();
        const auto area = structures::unmarshal<TPM2B_PUBLIC>(blob.object).or_throw().publicArea;
        const auto name = structures::to_tpm2b<TPM2B_NAME>(structures::name_of(area));
        const auto seed = structures::unmarshal<TPM2B_ENCRYPTED_SECRET>(blob.seed).or_throw();
        Received<TPM2B_PRIVATE> out;
        Received<TPM2B_ENCRYPTED_SECRET> out_seed;
        return Esys_Rewrap(esys(), old_parent, new_parent, authorization, ESYS_TR_NONE, ESYS_TR_NONE, &duplicate, &name,
                           &seed, out.out(), out_seed.out());
    }
    // The storage key's public area as a parent with the usual user authorization.
    static TPMT_PUBLIC careless_parent()
    {
        auto area = structures::storage_key_template();
        area.objectAttributes |= TPMA_OBJECT_USERWITHAUTH;
        area.authPolicy = {};
        return area;
    }
    void policy(const Transient& session, TPM2_CC command, bool with_or)
    {
        connection.check(
            Esys_PolicyCommandCode(esys(), session.tr(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, command), "policy");
        TPML_DIGEST branches{};
        for (const auto& branch : structures::storage_key_policy_branches())
            branches.digests[branches.count++] = structures::to_tpm2b<TPM2B_DIGEST>(branch);
        if (with_or)
            Esys_PolicyOR(esys(), session.tr(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &branches);
    }

    tpm::Connection connection{wire.tcti()};
};

TEST_F(Root, Attack43_RewrapIsRefusedWithEveryAuthorization)
{
    const auto key = software_key();
    const auto blob = structures::wrap(module->storage_key(), key.area, key.scalar);
    const auto storage = tpm::look_up(connection, bare_settings().storage_key);
    const auto thief = primary(ESYS_TR_RH_OWNER, careless_parent());

    EXPECT_EQ(tpm::reason_of(rewrap(storage.tr, ESYS_TR_PASSWORD, thief.tr(), blob)), Reason::tpm_refused);
    EXPECT_EQ(tpm::reason_of(rewrap(storage.tr, session(TPM2_SE_HMAC).tr(), thief.tr(), blob)), Reason::tpm_refused);
    for (const TPM2_CC command : {TPM2_CC_Import, TPM2_CC_Load, TPM2_CC_Create, TPM2_CC_Rewrap})
        for (const bool with_or : {false, true}) {
            const auto attempt = session(TPM2_SE_POLICY);
            policy(attempt, command, with_or);
            const auto rc = rewrap(storage.tr, attempt.tr(), thief.tr(), blob);
            EXPECT_EQ(tpm::reason_of(rc), Reason::tpm_refused) << command << " " << rc;
        }
}

// The attack works on a parent as others make it; so the sender has to look at the parent before it wraps.
TEST_F(Root, Attack43_ACarelessParentGivesItsBlobsAway)
{
    const auto parent = primary(ESYS_TR_RH_ENDORSEMENT, careless_parent());
    const auto thief = primary(ESYS_TR_RH_OWNER, careless_parent());
    Received<TPM2B_PUBLIC> area;
    connection.check(
        Esys_ReadPublic(esys(), parent.tr(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, area.out(), nullptr, nullptr),
        "read");
    const auto key = software_key();
    const auto name = structures::name_of(key.area);
    const auto seed = structures::make_seed(area->publicArea, "DUPLICATE").or_throw();
    const auto blob = structures::outer_wrap(area->publicArea, seed.value, name, key.scalar);
    EXPECT_EQ(rewrap(parent.tr(), ESYS_TR_PASSWORD, thief.tr(),
                     {structures::marshal(TPM2B_PUBLIC{0, key.area}),
                      structures::marshal(structures::to_tpm2b<TPM2B_PRIVATE>(blob)), seed.encrypted}),
              TSS2_RC_SUCCESS);
    EXPECT_EQ(reason_of([&] { structures::wrap(area->publicArea, key.area, key.scalar); }),
              Reason::storage_key_invalid);
}

TEST_F(Root, Attack04_PublicOnlyKeyIsNeitherActivatedNorCertified)
{
    auto area = structures::identity_key_template();
    area.unique.ecc = software_key().area.unique.ecc;
    const auto external = load_external(area);
    const auto identity = tpm::look_up(connection, bare_settings().identity_key);
    const TPMT_SIG_SCHEME scheme{.scheme = TPM2_ALG_NULL, .details = {}};
    const TPM2B_DATA data{};
    Received<TPM2B_ATTEST> attest;
    Received<TPMT_SIGNATURE> signature;
    const auto certified = Esys_Certify(esys(), external.tr(), identity.tr, ESYS_TR_PASSWORD, ESYS_TR_PASSWORD,
                                        ESYS_TR_NONE, &data, &scheme, attest.out(), signature.out());
    EXPECT_EQ(certified, TSS2_RC(TPM2_RC_AUTH_UNAVAILABLE));

    const auto ek = primary(ESYS_TR_RH_ENDORSEMENT, structures::ek_templates()[0].area);
    const auto& ek_area = module->endorsement_keys().front().area;
    const auto credential = structures::make_credential(ek_area, structures::name_of(area), Secret(anchor)).or_throw();
    const auto id_object = structures::unmarshal<TPM2B_ID_OBJECT>(credential.id_object).or_throw();
    const auto secret = structures::unmarshal<TPM2B_ENCRYPTED_SECRET>(credential.secret).or_throw();
    const auto policy = session(TPM2_SE_POLICY);
    connection.check(Esys_PolicySecret(esys(), ESYS_TR_RH_ENDORSEMENT, policy.tr(), ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                       ESYS_TR_NONE, nullptr, nullptr, nullptr, 0, nullptr, nullptr),
                     "policy");
    Received<TPM2B_DIGEST> opened;
    const auto activated = Esys_ActivateCredential(esys(), external.tr(), ek.tr(), ESYS_TR_PASSWORD, policy.tr(),
                                                   ESYS_TR_NONE, &id_object, &secret, opened.out());
    EXPECT_EQ(activated, TSS2_RC(TPM2_RC_AUTH_UNAVAILABLE));
}

TEST_F(Root, A23_ARedefinedCounterDoesNotReviveAKey)
{
    const auto key = create_module_key();
    const auto undefine = [&] {
        auto index = tpm::look_up(connection, bare_settings().epoch_index);
        connection.check(
            Esys_NV_UndefineSpace(esys(), ESYS_TR_RH_OWNER, index.tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE),
            "undefine");
    };
    module->increment_epoch();
    EXPECT_NO_THROW(sign(key));
    undefine();
    EXPECT_EQ(reason_of([&] { sign(key); }), Reason::tpm_refused);
    auto later = open()->prepare(anchor);
    EXPECT_GT(later, epoch + 1);
    module = open();
    for (int i = 0; i < 4; ++i) {
        EXPECT_EQ(reason_of([&] { sign(key); }), Reason::tpm_refused);
        module->increment_epoch();
    }
    tpm.clear();
    module = open();
    EXPECT_GT(module->prepare(anchor), later);
    EXPECT_EQ(reason_of([&] { sign(key); }), Reason::tpm_refused);
}

TEST_F(Root, ForeignThingsAtOurHandlesStay)
{
    const auto foreign = bare_settings();
    const auto try_with = [&](auto change) {
        auto settings = bare_settings();
        change(settings);
        auto there = open(std::move(settings));
        const auto before = there->look();
        EXPECT_EQ(reason_of([&] { there->prepare(anchor); }), Reason::tpm_handle_taken);
        const auto after = there->look();
        EXPECT_EQ(after.storage_key_name, before.storage_key_name);
        EXPECT_EQ(after.identity_key_name, before.identity_key_name);
        EXPECT_EQ(after.epoch_status, before.epoch_status);
    };
    try_with([&](tpm::Settings& settings) { settings.storage_key = foreign.identity_key; });
    try_with([&](tpm::Settings& settings) { settings.identity_key = foreign.storage_key; });
    try_with([&](tpm::Settings& settings) { settings.epoch_index = foreign.anchor_index; });
    try_with([&](tpm::Settings& settings) { settings.anchor_index = foreign.epoch_index; });
    EXPECT_EQ(module->look().epoch, epoch);
}

TEST_F(Root, LeftoversAreFlushedOnlyWhereNobodyElseCanOwnThem)
{
    auto leftover = session(TPM2_SE_HMAC);
    const auto object = load_external(software_key().area);
    EXPECT_EQ(leaked(), 2U);
    tpm::Settings shared;
    open(std::move(shared));
    EXPECT_EQ(leaked(), 2U);
    open();
    EXPECT_EQ(leaked(), 0U);
}

class Authorized : public TpmTest {
protected:
    static constexpr std::string_view owner = "the owner's value";
    static constexpr std::string_view endorsement = "the endorsement value";

    Authorized()
    {
        set(ESYS_TR_RH_OWNER, owner);
        set(ESYS_TR_RH_ENDORSEMENT, endorsement);
    }
    void set(ESYS_TR hierarchy, std::string_view value)
    {
        const tpm::Connection connection(wire.tcti());
        const auto auth = structures::to_tpm2b<TPM2B_AUTH>(as_bytes(value));
        connection.check(
            Esys_HierarchyChangeAuth(connection.esys(), hierarchy, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &auth),
            "set an authorization");
    }
    static tpm::Settings settings(std::string_view owner_value, std::string_view endorsement_value)
    {
        auto out = bare_settings();
        out.owner_auth = Secret(as_bytes(owner_value));
        out.endorsement_auth = Secret(as_bytes(endorsement_value));
        return out;
    }
};

TEST_F(Authorized, Attack11_AuthorizationValuesAreNeverSent)
{
    wire.recording = true;
    auto module = open(settings(owner, endorsement));
    module->prepare(anchor);
    module->increment_epoch();
    EXPECT_EQ(commands([&] { module->increment_epoch(); }), 2U);
    const auto& key = module->endorsement_keys().front();
    const auto name = structures::name_of(module->identity_key());
    const auto credential = structures::make_credential(key.area, name, Secret(anchor)).or_throw();
    EXPECT_TRUE(equal(module->activate_credential(key, credential).view(), anchor));
    EXPECT_EQ(leaked(), 0U);
    for (const auto& exchange : wire.record())
        for (const auto value : {owner, endorsement})
            EXPECT_TRUE(std::ranges::search(exchange.command, as_bytes(value)).empty());
}

TEST_F(Authorized, AWrongValueIsTriedOnce)
{
    auto module = open(settings("wrong", endorsement));
    EXPECT_EQ(reason_of([&] { module->prepare(anchor); }), Reason::tpm_authorization);
    EXPECT_EQ(wire.count(TPM2_CC_EvictControl), 1U);
    EXPECT_EQ(leaked(), 0U);
    auto other = open(settings(owner, ""));
    EXPECT_EQ(reason_of([&] { other->prepare(anchor); }), Reason::tpm_authorization);
    EXPECT_EQ(leaked(), 0U);
}

TEST_F(Root, ADisabledHierarchyIsNoClearedTpm)
{
    for (const auto hierarchy : {ESYS_TR_RH_ENDORSEMENT, ESYS_TR_RH_OWNER}) {
        connection.check(Esys_HierarchyControl(esys(), ESYS_TR_RH_PLATFORM, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                               ESYS_TR_NONE, hierarchy, TPM2_NO),
                         "disable a hierarchy");
        EXPECT_EQ(reason_of([&] { open()->look(); }), Reason::tpm_hierarchy_disabled);
        tpm.restart();
        EXPECT_EQ(open()->look().epoch, epoch);
    }
}

} // namespace

} // namespace imprint::test
