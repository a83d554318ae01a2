// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/station.h"

#include "daemon/base/file.h"

#include <algorithm>

namespace imprint::station {

namespace {

constexpr std::size_t max_pem = 1024 * 1024;

Bytes read_pem(const std::filesystem::path& path)
{
    auto pem = read_file(path, max_pem);
    if (!pem)
        throw Error(Reason::not_configured, path.string() + " is missing; imprint-authority makes it");
    return *std::move(pem);
}

pki::Certificates read_chain(const std::filesystem::path& path)
{
    auto chain = pki::certificates_from_pem(read_pem(path));
    if (chain.empty())
        throw Error(Reason::not_configured, path.string() + " holds no certificate");
    return chain;
}

void check_role(const std::filesystem::path& path, const pki::Certificates& chain, const pki::Trust& trust,
                pki::Role role, pki::Time now)
{
    const auto verified = pki::verify(chain.front(), chain, trust, role, now);
    if (!verified)
        throw Error(verified.refusal().reason, path.string() + ": " + verified.refusal().detail);
}

pki::Key read_key(const std::filesystem::path& path, const pki::Certificate& certificate,
                  const std::optional<Secret>& passphrase)
{
    auto key = pki::load_key(path.string(), passphrase);
    if (pki::spki(key.get()) != certificate.spki())
        throw Error(Reason::not_configured, path.string() + " is not the key of the certificate beside it");
    return key;
}

struct Pair {
    pki::Certificates chain;
    pki::Key key;
};

Pair load_pair(const std::filesystem::path& stem, const std::optional<Secret>& passphrase, const pki::Trust& trust,
               pki::Role role, pki::Time now)
{
    const std::filesystem::path pem = stem.string() + ".pem";
    auto chain = read_chain(pem);
    check_role(pem, chain, trust, role, now);
    auto key = read_key(stem.string() + ".key", chain.front(), passphrase);
    return {std::move(chain), std::move(key)};
}

} // namespace

Credentials load_credentials(const std::filesystem::path& directory, const std::optional<Secret>& passphrase,
                             pki::Time now)
{
    auto trust = std::make_shared<const pki::Trust>(pki::trust_from_pem(read_pem(directory / "trust.pem")));
    Pair signing = load_pair(directory / "signing", passphrase, *trust, pki::Role::station_signing, now);
    Pair identity = load_pair(directory / "identity-ca", passphrase, *trust, pki::Role::identity_ca, now);
    Pair tls = load_pair(directory / "tls", passphrase, *trust, pki::Role::station_tls, now);
    return {std::move(signing.chain), std::move(signing.key), std::move(identity.chain), std::move(identity.key),
            std::move(tls.chain),     std::move(tls.key),     std::move(trust)};
}

pki::Certificates load_vendor_cas(const std::filesystem::path& path)
{
    if (!std::filesystem::is_directory(path))
        return pki::certificates_from_pem(read_pem(path));
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(path))
        if (entry.path().extension() == ".pem" || entry.path().extension() == ".crt")
            files.push_back(entry.path());
    std::ranges::sort(files);
    pki::Certificates all;
    for (const auto& file : files)
        for (const auto& certificate : pki::certificates_from_pem(read_pem(file)))
            all.push_back(certificate);
    return all;
}

} // namespace imprint::station
