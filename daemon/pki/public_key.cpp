// SPDX-License-Identifier: Apache-2.0
#include "daemon/pki/public_key.h"

#include "daemon/base/error.h"
#include "daemon/base/file.h"
#include "daemon/pki/handles.h"
#include "daemon/pki/key.h"

#include <openssl/err.h>
#include <openssl/pem.h>

namespace imprint::pki {

namespace {

constexpr std::size_t max_file = 64 * 1024;

using Request = Owned<X509_REQ, X509_REQ_free>;

} // namespace

Bytes read_public_key(const std::filesystem::path& file)
{
    const auto pem = read_file(file, max_file);
    if (!pem)
        throw Error(Reason::invalid_argument, file.string() + " does not exist");
    if (const Key key(PEM_read_bio_PUBKEY(reader(*pem).get(), nullptr, nullptr, nullptr)); key)
        return spki(key.get());
    const Request request(PEM_read_bio_X509_REQ(reader(*pem).get(), nullptr, nullptr, nullptr));
    ERR_clear_error();
    if (!request)
        throw Error(Reason::invalid_argument, file.string() + " has neither a public key nor a certificate request");
    EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
    if (key == nullptr || X509_REQ_verify(request.get(), key) != 1) {
        ERR_clear_error();
        throw Error(Reason::invalid_argument,
                    "the certificate request in " + file.string() + " is not signed by its key");
    }
    return spki(key);
}

Bytes public_key_pem(BytesView spki)
{
    const std::uint8_t* data = spki.data();
    const Key key(d2i_PUBKEY(nullptr, &data, static_cast<long>(spki.size())));
    const Owned<BIO, BIO_free_all> memory(BIO_new(BIO_s_mem()));
    if (!key || !memory || PEM_write_bio_PUBKEY(memory.get(), key.get()) != 1)
        throw openssl_error(Reason::invalid_argument, "cannot write a public key");
    char* text = nullptr;
    const long size = BIO_get_mem_data(memory.get(), &text);
    return {text, text + size};
}

} // namespace imprint::pki
