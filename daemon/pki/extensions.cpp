// SPDX-License-Identifier: Apache-2.0
#include "daemon/pki/extensions.h"

#include "daemon/pki/handles.h"
#include "daemon/pki/identity.h"
#include "daemon/pki/profile_asn1.h"

#include <openssl/evp.h>

namespace imprint::pki {

namespace {

using Extension = Owned<X509_EXTENSION, X509_EXTENSION_free>;

void add(X509* certificate, int nid, void* value, bool critical)
{
    require(X509_add1_ext_i2d(certificate, nid, value, critical ? 1 : 0, X509V3_ADD_DEFAULT) == 1,
            "cannot add an extension");
}

void add_own(X509* certificate, const char* oid, const Bytes& der)
{
    const OctetString value(ASN1_OCTET_STRING_new());
    require(value && ASN1_OCTET_STRING_set(value.get(), der.data(), static_cast<int>(der.size())) == 1,
            "cannot encode an extension");
    const Extension extension(X509_EXTENSION_create_by_OBJ(nullptr, object(oid).get(), 0, value.get()));
    require(extension && X509_add_ext(certificate, extension.get(), -1) == 1, "cannot add an extension");
}

void set(ASN1_STRING* string, BytesView value)
{
    require(ASN1_STRING_set(string, value.data(), static_cast<int>(value.size())) == 1, "cannot encode a string");
}

Bytes utf8(const std::string& text)
{
    const Owned<ASN1_UTF8STRING, ASN1_UTF8STRING_free> value(ASN1_UTF8STRING_new());
    require(value != nullptr, "cannot encode a string");
    set(value.get(), as_bytes(text));
    return encode<i2d_ASN1_UTF8STRING>(value.get());
}

bool is_host_name(const std::string& name)
{
    return !name.empty() && name.size() <= 253 && name.front() != '.' && name.front() != '-' &&
        std::ranges::all_of(name, [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
        });
}

Owned<GENERAL_NAME, GENERAL_NAME_free> server_name(const std::string& name)
{
    Owned<GENERAL_NAME, GENERAL_NAME_free> out(GENERAL_NAME_new());
    require(out != nullptr, "cannot encode a name");
    if (OctetString address(a2i_IPADDRESS(name.c_str())); address) {
        GENERAL_NAME_set0_value(out.get(), GEN_IPADD, address.release());
        return out;
    }
    if (!is_host_name(name))
        throw Error(Reason::invalid_argument, "neither a host name nor an IP address: " + name);
    Owned<ASN1_IA5STRING, ASN1_IA5STRING_free> text(ASN1_IA5STRING_new());
    require(text != nullptr, "cannot encode a name");
    set(text.get(), as_bytes(name));
    GENERAL_NAME_set0_value(out.get(), GEN_DNS, text.release());
    return out;
}

Bytes hardware_module_name(const std::string& serial)
{
    const Owned<HardwareModuleName, HardwareModuleName_free> module(HardwareModuleName_new());
    require(module != nullptr, "cannot encode a device identity");
    ASN1_OBJECT_free(module->type);
    module->type = object(tpm2_hardware_oid).release();
    set(module->serial, as_bytes(serial));
    return encode<i2d_HardwareModuleName>(module.get());
}

Bytes permanent_identifier(const DeviceIdentity& identity)
{
    const Owned<PermanentIdentifier, PermanentIdentifier_free> permanent(PermanentIdentifier_new());
    require(permanent != nullptr, "cannot encode a device identity");
    set(permanent->value, as_bytes(identity.value));
    ASN1_OBJECT_free(permanent->assigner);
    permanent->assigner = object(assigner_of(identity.kind)).release();
    return encode<i2d_PermanentIdentifier>(permanent.get());
}

void add_other_name(GENERAL_NAMES* names, const char* oid, const Bytes& der)
{
    Owned<ASN1_TYPE, ASN1_TYPE_free> other(ASN1_TYPE_new());
    Owned<ASN1_STRING, ASN1_STRING_free> sequence(ASN1_STRING_type_new(V_ASN1_SEQUENCE));
    require(other && sequence, "cannot encode a name");
    set(sequence.get(), der);
    ASN1_TYPE_set(other.get(), V_ASN1_SEQUENCE, sequence.release());
    Owned<GENERAL_NAME, GENERAL_NAME_free> name(GENERAL_NAME_new());
    require(name && GENERAL_NAME_set0_othername(name.get(), object(oid).release(), other.get()) == 1,
            "cannot encode a name");
    static_cast<void>(other.release());
    require(sk_GENERAL_NAME_push(names, name.get()) > 0, "cannot encode a name");
    static_cast<void>(name.release());
}

void add_policy(CERTIFICATEPOLICIES* policies, const char* oid)
{
    Owned<POLICYINFO, POLICYINFO_free> policy(POLICYINFO_new());
    require(policy != nullptr, "cannot encode a policy");
    ASN1_OBJECT_free(policy->policyid);
    policy->policyid = object(oid).release();
    require(sk_POLICYINFO_push(policies, policy.get()) > 0, "cannot encode a policy");
    static_cast<void>(policy.release());
}

} // namespace

void add_basic_constraints(X509* certificate, bool ca, int path_length)
{
    const Owned<BASIC_CONSTRAINTS, BASIC_CONSTRAINTS_free> value(BASIC_CONSTRAINTS_new());
    require(value != nullptr, "cannot encode basic constraints");
    value->ca = ca ? 1 : 0;
    if (ca && path_length != no_path_limit) {
        value->pathlen = ASN1_INTEGER_new();
        require(value->pathlen && ASN1_INTEGER_set(value->pathlen, path_length) == 1, "cannot encode a path length");
    }
    add(certificate, NID_basic_constraints, value.get(), true);
}

void add_key_usage(X509* certificate, int bits)
{
    const Owned<ASN1_BIT_STRING, ASN1_BIT_STRING_free> value(ASN1_BIT_STRING_new());
    require(value != nullptr, "cannot encode a key usage");
    for (int bit = 0; bit < 8; ++bit)
        if ((bits & (0x80 >> bit)) != 0)
            require(ASN1_BIT_STRING_set_bit(value.get(), bit, 1) == 1, "cannot encode a key usage");
    add(certificate, NID_key_usage, value.get(), true);
}

void add_extended_key_usage(X509* certificate, std::span<const std::string_view> oids)
{
    const Owned<EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free> value(sk_ASN1_OBJECT_new_null());
    require(value != nullptr, "cannot encode a key usage");
    for (const auto oid : oids) {
        auto usage = object(std::string(oid));
        require(sk_ASN1_OBJECT_push(value.get(), usage.get()) > 0, "cannot encode a key usage");
        static_cast<void>(usage.release());
    }
    add(certificate, NID_ext_key_usage, value.get(), false);
}

Bytes subject_key_id(const X509* certificate)
{
    const OctetString id(
        static_cast<ASN1_OCTET_STRING*>(X509_get_ext_d2i(certificate, NID_subject_key_identifier, nullptr, nullptr)));
    require(id != nullptr, "the issuer's certificate has no key identifier");
    return {view(id.get()).begin(), view(id.get()).end()};
}

void add_subject_key_id(X509* certificate)
{
    auto id = sha256(view(X509_get0_pubkey_bitstr(certificate)));
    id.resize(20);
    const OctetString value(ASN1_OCTET_STRING_new());
    require(value != nullptr, "cannot encode a key identifier");
    set(value.get(), id);
    add(certificate, NID_subject_key_identifier, value.get(), false);
}

void add_server_names(X509* certificate, const std::vector<std::string>& names)
{
    const Owned<GENERAL_NAMES, GENERAL_NAMES_free> value(GENERAL_NAMES_new());
    require(value != nullptr, "cannot encode names");
    for (const auto& name : names) {
        auto entry = server_name(name);
        require(sk_GENERAL_NAME_push(value.get(), entry.get()) > 0, "cannot encode names");
        static_cast<void>(entry.release());
    }
    add(certificate, NID_subject_alt_name, value.get(), false);
}

void add_device_identity(X509* certificate, const DeviceIdentity& identity)
{
    const Owned<GENERAL_NAMES, GENERAL_NAMES_free> names(GENERAL_NAMES_new());
    require(names != nullptr, "cannot encode a device identity");
    add_other_name(names.get(), hardware_module_name_oid, hardware_module_name(identity.value));
    add_other_name(names.get(), permanent_identifier_oid, permanent_identifier(identity));
    add(certificate, NID_subject_alt_name, names.get(), false);
    add_own(certificate, identity_kind_oid, utf8(identity.kind));
}

void add_device_policies(X509* certificate)
{
    const Owned<CERTIFICATEPOLICIES, CERTIFICATEPOLICIES_free> policies(CERTIFICATEPOLICIES_new());
    require(policies != nullptr, "cannot encode policies");
    add_policy(policies.get(), "2.23.133.11.1.1"); // resides in a TPM
    add_policy(policies.get(), "2.23.133.11.1.2"); // is fixed to it
    add_policy(policies.get(), "2.23.133.11.1.3"); // signs only what the TPM itself made
    add(certificate, NID_certificate_policies, policies.get(), false);
}

void add_chip_identifier(X509* certificate, const std::string& chip_identifier)
{
    add_own(certificate, chip_identifier_oid, utf8(chip_identifier));
}

void add_scope(X509* certificate, const Scope& scope)
{
    if (scope.empty())
        return;
    const Owned<IdentityRanges, IdentityRanges_free> ranges(IdentityRanges_new());
    require(ranges != nullptr, "cannot encode a scope");
    for (const auto& range : scope) {
        Owned<IdentityRangeValue, IdentityRangeValue_free> value(IdentityRangeValue_new());
        require(value != nullptr, "cannot encode a scope");
        set(value->kind, as_bytes(range.kind));
        set(value->first, as_bytes(range.first));
        set(value->last, as_bytes(range.last));
        require(sk_IdentityRangeValue_push(ranges.get(), value.get()) > 0, "cannot encode a scope");
        static_cast<void>(value.release());
    }
    add_own(certificate, scope_oid, encode<i2d_IdentityRanges>(ranges.get()));
}

void add_module_binding(X509* certificate, const ModuleBinding& binding)
{
    const Owned<ModuleBindingValue, ModuleBindingValue_free> value(ModuleBindingValue_new());
    require(value && ASN1_INTEGER_set_uint64(value->epoch, binding.epoch) == 1, "cannot encode a module binding");
    set(value->nonce, binding.nonce);
    set(value->epoch_index_name, binding.epoch_index_name);
    set(value->storage_key_name, binding.storage_key_name);
    set(value->chip_identifier, as_bytes(binding.chip_identifier));
    add_own(certificate, module_binding_oid, encode<i2d_ModuleBindingValue>(value.get()));
}

} // namespace imprint::pki
