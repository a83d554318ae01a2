// SPDX-License-Identifier: Apache-2.0
// Inside daemon/pki only: our object identifiers and the ASN.1 of our extensions. pki.md has both as prose.
#pragma once

#include <openssl/asn1t.h>
#include <openssl/x509.h>

// One arc of our own: 2.25.<UUID 5968ee86-7b06-416f-a3ad-00e41fb58cea as a decimal number> (ITU-T X.667).
#define IMPRINT_OID_ARC "2.25.118846128366278799546935330879718132970"

namespace imprint::pki {

inline constexpr char chip_identifier_oid[] = IMPRINT_OID_ARC ".2.1";
inline constexpr char module_binding_oid[] = IMPRINT_OID_ARC ".2.2";
inline constexpr char identity_kind_oid[] = IMPRINT_OID_ARC ".2.3";

inline constexpr char scope_oid[] = IMPRINT_OID_ARC ".2.4";

inline constexpr char certified_station_oid[] = IMPRINT_OID_ARC ".1.8"; // a cross-certificate's usage
inline constexpr char client_auth_oid[] = "1.3.6.1.5.5.7.3.2";
inline constexpr char server_auth_oid[] = "1.3.6.1.5.5.7.3.1";
inline constexpr char endorsement_key_oid[] = "2.23.133.8.1"; // TCG EK Credential Profile
inline constexpr char attestation_key_oid[] = "2.23.133.8.3";
inline constexpr char hardware_module_name_oid[] = "1.3.6.1.5.5.7.8.4"; // RFC 4108
inline constexpr char tpm2_hardware_oid[] = "2.23.133.1.2"; // hwType
inline constexpr char permanent_identifier_oid[] = "1.3.6.1.5.5.7.8.3"; // RFC 4043
inline constexpr char identity_assigner_arc[] = IMPRINT_OID_ARC ".3."; // and the kind's number

// HardwareModuleName ::= SEQUENCE { hwType OBJECT IDENTIFIER, hwSerialNum OCTET STRING }
struct HardwareModuleName {
    ASN1_OBJECT* type;
    ASN1_OCTET_STRING* serial;
};
DECLARE_ASN1_FUNCTIONS(HardwareModuleName)

// PermanentIdentifier ::= SEQUENCE { identifierValue UTF8String OPTIONAL, assigner OBJECT IDENTIFIER OPTIONAL };
// both are there.
struct PermanentIdentifier {
    ASN1_UTF8STRING* value;
    ASN1_OBJECT* assigner;
};
DECLARE_ASN1_FUNCTIONS(PermanentIdentifier)

// ModuleBinding ::= SEQUENCE { nonce OCTET STRING, epoch INTEGER, epochIndexName OCTET STRING,
//                              storageKeyName OCTET STRING, chipIdentifier UTF8String }
struct ModuleBindingValue {
    ASN1_OCTET_STRING* nonce;
    ASN1_INTEGER* epoch;
    ASN1_OCTET_STRING* epoch_index_name;
    ASN1_OCTET_STRING* storage_key_name;
    ASN1_UTF8STRING* chip_identifier;
};
DECLARE_ASN1_FUNCTIONS(ModuleBindingValue)

// IdentityRanges ::= SEQUENCE OF SEQUENCE { kind UTF8String, first UTF8String, last UTF8String }
struct IdentityRangeValue {
    ASN1_UTF8STRING* kind;
    ASN1_UTF8STRING* first;
    ASN1_UTF8STRING* last;
};
DECLARE_ASN1_FUNCTIONS(IdentityRangeValue)
DEFINE_STACK_OF(IdentityRangeValue)
using IdentityRanges = STACK_OF(IdentityRangeValue);
DECLARE_ASN1_FUNCTIONS(IdentityRanges)

} // namespace imprint::pki
