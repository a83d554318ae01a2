// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/station.h"

#include "provisioning/server/pem.h"
#include "provisioning/server/service_key.h"

#include <algorithm>

namespace imprint::station {

namespace {

using server::read_chain;
using server::read_pem;

void check_role(const std::filesystem::path& path, const pki::Certificates& chain, const pki::Trust& trust,
                pki::Role role, pki::Time now)
{
    const auto verified = pki::verify(chain.front(), chain, trust, role, now);
    if (!verified)
        throw Error(verified.refusal().reason, path.string() + ": " + verified.refusal().detail);
}

struct Pair {
    pki::Certificates chain;
    pki::Key key;
};

Pair load_pair(const CredentialSources& sources, const std::string& name, const std::string& uri,
               const pki::Trust& trust, pki::Role role, pki::Time now)
{
    const std::filesystem::path pem = sources.directory / (name + ".pem");
    auto chain = read_chain(pem,
                            role == pki::Role::identity_ca ? "imprint-authority station --delegate-identity-ca"
                                                           : "imprint-authority station");
    check_role(pem, chain, trust, role, now);
    const std::filesystem::path file = sources.directory / (name + ".key");
    auto key = server::load_service_key("imprint-station", file, uri, sources.passphrase);
    if (pki::spki(key.get()) != chain.front().spki())
        throw Error(Reason::not_configured, (uri.empty() ? file.string() : uri) + " is not the key of " + pem.string());
    return {std::move(chain), std::move(key)};
}

} // namespace

std::shared_ptr<const pki::Trust> load_trust(const CredentialSources& sources)
{
    return std::make_shared<const pki::Trust>(
        pki::trust_from_pem(read_pem(sources.directory / "trust.pem", "imprint-authority station")));
}

void check_credentials(const Credentials& credentials, const pki::Trust& trust, pki::Time now)
{
    check_role("signing.pem", credentials.signing, trust, pki::Role::station_signing, now);
    check_role("identity-ca.pem", credentials.identity_ca, trust, pki::Role::identity_ca, now);
    check_role("tls.pem", credentials.tls, trust, pki::Role::station_tls, now);
}

Credentials load_credentials(const CredentialSources& sources, pki::Time now)
{
    const auto trust = load_trust(sources);
    const auto load = [&](const std::string& name, const std::string& uri, pki::Role role) {
        return load_pair(sources, name, uri, *trust, role, now);
    };
    Pair signing = load("signing", sources.signing_key, pki::Role::station_signing);
    Pair identity = load("identity-ca", sources.identity_ca_key, pki::Role::identity_ca);
    Pair tls = load("tls", sources.tls_key, pki::Role::station_tls);
    if (signing.chain.front().common_name() != tls.chain.front().common_name()) // devices would refuse us
        throw Error(Reason::not_configured, "signing.pem and tls.pem name different stations");
    return {std::move(signing.chain),
            std::move(signing.key),
            std::move(identity.chain),
            std::move(identity.key),
            std::move(tls.chain),
            std::move(tls.key),
            trust};
}

Credentials load_tls_credentials(const CredentialSources& sources, pki::Time now)
{
    Credentials credentials;
    credentials.trust = load_trust(sources);
    Pair tls = load_pair(sources, "tls", sources.tls_key, *credentials.trust, pki::Role::station_tls, now);
    credentials.tls = std::move(tls.chain);
    credentials.tls_key = std::move(tls.key);
    return credentials;
}

Credentials load_unit_credentials(const CredentialSources& sources, pki::Time now)
{
    Credentials credentials = load_tls_credentials(sources, now);
    Pair signing =
        load_pair(sources, "signing", sources.signing_key, *credentials.trust, pki::Role::station_signing, now);
    credentials.signing = std::move(signing.chain);
    credentials.signing_key = std::move(signing.key);
    return credentials;
}

pki::Trust load_vendors(const std::filesystem::path& path)
{
    std::vector<std::filesystem::path> files{path};
    if (std::filesystem::is_directory(path)) {
        files.clear();
        for (const auto& entry : std::filesystem::directory_iterator(path))
            for (const auto* kind : {".pem", ".crt", ".crl"})
                if (entry.path().extension() == kind)
                    files.push_back(entry.path());
        std::ranges::sort(files);
    }
    pki::Trust vendors;
    for (const auto& file : files) {
        const Bytes pem = read_pem(file);
        for (const auto& certificate : pki::certificates_from_pem(pem))
            vendors.anchors.push_back(certificate);
        for (const auto& crl : pki::crls_from_pem(pem))
            vendors.crls.push_back(crl);
    }
    if (vendors.anchors.empty())
        throw Error(Reason::not_configured, path.string() + " holds no certificate in PEM (.pem or .crt)");
    return vendors;
}

} // namespace imprint::station
