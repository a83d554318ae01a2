// SPDX-License-Identifier: Apache-2.0
#include "provisioning/authority/output.h"

#include "provisioning/server/output.h"

#include <openssl/evp.h>

#include <nlohmann/json.hpp>

#include <iostream>

namespace imprint::authority {

namespace {

using Json = nlohmann::ordered_json;
using server::utc;

std::string fingerprint(const pki::Certificate& certificate)
{
    Bytes digest(32);
    unsigned size = 0;
    if (X509_digest(certificate.x509(), EVP_sha256(), digest.data(), &size) != 1)
        throw openssl_error(Reason::internal, "cannot hash a certificate");
    return hex(digest);
}

Json document(const Issued& issued)
{
    const auto& certificate = issued.certificate;
    return {{"role", pki::role_name(issued.role)},
            {"name", certificate.common_name()},
            {"serial", certificate.serial()},
            {"not_before", utc(certificate.not_before())},
            {"not_after", utc(certificate.not_after())},
            {"sha256", fingerprint(certificate)},
            {"file", issued.file.string()}};
}

} // namespace

void print(const std::vector<Issued>& issued, bool json)
{
    Json all = Json::array();
    for (const auto& one : issued)
        all.push_back(document(one));
    if (json) {
        std::cout << Json{{"certificates", all}}.dump(2) << std::endl;
        return;
    }
    for (const auto& one : all) {
        const auto text = [&](const char* key) { return one[key].get<std::string>(); };
        std::cout << text("role") << ": " << text("name") << "\n  from " << text("not_before") << " to "
                  << text("not_after") << "\n  serial " << text("serial") << "\n  " << text("file") << "\n";
    }
    std::cout.flush();
}

void print_revoked(const std::vector<pki::Certificate>& revoked, bool json)
{
    Json all = Json::array();
    for (const auto& certificate : revoked)
        all.push_back({{"name", certificate.common_name()},
                       {"serial", certificate.serial()},
                       {"sha256", fingerprint(certificate)}});
    if (json) {
        std::cout << Json{{"revoked", all}}.dump(2) << std::endl;
        return;
    }
    for (const auto& one : all)
        std::cout << "revoked: " << one["name"].get<std::string>() << "\n  serial " << one["serial"].get<std::string>()
                  << "\n";
    std::cout << (all.empty() ? "all of them were revoked before\n"
                              : "write the new bundle with trust-bundle, and bring it to all who trust\n")
              << std::flush;
}

} // namespace imprint::authority
