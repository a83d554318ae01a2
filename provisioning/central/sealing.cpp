// SPDX-License-Identifier: Apache-2.0
#include "provisioning/central/sealing.h"

#include "daemon/base/owned.h"

#include <openssl/err.h>
#include <openssl/evp.h>

namespace imprint::central {

namespace {

constexpr std::size_t nonce_size = 12;
constexpr std::size_t tag_size = 16;

using Context = Owned<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free>;

void require(bool ok)
{
    if (!ok)
        throw openssl_error(Reason::internal, "cannot encrypt");
}

Context prepare(const Secret& key, BytesView nonce, BytesView associated, bool encrypt)
{
    Context context(EVP_CIPHER_CTX_new());
    int size = 0;
    require(context &&
            EVP_CipherInit_ex2(context.get(), EVP_aes_256_gcm(), key.data(), nonce.data(), encrypt ? 1 : 0, nullptr) ==
                1);
    require(EVP_CipherUpdate(context.get(), nullptr, &size, associated.data(), static_cast<int>(associated.size())) ==
            1);
    return context;
}

void update(EVP_CIPHER_CTX* context, std::uint8_t* out, BytesView in)
{
    int size = 0;
    require(EVP_CipherUpdate(context, out, &size, in.data(), static_cast<int>(in.size())) == 1);
}

} // namespace

Sealer::Sealer(Secret storage_key)
    : storage_key_(std::move(storage_key))
{
}

Bytes Sealer::seal(const Secret& content, BytesView associated) const
{
    Bytes sealed = random_bytes(nonce_size);
    sealed.resize(nonce_size + content.size() + tag_size);
    const auto context = prepare(storage_key_, BytesView(sealed).first(nonce_size), associated, true);
    std::uint8_t* out = sealed.data() + nonce_size;
    update(context.get(), out, content.view());
    int size = 0;
    require(EVP_CipherFinal_ex(context.get(), out + content.size(), &size) == 1);
    require(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, tag_size, out + content.size()) == 1);
    return sealed;
}

Result<Secret> Sealer::open(BytesView sealed, BytesView associated) const
{
    const Refusal changed{Reason::transaction_key_invalid, "the stored key was changed, or belongs to another store"};
    if (sealed.size() < nonce_size + tag_size)
        return changed;
    const auto context = prepare(storage_key_, sealed.first(nonce_size), associated, false);
    const auto ciphertext = sealed.subspan(nonce_size, sealed.size() - nonce_size - tag_size);
    Bytes tag(sealed.end() - tag_size, sealed.end());
    Secret content(ciphertext.size());
    update(context.get(), content.data(), ciphertext);
    require(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, tag_size, tag.data()) == 1);
    int size = 0;
    if (EVP_CipherFinal_ex(context.get(), tag.data(), &size) == 1)
        return content;
    ERR_clear_error();
    return changed;
}

} // namespace imprint::central
