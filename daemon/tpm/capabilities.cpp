// SPDX-License-Identifier: Apache-2.0
// What this TPM can do, as it says itself.
#include "daemon/tpm/security_module.h"

#include <cctype>
#include <map>

namespace imprint::tpm {

namespace {

using Properties = std::map<TPM2_PT, std::uint32_t>;

Properties fixed_properties(const Connection& connection)
{
    Properties out;
    TPM2_PT first = TPM2_PT_FIXED;
    TPMI_YES_NO more = TPM2_YES;
    while (more) {
        Received<TPMS_CAPABILITY_DATA> data;
        connection.check(Esys_GetCapability(connection.esys(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                            TPM2_CAP_TPM_PROPERTIES, first, TPM2_MAX_TPM_PROPERTIES, &more, data.out()),
                         "read the TPM's properties");
        const auto& list = data->data.tpmProperties;
        for (std::uint32_t i = 0; i < list.count && i < TPM2_MAX_TPM_PROPERTIES; ++i)
            out[first = list.tpmProperty[i].property] = list.tpmProperty[i].value;
        if (list.count == 0 || first >= TPM2_PT_VAR)
            break;
        ++first;
    }
    return out;
}

std::string vendor_of(std::uint32_t manufacturer)
{
    std::string out;
    for (int shift = 24; shift >= 0; shift -= 8) {
        const auto c = static_cast<unsigned char>(manufacturer >> shift);
        out += std::isprint(c) ? static_cast<char>(c) : ' ';
    }
    return out.substr(0, out.find_last_not_of(' ') + 1);
}

std::string firmware_of(std::uint32_t high, std::uint32_t low)
{
    return std::to_string(high >> 16) + "." + std::to_string(high & 0xffff) + "." + std::to_string(low >> 16) + "." +
        std::to_string(low & 0xffff);
}

TPMT_PUBLIC_PARMS rsa(UINT16 bits)
{
    TPMT_PUBLIC_PARMS parms{};
    parms.type = TPM2_ALG_RSA;
    parms.parameters.rsaDetail.symmetric.algorithm = TPM2_ALG_NULL;
    parms.parameters.rsaDetail.scheme.scheme = TPM2_ALG_NULL;
    parms.parameters.rsaDetail.keyBits = bits;
    return parms;
}

TPMT_PUBLIC_PARMS ecc(TPMI_ECC_CURVE curve)
{
    TPMT_PUBLIC_PARMS parms{};
    parms.type = TPM2_ALG_ECC;
    parms.parameters.eccDetail.symmetric.algorithm = TPM2_ALG_NULL;
    parms.parameters.eccDetail.scheme.scheme = TPM2_ALG_NULL;
    parms.parameters.eccDetail.curveID = curve;
    parms.parameters.eccDetail.kdf.scheme = TPM2_ALG_NULL;
    return parms;
}

TPMT_PUBLIC_PARMS hmac(TPMI_ALG_HASH hash)
{
    TPMT_PUBLIC_PARMS parms{};
    parms.type = TPM2_ALG_KEYEDHASH;
    parms.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_HMAC;
    parms.parameters.keyedHashDetail.scheme.details.hmac.hashAlg = hash;
    return parms;
}

std::vector<std::string> algorithms_of(const Connection& connection)
{
    const std::pair<const char*, TPMT_PUBLIC_PARMS> questions[]{
        {"rsa2048", rsa(2048)},
        {"rsa3072", rsa(3072)},
        {"p256", ecc(TPM2_ECC_NIST_P256)},
        {"p384", ecc(TPM2_ECC_NIST_P384)},
        {"hmac", hmac(TPM2_ALG_SHA256)},
        {"sha384", hmac(TPM2_ALG_SHA384)},
    };
    std::vector<std::string> out;
    for (const auto& [name, parms] : questions) {
        const auto rc = Esys_TestParms(connection.esys(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &parms);
        if (rc == TSS2_RC_SUCCESS)
            out.emplace_back(name);
        else if ((rc & TSS2_RC_LAYER_MASK) != 0 || !(rc & TPM2_RC_FMT1)) // anything but "not these parameters"
            connection.check(rc, "ask for the TPM's algorithms");
    }
    return out;
}

std::uint32_t reset_count_of(const Connection& connection)
{
    Received<TPMS_TIME_INFO> time;
    connection.check(Esys_ReadClock(connection.esys(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, time.out()),
                     "read the TPM's clock");
    return time->clockInfo.resetCount;
}

} // namespace

const Capabilities& SecurityModule::capabilities()
{
    if (!capabilities_) {
        auto properties = fixed_properties(connection_);
        capabilities_ =
            Capabilities{vendor_of(properties[TPM2_PT_MANUFACTURER]),
                         firmware_of(properties[TPM2_PT_FIRMWARE_VERSION_1], properties[TPM2_PT_FIRMWARE_VERSION_2]),
                         algorithms_of(connection_), properties[TPM2_PT_NV_BUFFER_MAX], reset_count_of(connection_)};
    }
    return *capabilities_;
}

} // namespace imprint::tpm
