// SPDX-License-Identifier: Apache-2.0
#include "daemon/pki/scope.h"

#include "daemon/pki/handles.h"
#include "daemon/pki/profile_asn1.h"

#include <openssl/err.h>

namespace imprint::pki {

namespace {

using Ranges = Owned<IdentityRanges, IdentityRanges_free>;

bool is_range(const IdentityRange& range)
{
    return range.first.size() == range.last.size() && range.first <= range.last && check({range.kind, range.first}) &&
        check({range.kind, range.last});
}

bool contains(const IdentityRange& range, const DeviceIdentity& identity)
{
    // char may be signed, but these are ASCII.
    return range.kind == identity.kind && range.first.size() == identity.value.size() &&
        range.first <= identity.value && identity.value <= range.last;
}

// Nothing if it is not strictly encoded, has no range or one that is none.
std::optional<Scope> decode(BytesView der)
{
    const unsigned char* position = der.data();
    const Ranges ranges(der.empty() ? nullptr : d2i_IdentityRanges(nullptr, &position, static_cast<long>(der.size())));
    ERR_clear_error();
    if (!ranges || !equal(encode<i2d_IdentityRanges>(ranges.get()), der))
        return std::nullopt;
    Scope scope;
    for (int i = 0; i < sk_IdentityRangeValue_num(ranges.get()); ++i) {
        const auto* value = sk_IdentityRangeValue_value(ranges.get(), i);
        scope.push_back({to_string(view(value->kind)), to_string(view(value->first)), to_string(view(value->last))});
    }
    if (scope.empty() || !std::ranges::all_of(scope, is_range))
        return std::nullopt;
    return scope;
}

} // namespace

IdentityRange parse_range(const std::string& text)
{
    const auto colon = text.find(':');
    const std::string values = colon == std::string::npos ? "" : text.substr(colon + 1);
    const std::size_t length = values.size() < 4 ? 0 : (values.size() - 2) / 2; // the two are of one length
    IdentityRange range{text.substr(0, colon), values.substr(0, length), {}};
    if (length != 0 && values.size() % 2 == 0 && values.substr(length, 2) == "..")
        range.last = values.substr(length + 2);
    if (!is_range(range))
        throw Error(Reason::invalid_argument,
                    "not a range of identities (serial:SN000001..SN009999, both of one length): " + text);
    return range;
}

Verdict check_scope(const Certificate& issuer, const DeviceIdentity& identity)
{
    if (X509_get_ext_by_OBJ(issuer.x509(), object(scope_oid).get(), -1) < 0)
        return accepted();
    const auto scope = decode(issuer.extension(scope_oid));
    if (scope && std::ranges::any_of(*scope, [&](const auto& range) { return contains(range, identity); }))
        return accepted();
    return Refusal{Reason::identity_out_of_scope,
                   identity.value + " is not among the identities of \"" + issuer.common_name() + "\""};
}

} // namespace imprint::pki
