// SPDX-License-Identifier: Apache-2.0
#include "daemon/structures/marshal.h"

#include <tss2/tss2_mu.h>

namespace imprint::structures {
namespace {

template <auto Marshal, auto Unmarshal>
struct Functions {
    static constexpr auto marshal = Marshal;
    static constexpr auto unmarshal = Unmarshal;
};

template <class T>
struct Codec;
template <>
struct Codec<TPMT_PUBLIC> : Functions<Tss2_MU_TPMT_PUBLIC_Marshal, Tss2_MU_TPMT_PUBLIC_Unmarshal> {
};
template <>
struct Codec<TPM2B_PUBLIC> : Functions<Tss2_MU_TPM2B_PUBLIC_Marshal, Tss2_MU_TPM2B_PUBLIC_Unmarshal> {
};
template <>
struct Codec<TPM2B_PRIVATE> : Functions<Tss2_MU_TPM2B_PRIVATE_Marshal, Tss2_MU_TPM2B_PRIVATE_Unmarshal> {
};
template <>
struct Codec<TPM2B_ENCRYPTED_SECRET>
    : Functions<Tss2_MU_TPM2B_ENCRYPTED_SECRET_Marshal, Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal> {
};
template <>
struct Codec<TPM2B_ID_OBJECT> : Functions<Tss2_MU_TPM2B_ID_OBJECT_Marshal, Tss2_MU_TPM2B_ID_OBJECT_Unmarshal> {
};
template <>
struct Codec<TPM2B_CREATION_DATA>
    : Functions<Tss2_MU_TPM2B_CREATION_DATA_Marshal, Tss2_MU_TPM2B_CREATION_DATA_Unmarshal> {
};
template <>
struct Codec<TPMS_NV_PUBLIC> : Functions<Tss2_MU_TPMS_NV_PUBLIC_Marshal, Tss2_MU_TPMS_NV_PUBLIC_Unmarshal> {
};
template <>
struct Codec<TPM2B_NV_PUBLIC> : Functions<Tss2_MU_TPM2B_NV_PUBLIC_Marshal, Tss2_MU_TPM2B_NV_PUBLIC_Unmarshal> {
};
template <>
struct Codec<TPMS_ATTEST> : Functions<Tss2_MU_TPMS_ATTEST_Marshal, Tss2_MU_TPMS_ATTEST_Unmarshal> {
};
template <>
struct Codec<TPMT_SIGNATURE> : Functions<Tss2_MU_TPMT_SIGNATURE_Marshal, Tss2_MU_TPMT_SIGNATURE_Unmarshal> {
};

// A structure holds all that its marshalled form holds, so its size is a bound.
template <class T>
bool try_marshal(const T& value, Bytes& out)
{
    out.assign(sizeof(T), 0);
    std::size_t size = 0;
    if (Codec<T>::marshal(&value, out.data(), out.size(), &size) != TSS2_RC_SUCCESS)
        return false;
    out.resize(size);
    return true;
}

} // namespace

template <class T>
Bytes marshal(const T& value)
{
    Bytes out;
    if (!try_marshal(value, out))
        throw Error(Reason::invalid_argument, "a TPM structure cannot be marshalled");
    return out;
}

template <class T>
Result<T> unmarshal(BytesView bytes)
{
    T value{};
    std::size_t consumed = 0;
    Bytes again;
    if (bytes.empty() || Codec<T>::unmarshal(bytes.data(), bytes.size(), &consumed, &value) != TSS2_RC_SUCCESS)
        return Refusal{Reason::malformed_message, "a TPM structure cannot be read"};
    if (!try_marshal(value, again) || !equal(again, bytes)) // also if something is left over
        return Refusal{Reason::malformed_message, "a TPM structure is not in its canonical form"};
    return value;
}

Secret marshal_sensitive(const TPMT_SENSITIVE& sensitive)
{
    Secret out(sizeof(TPM2B_SENSITIVE));
    Cleansed<TPM2B_SENSITIVE> sized;
    sized.value.sensitiveArea = sensitive;
    std::size_t size = 0;
    if (Tss2_MU_TPM2B_SENSITIVE_Marshal(&sized.value, out.data(), out.size(), &size) != TSS2_RC_SUCCESS)
        throw Error(Reason::invalid_argument, "a sensitive area cannot be marshalled");
    out.resize(size);
    return out;
}

template Bytes marshal(const TPMT_PUBLIC&);
template Bytes marshal(const TPM2B_PUBLIC&);
template Bytes marshal(const TPM2B_PRIVATE&);
template Bytes marshal(const TPM2B_ENCRYPTED_SECRET&);
template Bytes marshal(const TPM2B_ID_OBJECT&);
template Bytes marshal(const TPM2B_CREATION_DATA&);
template Bytes marshal(const TPMS_NV_PUBLIC&);
template Bytes marshal(const TPM2B_NV_PUBLIC&);
template Bytes marshal(const TPMS_ATTEST&);
template Bytes marshal(const TPMT_SIGNATURE&);

template Result<TPMT_PUBLIC> unmarshal(BytesView);
template Result<TPM2B_PUBLIC> unmarshal(BytesView);
template Result<TPM2B_PRIVATE> unmarshal(BytesView);
template Result<TPM2B_ENCRYPTED_SECRET> unmarshal(BytesView);
template Result<TPM2B_ID_OBJECT> unmarshal(BytesView);
template Result<TPM2B_CREATION_DATA> unmarshal(BytesView);
template Result<TPMS_NV_PUBLIC> unmarshal(BytesView);
template Result<TPM2B_NV_PUBLIC> unmarshal(BytesView);
template Result<TPMS_ATTEST> unmarshal(BytesView);
template Result<TPMT_SIGNATURE> unmarshal(BytesView);

} // namespace imprint::structures
