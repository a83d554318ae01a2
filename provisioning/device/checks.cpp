// SPDX-License-Identifier: Apache-2.0
#include "provisioning/device/checks.h"

#include "backup/recovery/certificates.h"

namespace imprint::device {

namespace {

constexpr int max_certificates = 8;
constexpr std::size_t random_size = 32; // bytes of nonce and variation value

// The certificates that a peer sent along, as far as they can be read: an unreadable one is the peer's fault.
Result<pki::Certificates> read_certificates(const google::protobuf::RepeatedPtrField<std::string>& ders)
{
    if (ders.size() > max_certificates)
        return Refusal{Reason::malformed_message, "more than " + std::to_string(max_certificates) + " certificates"};
    pki::Certificates certificates;
    for (const auto& der : ders) {
        auto certificate = pki::Certificate::from_der(as_bytes(der));
        if (!certificate)
            return certificate.refusal();
        certificates.push_back(*std::move(certificate));
    }
    return certificates;
}

void add_missing(pki::Certificates& to, std::span<const pki::Certificate> from)
{
    for (const auto& certificate : from)
        if (std::ranges::find(to, certificate) == to.end())
            to.push_back(certificate);
}

// Of a verified chain: everything between the leaf and the anchor.
std::span<const pki::Certificate> between(const pki::Certificates& chain)
{
    return chain.size() < 2 ? std::span<const pki::Certificate>() : std::span(chain).subspan(1, chain.size() - 2);
}

Verdict check_same_identity(const pki::Certificate& identity, const pki::Certificate& module,
                            const package::DataPackage& data, const Expected& expected)
{
    const auto granted = pki::device_identity(identity);
    if (!granted)
        return Refusal{Reason::identity_key_invalid, "the identity certificate names no device identity"};
    if (expected.identity && pki::device_identity(*expected.identity) != granted)
        return Refusal{Reason::identity_taken, "the station grants another device identity than this device has"};
    if (expected.requested && expected.requested != granted)
        return Refusal{Reason::identity_taken, "the station grants another device identity than was asked for"};
    if (pki::device_identity(module) != granted)
        return Refusal{Reason::module_key_invalid, "the module certificate names another device identity"};
    if (data.identity_kind() != granted->kind || data.identity_value() != granted->value)
        return Refusal{Reason::package_invalid, "the data package is for another device identity"};
    return accepted();
}

// The module certificate's issuer has to be the very certificate that the station showed in its challenge.
Verdict check_issuer(const pki::Certificates& chain, const Station& station)
{
    if (chain.size() < 2 || chain[1] != station.signing)
        return Refusal{Reason::untrusted_certificate, "the module certificate was issued by another station"};
    return accepted();
}

} // namespace

Result<Station> check_challenge(const protocol::Challenge& challenge, const pki::Trust& trust,
                                const std::string& tls_name, pki::Time now)
{
    if (challenge.nonce().size() != random_size || challenge.variation().size() != random_size)
        return Refusal{Reason::malformed_message, "the challenge has no nonce or variation value of 32 bytes"};
    const auto certificates = read_certificates(challenge.certificates());
    if (!certificates)
        return certificates.refusal();
    if (certificates->empty())
        return Refusal{Reason::untrusted_certificate, "the station shows no signing certificate"};
    const auto chain = pki::verify(certificates->front(), *certificates, trust, pki::Role::station_signing, now);
    if (!chain)
        return chain.refusal();
    if (chain->front().common_name() != tls_name)
        return Refusal{Reason::key_mismatch,
                       "the signing certificate is that of \"" + chain->front().common_name() +
                           "\", the connection that of \"" + tls_name + "\""};
    const auto issuers = between(*chain);
    return Station{chain->front(), {issuers.begin(), issuers.end()}};
}

Result<Granted> check_grant(const protocol::Grant& grant, const Expected& expected, const pki::Trust& trust,
                            pki::Time now)
{
    auto untrusted = read_certificates(grant.certificates());
    if (!untrusted)
        return untrusted.refusal();
    add_missing(*untrusted, std::span(&expected.station.signing, 1));
    add_missing(*untrusted, expected.station.issuers);

    const auto module = pki::Certificate::from_der(as_bytes(grant.module_certificate()));
    if (!module)
        return module.refusal();
    const auto module_chain =
        recovery::check_module_certificate(*module, *untrusted, trust, expected.module_key, expected.binding, now);
    if (!module_chain)
        return module_chain.refusal();
    if (const auto verdict = check_issuer(*module_chain, expected.station); !verdict)
        return verdict.refusal();

    const auto identity = pki::Certificate::from_der(as_bytes(grant.identity_certificate()));
    if (!identity)
        return identity.refusal();
    const auto identity_chain = recovery::check_identity_certificate(
        *identity, *untrusted, trust, expected.identity_key, expected.binding.chip_identifier, now);
    if (!identity_chain)
        return identity_chain.refusal();

    auto data = package::parse_data_package(as_bytes(grant.data_package()), expected.binding.chip_identifier,
                                            expected.binding.epoch);
    if (!data)
        return data.refusal();
    if (const auto verdict = check_same_identity(*identity, *module, *data, expected); !verdict)
        return verdict.refusal();
    if (const auto verdict =
            check_central_set(as_bytes(grant.central_set()), expected.station.signing, trust, expected.central, now);
        !verdict)
        return verdict.refusal();

    Granted granted{*module, *identity, {}, {}, *std::move(data)};
    add_missing(granted.identity_issuers, between(*identity_chain));
    add_missing(granted.issuers, between(*module_chain));
    add_missing(granted.issuers, granted.identity_issuers);
    return granted;
}

} // namespace imprint::device
