// SPDX-License-Identifier: Apache-2.0
#include "daemon/pki/profile.h"

#include "daemon/pki/handles.h"
#include "daemon/pki/identity.h"
#include "daemon/pki/profile_asn1.h"

#include <openssl/err.h>

namespace imprint::pki {

namespace {

template <class T, auto D2i, auto I2d, auto Free>
Owned<T, Free> strict(BytesView der)
{
    const unsigned char* position = der.data();
    Owned<T, Free> value(der.empty() ? nullptr : D2i(nullptr, &position, static_cast<long>(der.size())));
    if (value && !equal(encode<I2d>(value.get()), der))
        value.reset();
    ERR_clear_error();
    return value;
}

constexpr auto utf8 = strict<ASN1_UTF8STRING, d2i_ASN1_UTF8STRING, i2d_ASN1_UTF8STRING, ASN1_UTF8STRING_free>;
constexpr auto binding =
    strict<ModuleBindingValue, d2i_ModuleBindingValue, i2d_ModuleBindingValue, ModuleBindingValue_free>;
constexpr auto hardware =
    strict<HardwareModuleName, d2i_HardwareModuleName, i2d_HardwareModuleName, HardwareModuleName_free>;

constexpr auto permanent =
    strict<PermanentIdentifier, d2i_PermanentIdentifier, i2d_PermanentIdentifier, PermanentIdentifier_free>;

bool is_chip_identifier(std::string_view text)
{
    return text.size() == 64 &&
        std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

using Names = Owned<GENERAL_NAMES, GENERAL_NAMES_free>;

// The content of the name at this place, if it is an otherName of this type.
BytesView other_name(const Names& names, int place, const char* type)
{
    ASN1_OBJECT* oid = nullptr;
    ASN1_TYPE* value = nullptr;
    const auto* name = sk_GENERAL_NAME_value(names.get(), place);
    if (GENERAL_NAME_get0_otherName(name, &oid, &value) != 1 || value->type != V_ASN1_SEQUENCE ||
        OBJ_cmp(oid, object(type).get()) != 0)
        return {};
    return view(value->value.sequence);
}

bool is_permanent_identifier(BytesView der, const DeviceIdentity& identity)
{
    const auto found = permanent(der);
    return found && as_text(view(found->value)) == identity.value &&
        OBJ_cmp(found->assigner, object(assigner_of(identity.kind)).get()) == 0;
}

// The subject's alternative names are a HardwareModuleName and a PermanentIdentifier of the same value; the first
// certificates had the former alone.
std::optional<DeviceIdentity> named_identity(const Certificate& certificate, const std::string& kind)
{
    const Names names(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate.x509(), NID_subject_alt_name, nullptr, nullptr)));
    ERR_clear_error();
    const int count = names ? sk_GENERAL_NAME_num(names.get()) : 0;
    if (count != 1 && count != 2)
        return std::nullopt;
    const auto module = hardware(other_name(names, 0, hardware_module_name_oid));
    if (!module || OBJ_cmp(module->type, object(tpm2_hardware_oid).get()) != 0)
        return std::nullopt;
    DeviceIdentity identity{kind, to_string(view(module->serial))};
    if (!check(identity) ||
        (count == 2 && !is_permanent_identifier(other_name(names, 1, permanent_identifier_oid), identity)))
        return std::nullopt;
    return identity;
}

} // namespace

std::string_view role_oid(Role role)
{
    switch (role) {
    case Role::identity_ca:
        return IMPRINT_OID_ARC ".1.1";
    case Role::station_signing:
        return IMPRINT_OID_ARC ".1.2";
    case Role::station_tls:
        return IMPRINT_OID_ARC ".1.3";
    case Role::archive:
        return IMPRINT_OID_ARC ".1.4";
    case Role::central:
        return IMPRINT_OID_ARC ".1.5";
    case Role::station_operator:
        return IMPRINT_OID_ARC ".1.6";
    case Role::certified_central:
        return IMPRINT_OID_ARC ".1.7";
    case Role::data_key:
        return IMPRINT_OID_ARC ".1.9";
    case Role::mirror:
        return IMPRINT_OID_ARC ".1.10";
    case Role::checking_ca:
    case Role::device_identity:
    case Role::module:
        break;
    }
    return {};
}

std::string_view role_name(Role role)
{
    switch (role) {
    case Role::checking_ca:
        return "checking-ca";
    case Role::identity_ca:
        return "identity-ca";
    case Role::station_signing:
        return "station-signing";
    case Role::station_tls:
        return "station-tls";
    case Role::archive:
        return "archive";
    case Role::central:
        return "central";
    case Role::station_operator:
        return "station-operator";
    case Role::certified_central:
        return "certified-central";
    case Role::device_identity:
        return "device-identity";
    case Role::module:
        return "module";
    case Role::data_key:
        return "data-key";
    case Role::mirror:
        return "mirror";
    }
    return "unknown";
}

std::optional<ModuleBinding> module_binding(const Certificate& certificate)
{
    const auto value = binding(certificate.extension(module_binding_oid));
    std::uint64_t epoch = 0;
    if (!value || ASN1_INTEGER_get_uint64(&epoch, value->epoch) != 1) {
        ERR_clear_error();
        return std::nullopt;
    }
    const auto bytes = [](const ASN1_STRING* string) { return Bytes(view(string).begin(), view(string).end()); };
    ModuleBinding out{bytes(value->nonce), epoch, bytes(value->epoch_index_name), bytes(value->storage_key_name),
                      to_string(view(value->chip_identifier))};
    if (out.nonce.size() != 32 || epoch % 2 == 0 || !is_chip_identifier(out.chip_identifier))
        return std::nullopt;
    return out;
}

std::optional<std::string> chip_identifier(const Certificate& certificate)
{
    const auto value = utf8(certificate.extension(chip_identifier_oid));
    if (!value || !is_chip_identifier(as_text(view(value.get()))))
        return std::nullopt;
    return to_string(view(value.get()));
}

std::optional<DeviceIdentity> device_identity(const Certificate& certificate)
{
    const auto kind = utf8(certificate.extension(identity_kind_oid));
    return kind ? named_identity(certificate, to_string(view(kind.get()))) : std::nullopt;
}

} // namespace imprint::pki
