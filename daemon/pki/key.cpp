// SPDX-License-Identifier: Apache-2.0
#include "daemon/pki/key.h"

#include "daemon/base/file.h"
#include "daemon/pki/handles.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/store.h>
#include <openssl/ui.h>

#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <unistd.h>

namespace imprint::pki {

namespace {

constexpr std::size_t max_passphrase = 1024; // OpenSSL's own limit for PEM

using Pkcs8 = Owned<PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free>;
using UiMethod = Owned<UI_METHOD, UI_destroy_method>;
using Store = Owned<OSSL_STORE_CTX, OSSL_STORE_close>;
using StoreInfo = Owned<OSSL_STORE_INFO, OSSL_STORE_INFO_free>;

// Answers OpenSSL's question for a passphrase; without one it must fail rather than ask on the terminal.
int answer_passphrase(char* buffer, int size, int, void* passphrase)
{
    const auto* secret = static_cast<const Secret*>(passphrase);
    if (secret == nullptr || secret->size() > static_cast<std::size_t>(size))
        return -1;
    std::ranges::copy(secret->view(), buffer);
    return static_cast<int>(secret->size());
}

Error no_key(const std::string& uri, bool with_passphrase)
{
    if (uri.find(':') == std::string::npos && !std::filesystem::exists(uri))
        return {Reason::not_configured, uri + " does not exist"};
    const char* hint =
        with_passphrase ? "is it there, and is the passphrase right" : "is it there, and does it need a passphrase";
    return openssl_error(Reason::not_configured, "no private key could be read from " + uri + " (" + hint + "?)");
}

UiMethod answering_ui()
{
    UiMethod ui(UI_UTIL_wrap_read_pem_callback(answer_passphrase, 0));
    require(ui != nullptr, "cannot prepare the passphrase");
    return ui;
}

void* pointer(const std::optional<Secret>& passphrase)
{
    return passphrase ? const_cast<Secret*>(&*passphrase) : nullptr;
}

Key first_key(const Store& store, const std::string& source, bool with_passphrase)
{
    if (!store || OSSL_STORE_expect(store.get(), OSSL_STORE_INFO_PKEY) != 1)
        throw no_key(source, with_passphrase);
    while (OSSL_STORE_eof(store.get()) == 0 && OSSL_STORE_error(store.get()) == 0) {
        const StoreInfo info(OSSL_STORE_load(store.get()));
        if (info && OSSL_STORE_INFO_get_type(info.get()) == OSSL_STORE_INFO_PKEY) {
            ERR_clear_error();
            return Key(OSSL_STORE_INFO_get1_PKEY(info.get()));
        }
    }
    throw no_key(source, with_passphrase);
}

Owned<X509_SIG, X509_SIG_free> encrypted(PKCS8_PRIV_KEY_INFO* plain, const Secret& passphrase)
{
    // The parameters of `openssl pkcs8 -scrypt`: more needs memory that OpenSSL does not allow by default.
    X509_ALGOR* scheme = PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), nullptr, 0, nullptr, 1 << 14, 8, 1);
    require(scheme != nullptr, "cannot prepare the encryption of a key");
    Owned<X509_SIG, X509_SIG_free> out(PKCS8_set0_pbe(reinterpret_cast<const char*>(passphrase.data()),
                                                      static_cast<int>(passphrase.size()), plain, scheme));
    if (!out)
        X509_ALGOR_free(scheme);
    require(out != nullptr, "cannot encrypt a key");
    return out;
}

Secret read_line(int fd)
{
    Secret line;
    std::uint8_t byte = 0;
    for (;;) {
        const ssize_t n = read(fd, &byte, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            throw_errno("cannot read the passphrase from descriptor " + std::to_string(fd));
        if (n == 0 || byte == '\n')
            break;
        if (line.size() == max_passphrase)
            throw Error(Reason::invalid_argument, "the passphrase is longer than 1024 bytes");
        line.resize(line.size() + 1);
        line.data()[line.size() - 1] = byte;
    }
    cleanse({&byte, 1});
    return line;
}

Secret read_credential(const std::string& name)
{
    auto secret = read_secret_file(credential_path(name), max_passphrase + 1);
    if (!secret)
        throw Error(Reason::not_configured, "there is no credential " + name);
    if (!secret->empty() && secret->data()[secret->size() - 1] == '\n')
        secret->resize(secret->size() - 1);
    return std::move(*secret);
}

Secret read_source(const std::string& source)
{
    if (source.starts_with("credential:"))
        return read_credential(source.substr(11));
    int fd = -1;
    const char* end = source.data() + source.size();
    if (!source.starts_with("fd:") || std::from_chars(source.data() + 3, end, fd).ptr != end || fd < 0)
        throw Error(Reason::invalid_argument, "a passphrase comes from fd:N or credential:NAME only");
    return read_line(fd);
}

} // namespace

Key generate_key(const std::string& curve)
{
    if (curve != "P-256" && curve != "P-384")
        throw Error(Reason::invalid_argument, "no such curve: " + curve);
    Key key(EVP_EC_gen(curve.c_str()));
    require(key != nullptr, "cannot make a key");
    return key;
}

Bytes spki(EVP_PKEY* key) { return encode<i2d_PUBKEY>(key); }

Key load_key(const std::string& uri, const std::optional<Secret>& passphrase)
{
    ERR_clear_error();
    const auto ui = answering_ui();
    return first_key(Store(OSSL_STORE_open_ex(uri.c_str(), nullptr, nullptr, ui.get(), pointer(passphrase), nullptr,
                                              nullptr, nullptr)),
                     uri, passphrase.has_value());
}

Key decode_key(const Secret& encoded, const std::string& source, const std::optional<Secret>& passphrase)
{
    ERR_clear_error();
    const auto ui = answering_ui();
    const Owned<BIO, BIO_free> bio(BIO_new_mem_buf(encoded.data(), static_cast<int>(encoded.size())));
    require(bio != nullptr, "cannot prepare a key");
    return first_key(Store(OSSL_STORE_attach(bio.get(), "file", nullptr, nullptr, ui.get(), pointer(passphrase),
                                             nullptr, nullptr, nullptr)),
                     source, passphrase.has_value());
}

void store_key(const std::filesystem::path& path, EVP_PKEY* key, const std::optional<Secret>& passphrase)
{
    const Pkcs8 plain(EVP_PKEY2PKCS8(key));
    require(plain != nullptr, "cannot encode a key");
    const auto pem = writer();
    const int ok = passphrase ? PEM_write_bio_PKCS8(pem.get(), encrypted(plain.get(), *passphrase).get())
                              : PEM_write_bio_PKCS8_PRIV_KEY_INFO(pem.get(), plain.get());
    require(ok == 1, "cannot encode a key");
    // The name is taken first, so that two who make the same key cannot replace one another's.
    if (!Fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)))
        throw_errno("cannot create " + path.string());
    try {
        write_file(path, written(pem.get()), 0600);
    } catch (const Error&) {
        unlink(path.c_str()); // the name alone would bar the next try
        throw;
    }
}

std::optional<Secret> read_passphrase(const std::string& source)
{
    if (source.empty())
        return std::nullopt;
    auto secret = read_source(source);
    if (secret.empty())
        throw Error(Reason::invalid_argument, "the passphrase is empty");
    return secret;
}

} // namespace imprint::pki
