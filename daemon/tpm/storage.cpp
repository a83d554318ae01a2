// SPDX-License-Identifier: Apache-2.0
// Work under the chip storage key: import, load, unseal.
#include "daemon/structures/marshal.h"
#include "daemon/structures/policy.h"
#include "daemon/tpm/security_module.h"

namespace imprint::tpm {

namespace {

template <class T>
T parse(BytesView bytes)
{
    return structures::unmarshal<T>(bytes).or_throw();
}

} // namespace

SecurityModule::Work::Work(SecurityModule& module, Room room)
    : module_(&module)
{
    if (room == Room::made)
        module.make_room();
    session_ = start_session(module.connection_, module.storage(), TPM2_SE_POLICY, TPM2_ALG_SHA256);
}

void SecurityModule::Work::policy_command_code(TPM2_CC command)
{
    const auto& connection = module_->connection_;
    if (dirty_)
        connection.check(Esys_PolicyRestart(connection.esys(), session_.tr(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE),
                         "restart a policy");
    dirty_ = true;
    connection.check(
        Esys_PolicyCommandCode(connection.esys(), session_.tr(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, command),
        "bind a policy to a command");
}

void SecurityModule::Work::authorize(TPM2_CC command)
{
    policy_command_code(command);
    TPML_DIGEST branches{};
    for (const auto& branch : structures::storage_key_policy_branches())
        branches.digests[branches.count++] = structures::to_tpm2b<TPM2B_DIGEST>(branch);
    const auto& connection = module_->connection_;
    connection.check(
        Esys_PolicyOR(connection.esys(), session_.tr(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &branches),
        "satisfy the policy of the chip storage key");
}

void SecurityModule::Work::attributes(Use use)
{
    set_attributes(module_->connection_, session_, true, use == Use::over);
}

void SecurityModule::Work::done(Use use)
{
    dirty_ = false; // the TPM has reset the policy
    if (use == Use::over)
        session_.release();
}

Bytes SecurityModule::Work::import(const structures::Importable& importable)
{
    const auto object = parse<TPM2B_PUBLIC>(importable.object);
    const auto duplicate = parse<TPM2B_PRIVATE>(importable.duplicate);
    const auto seed = parse<TPM2B_ENCRYPTED_SECRET>(importable.seed);
    const TPM2B_DATA no_inner_wrap{};
    TPMT_SYM_DEF_OBJECT no_symmetric{};
    no_symmetric.algorithm = TPM2_ALG_NULL;
    authorize(TPM2_CC_Import);
    attributes(use());
    Received<TPM2B_PRIVATE> out;
    const auto& connection = module_->connection_;
    connection.check(Esys_Import(connection.esys(), module_->storage(), session_.tr(), ESYS_TR_NONE, ESYS_TR_NONE,
                                 &no_inner_wrap, &object, &duplicate, &seed, &no_symmetric, out.out()),
                     "import a key that was wrapped for this chip");
    done(use());
    return structures::marshal(*out);
}

Transient SecurityModule::Work::load(BytesView object, BytesView sensitive) { return load(object, sensitive, use()); }

Transient SecurityModule::Work::load(BytesView object, BytesView sensitive, Use use)
{
    const auto area = parse<TPM2B_PUBLIC>(object);
    const auto blob = parse<TPM2B_PRIVATE>(sensitive);
    authorize(TPM2_CC_Load);
    attributes(use);
    ESYS_TR handle = ESYS_TR_NONE;
    const auto& connection = module_->connection_;
    connection.check(Esys_Load(connection.esys(), module_->storage(), session_.tr(), ESYS_TR_NONE, ESYS_TR_NONE, &blob,
                               &area, &handle),
                     "load a key under the chip storage key");
    done(use);
    return {connection, handle};
}

// The session authorizes nothing here: it keeps what is loaded from being exchanged on the way.
Transient SecurityModule::Work::load_under(ESYS_TR parent, BytesView object, BytesView sensitive)
{
    const auto area = parse<TPM2B_PUBLIC>(object);
    const auto blob = parse<TPM2B_PRIVATE>(sensitive);
    attributes(use());
    ESYS_TR handle = ESYS_TR_NONE;
    const auto& connection = module_->connection_;
    connection.check(
        Esys_Load(connection.esys(), parent, ESYS_TR_PASSWORD, session_.tr(), ESYS_TR_NONE, &blob, &area, &handle),
        "load a key under its imported parent");
    done(use());
    return {connection, handle};
}

Bytes SecurityModule::Work::name(const Transient& object) const
{
    const auto& connection = module_->connection_;
    Received<TPM2B_NAME> name;
    connection.check(Esys_TR_GetName(connection.esys(), object.tr(), name.out()), "tell the Name of a key");
    const auto view = structures::view(*name);
    return {view.begin(), view.end()};
}

Secret SecurityModule::Work::unseal(const Transient& sealed)
{
    policy_command_code(TPM2_CC_Unseal);
    attributes(use());
    Received<TPM2B_SENSITIVE_DATA> data;
    const auto& connection = module_->connection_;
    connection.check(Esys_Unseal(connection.esys(), sealed.tr(), session_.tr(), ESYS_TR_NONE, ESYS_TR_NONE, data.out()),
                     "unseal a secret");
    done(use());
    return Secret(structures::view(*data));
}

} // namespace imprint::tpm
