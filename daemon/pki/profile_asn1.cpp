// SPDX-License-Identifier: Apache-2.0
#include "daemon/pki/profile_asn1.h"

namespace imprint::pki {

ASN1_SEQUENCE(HardwareModuleName) =
    {
        ASN1_SIMPLE(HardwareModuleName, type, ASN1_OBJECT),
        ASN1_SIMPLE(HardwareModuleName, serial, ASN1_OCTET_STRING),
} ASN1_SEQUENCE_END(HardwareModuleName) IMPLEMENT_ASN1_FUNCTIONS(HardwareModuleName)

        ASN1_SEQUENCE(PermanentIdentifier) =
            {
                ASN1_SIMPLE(PermanentIdentifier, value, ASN1_UTF8STRING),
                ASN1_SIMPLE(PermanentIdentifier, assigner, ASN1_OBJECT),
} ASN1_SEQUENCE_END(PermanentIdentifier) IMPLEMENT_ASN1_FUNCTIONS(PermanentIdentifier)

        ASN1_SEQUENCE(ModuleBindingValue) =
            {
                ASN1_SIMPLE(ModuleBindingValue, nonce, ASN1_OCTET_STRING),
                ASN1_SIMPLE(ModuleBindingValue, epoch, ASN1_INTEGER),
                ASN1_SIMPLE(ModuleBindingValue, epoch_index_name, ASN1_OCTET_STRING),
                ASN1_SIMPLE(ModuleBindingValue, storage_key_name, ASN1_OCTET_STRING),
                ASN1_SIMPLE(ModuleBindingValue, chip_identifier, ASN1_UTF8STRING),
} ASN1_SEQUENCE_END(ModuleBindingValue) IMPLEMENT_ASN1_FUNCTIONS(ModuleBindingValue)

                ASN1_SEQUENCE(IdentityRangeValue) =
                    {
                        ASN1_SIMPLE(IdentityRangeValue, kind, ASN1_UTF8STRING),
                        ASN1_SIMPLE(IdentityRangeValue, first, ASN1_UTF8STRING),
                        ASN1_SIMPLE(IdentityRangeValue, last, ASN1_UTF8STRING),
} ASN1_SEQUENCE_END(IdentityRangeValue) IMPLEMENT_ASN1_FUNCTIONS(IdentityRangeValue)

                        ASN1_ITEM_TEMPLATE(IdentityRanges) = ASN1_EX_TEMPLATE_TYPE(ASN1_TFLG_SEQUENCE_OF, 0,
                                                                                   IdentityRanges, IdentityRangeValue)
                            ASN1_ITEM_TEMPLATE_END(IdentityRanges) IMPLEMENT_ASN1_FUNCTIONS(IdentityRanges)

} // namespace imprint::pki
