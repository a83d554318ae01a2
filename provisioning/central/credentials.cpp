// SPDX-License-Identifier: Apache-2.0
#include "provisioning/central/credentials.h"

#include "daemon/base/file.h"

namespace imprint::central {

namespace {

constexpr std::size_t max_pem = 1024 * 1024;

Bytes read_pem(const std::filesystem::path& path)
{
    auto pem = read_file(path, max_pem);
    if (!pem)
        throw Error(Reason::not_configured, path.string() + " is missing; imprint-authority central makes it");
    return *std::move(pem);
}

} // namespace

Credentials load_credentials(const std::filesystem::path& directory, const std::string& key_uri,
                             const std::optional<Secret>& passphrase, pki::Time now)
{
    const auto certificate = directory / "tls.pem";
    const std::string uri = key_uri.empty() ? (directory / "tls.key").string() : key_uri;
    Credentials credentials{.tls = pki::certificates_from_pem(read_pem(certificate)),
                            .key = pki::load_key(uri, passphrase),
                            .bundle = pki::trust_from_pem(read_pem(directory / "trust.pem"))};
    if (credentials.tls.empty())
        throw Error(Reason::not_configured, certificate.string() + " holds no certificate");
    const auto& own = credentials.tls.front();
    const auto verified = pki::verify(own, credentials.tls, credentials.bundle, pki::Role::central, now);
    if (!verified)
        throw Error(verified.refusal().reason, certificate.string() + ": " + verified.refusal().detail);
    if (pki::spki(credentials.key.get()) != own.spki())
        throw Error(Reason::not_configured, uri + " is not the key of " + certificate.string());
    return credentials;
}

} // namespace imprint::central
