// SPDX-License-Identifier: Apache-2.0
#include "provisioning/device/operating.h"

#include <openssl/x509v3.h>

namespace imprint::device {

namespace {

pki::Certificate certificate(const std::string& der)
{
    auto read = pki::Certificate::from_der(as_bytes(der));
    if (!read)
        throw Error(Reason::storage_failed, "a certificate in the files cannot be read: " + read.refusal().detail);
    return *std::move(read);
}

// A resource manager whose machine has slept may have lost the keys that stay loaded, and with them the connection:
// then the TPM is opened anew, once.
Bytes sign(tpm::Worker& worker, const lifecycle::ModuleKey& key, std::uint64_t epoch, BytesView message)
{
    const auto work = [&](tpm::SecurityModule& module) {
        return module.sign_with_module_key(as_bytes(key.object()), as_bytes(key.sensitive()), epoch, message);
    };
    try {
        return worker.call(work);
    } catch (const Error& error) {
        if (error.reason() != Reason::tpm_unavailable)
            throw;
    }
    return worker.call(work);
}

} // namespace

pki::Certificates module_chain(const lifecycle::Personalization& file)
{
    pki::Certificates chain{certificate(file.module_key().certificate())};
    pki::Certificates others;
    for (const auto& der : file.certificates())
        others.push_back(certificate(der));
    const auto issued_the_last = [&](const pki::Certificate& issuer) {
        return X509_check_issued(issuer.x509(), chain.back().x509()) == X509_V_OK;
    };
    for (auto next = others.begin(); (next = std::ranges::find_if(others, issued_the_last)) != others.end();
         others.erase(next))
        chain.push_back(*next);
    return chain;
}

Operating operating(const lifecycle::Personalization& file, pki::Trust trust, const tls::Provider& provider,
                    tpm::Worker& worker)
{
    Operating out{file.sequence(), std::move(trust), {}, {}, nullptr, nullptr};
    auto chain = module_chain(file);
    auto key = provider.key(chain.front().spki(),
                            [&worker, key = file.module_key(), epoch = file.sequence()](BytesView message) {
                                return sign(worker, key, epoch, message);
                            });
    out.context = tls::shared_context(tls::ClientIdentity{std::move(chain), std::move(key)});
    return out;
}

} // namespace imprint::device
