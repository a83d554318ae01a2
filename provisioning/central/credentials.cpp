// SPDX-License-Identifier: Apache-2.0
#include "provisioning/central/credentials.h"

#include "provisioning/server/pem.h"
#include "provisioning/server/service_key.h"

namespace imprint::central {

namespace {

constexpr auto maker = "imprint-authority central";

}

pki::Trust load_bundle(const std::filesystem::path& directory, const pki::Certificates& tls, pki::Time now)
{
    pki::Trust bundle = pki::trust_from_pem(server::read_pem(directory / "trust.pem", maker));
    const auto verified = pki::verify(tls.front(), tls, bundle, pki::Role::central, now);
    if (!verified)
        throw Error(verified.refusal().reason, (directory / "tls.pem").string() + ": " + verified.refusal().detail);
    return bundle;
}

Credentials load_credentials(const std::filesystem::path& directory, const std::string& key_uri,
                             const std::optional<Secret>& passphrase, pki::Time now)
{
    const auto certificate = directory / "tls.pem";
    const auto file = directory / "tls.key";
    Credentials credentials{.tls = server::read_chain(certificate, maker),
                            .key = server::load_service_key("imprint-central", file, key_uri, passphrase),
                            .bundle = {}};
    credentials.bundle = load_bundle(directory, credentials.tls, now);
    if (pki::spki(credentials.key.get()) != credentials.tls.front().spki())
        throw Error(Reason::not_configured,
                    (key_uri.empty() ? file.string() : key_uri) + " is not the key of " + certificate.string());
    return credentials;
}

} // namespace imprint::central
