// SPDX-License-Identifier: Apache-2.0
#include "daemon/tpm/reference.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/tpm/rc.h"

namespace imprint::tpm {

namespace {

struct Held {
    Bytes name; // as the TPM gave it
    Bytes area; // the TPM2B with the public part
};

// ESYS shows what it holds of an object in no other way: handle, Name, kind, public part. (Esys_TR_GetName computes.)
Held held(const Connection& connection, const Persistent& object)
{
    std::uint8_t* buffer = nullptr;
    std::size_t size = 0;
    connection.check(Esys_TR_Serialize(connection.esys(), object.tr, &buffer, &size), "look at a reference");
    const Owned<std::uint8_t, Esys_Free> owned(buffer);
    constexpr std::size_t name_at = sizeof(TPM2_HANDLE) + sizeof(UINT16);
    const std::size_t name_size = size < name_at ? size : std::size_t{buffer[name_at - 2]} << 8 | buffer[name_at - 1];
    const std::size_t area_at = name_at + name_size + sizeof(std::uint32_t);
    if (size <= area_at)
        throw Error(Reason::internal, "tpm2-tss keeps references in another form than it did");
    return {Bytes(buffer + name_at, buffer + name_at + name_size), Bytes(buffer + area_at, buffer + size)};
}

template <class Tpm2b>
Tpm2b parse(const Bytes& bytes)
{
    auto area = structures::unmarshal<Tpm2b>(bytes);
    if (!area)
        throw Error(Reason::tpm_failed, "the TPM gave a public area that is not well-formed");
    return *area;
}

void compare(const Bytes& computed, const Bytes& given)
{
    if (!computed.empty() && computed != given)
        throw Error(Reason::tpm_intercepted, "the TPM's answer gives a public area and the Name of another one");
}

} // namespace

Persistent look_up(const Connection& connection, TPM2_HANDLE handle)
{
    Persistent found;
    const auto rc =
        Esys_TR_FromTPMPublic(connection.esys(), handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &found.tr);
    if (is_missing(rc))
        return {};
    connection.check(rc,
                     "look up handle 0x" +
                         hex(Bytes{static_cast<std::uint8_t>(handle >> 24), static_cast<std::uint8_t>(handle >> 16),
                                   static_cast<std::uint8_t>(handle >> 8), static_cast<std::uint8_t>(handle)}));
    return found;
}

void forget(const Connection& connection, Persistent& object)
{
    if (object)
        Esys_TR_Close(connection.esys(), &object.tr);
    object = {};
}

TPMT_PUBLIC public_of(const Connection& connection, const Persistent& key)
{
    const auto seen = held(connection, key);
    const auto area = parse<TPM2B_PUBLIC>(seen.area).publicArea;
    compare(structures::name_of(area), seen.name);
    return area;
}

TPMS_NV_PUBLIC nv_public_of(const Connection& connection, const Persistent& index)
{
    const auto seen = held(connection, index);
    const auto area = parse<TPM2B_NV_PUBLIC>(seen.area).nvPublic;
    compare(structures::name_of(area), seen.name);
    return area;
}

std::vector<TPM2_HANDLE> handles(const Connection& connection, TPM2_HANDLE first, TPM2_HANDLE last)
{
    std::vector<TPM2_HANDLE> out;
    TPMI_YES_NO more = TPM2_YES;
    while (more && first <= last) {
        Received<TPMS_CAPABILITY_DATA> data;
        connection.check(Esys_GetCapability(connection.esys(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                            TPM2_CAP_HANDLES, first, TPM2_MAX_CAP_HANDLES, &more, data.out()),
                         "list the TPM's handles");
        const auto& list = data->data.handles;
        if (list.count == 0 || list.count > TPM2_MAX_CAP_HANDLES)
            break;
        std::copy_if(list.handle, list.handle + list.count, std::back_inserter(out),
                     [&](TPM2_HANDLE handle) { return handle >= first && handle <= last; });
        if (list.handle[list.count - 1] < first) // an answer that leads back would never end
            throw Error(Reason::tpm_failed, "the TPM lists handles that were not asked for");
        first = list.handle[list.count - 1] + 1;
    }
    return out;
}

Bytes read_index(const Connection& connection, const Persistent& index, std::size_t size, std::size_t piece)
{
    Bytes out;
    while (out.size() < size) {
        const auto wanted = std::min(piece, size - out.size());
        Received<TPM2B_MAX_NV_BUFFER> data;
        connection.check(Esys_NV_Read(connection.esys(), index.tr, index.tr, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                      ESYS_TR_NONE, static_cast<UINT16>(wanted), static_cast<UINT16>(out.size()),
                                      data.out()),
                         "read an NV index");
        if (data->size != wanted)
            throw Error(Reason::tpm_failed, "the TPM gave less of an NV index than it holds");
        out.insert(out.end(), data->buffer, data->buffer + data->size);
    }
    return out;
}

} // namespace imprint::tpm
