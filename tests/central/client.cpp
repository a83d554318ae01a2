// SPDX-License-Identifier: Apache-2.0
#include "tests/central/client.h"

#include "daemon/tls/stream.h"
#include "provisioning/protocol/framing.h"

#include <openssl/err.h>

#include <array>
#include <fcntl.h>
#include <stdexcept>
#include <sys/socket.h>

namespace imprint::test {

namespace {

constexpr std::array<unsigned char, 2> sha256_suite{0x13, 0x01};
constexpr std::array<unsigned char, 2> sha384_suite{0x13, 0x02};

[[noreturn]] void fail(const std::string& what)
{
    const auto error = ERR_peek_last_error();
    std::array<char, 256> text{};
    ERR_error_string_n(error, text.data(), text.size());
    ERR_clear_error();
    throw std::runtime_error(what + ": " + text.data());
}

void require(bool ok, const char* what)
{
    if (!ok)
        fail(what);
}

int use_psk(SSL* ssl, const EVP_MD* md, const unsigned char** id, std::size_t* size, SSL_SESSION** session)
{
    const auto& psk = static_cast<const ClientSettings*>(SSL_get_app_data(ssl))->psks.front();
    const bool sha384 = std::string_view(psk.suite) == "TLS_AES_256_GCM_SHA384";
    *session = nullptr;
    if (md != nullptr && EVP_MD_is_a(md, sha384 ? "SHA384" : "SHA256") == 0)
        return 1;
    SSL_SESSION* made = SSL_SESSION_new();
    SSL_SESSION_set1_master_key(made, psk.key.data(), psk.key.size());
    SSL_SESSION_set_cipher(made, SSL_CIPHER_find(ssl, sha384 ? sha384_suite.data() : sha256_suite.data()));
    SSL_SESSION_set_protocol_version(made, TLS1_3_VERSION);
    if (static_cast<const ClientSettings*>(SSL_get_app_data(ssl))->early_data)
        SSL_SESSION_set_max_early_data(made, 1024);
    *id = psk.identity.data();
    *size = psk.identity.size();
    *session = made;
    return 1;
}

Bytes alpn_list(const std::vector<std::string>& names)
{
    Bytes list;
    for (const auto& name : names) {
        list.push_back(static_cast<std::uint8_t>(name.size()));
        list.insert(list.end(), name.begin(), name.end());
    }
    return list;
}

Owned<SSL_CTX, SSL_CTX_free> make_context(const ClientSettings& settings)
{
    Owned<SSL_CTX, SSL_CTX_free> context(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_max_proto_version(context.get(), settings.max_version);
    if (settings.suites != nullptr)
        require(SSL_CTX_set_ciphersuites(context.get(), settings.suites) == 1, "cipher suites");
    if (settings.identity != nullptr) {
        require(SSL_CTX_use_certificate(context.get(), settings.identity->certificate.x509()) == 1, "certificate");
        require(SSL_CTX_use_PrivateKey(context.get(), settings.identity->key.get()) == 1, "key");
        for (const auto& issuer : settings.issuers)
            require(SSL_CTX_add1_chain_cert(context.get(), issuer.x509()) == 1, "chain");
    }
    if (!settings.psks.empty())
        SSL_CTX_set_psk_use_session_callback(context.get(), use_psk);
    const Bytes list = alpn_list(settings.alpn);
    if (!list.empty())
        SSL_CTX_set_alpn_protos(context.get(), list.data(), static_cast<unsigned>(list.size()));
    return context;
}

} // namespace

Fd connect_to(const std::string& address)
{
    const tls::Cancel never;
    Fd fd = tls::connect(address, 0, std::chrono::steady_clock::now() + std::chrono::seconds(20), never);
    fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) & ~O_NONBLOCK);
    const timeval limit{20, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return fd;
}

DeviceClient::DeviceClient(const std::string& address, ClientSettings settings)
    : settings_(std::move(settings))
    , fd_(connect_to(address))
    , context_(make_context(settings_))
    , ssl_(SSL_new(context_.get()))
{
    SSL_set_app_data(ssl_.get(), &settings_);
    SSL_set_fd(ssl_.get(), fd_.get());
    SSL_set_connect_state(ssl_.get());
}

DeviceClient::~DeviceClient() = default;

std::string DeviceClient::handshake()
{
    ERR_clear_error();
    if (SSL_do_handshake(ssl_.get()) != 1) {
        std::array<char, 256> text{};
        ERR_error_string_n(ERR_peek_last_error(), text.data(), text.size());
        ERR_clear_error();
        return text.data();
    }
    return {};
}

std::string DeviceClient::alpn() const
{
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return to_string({name, size});
}

Bytes DeviceClient::channel_binding() const
{
    constexpr std::string_view label = "EXPORTER-Channel-Binding";
    Bytes binding(32);
    require(SSL_export_keying_material(ssl_.get(), binding.data(), binding.size(), label.data(), label.size(), nullptr,
                                       0, 0) == 1,
            "exporter");
    return binding;
}

void DeviceClient::write(BytesView bytes)
{
    ERR_clear_error();
    while (!bytes.empty()) {
        const int size = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
        require(size > 0, "write");
        bytes = bytes.subspan(static_cast<std::size_t>(size));
    }
}

Bytes DeviceClient::read_some()
{
    ERR_clear_error();
    Bytes buffer(16384);
    const int size = SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()));
    if (size > 0) {
        buffer.resize(static_cast<std::size_t>(size));
        return buffer;
    }
    require(SSL_get_error(ssl_.get(), size) == SSL_ERROR_ZERO_RETURN, "read");
    return {};
}

Bytes DeviceClient::read(std::size_t size)
{
    Bytes out;
    while (out.size() < size) {
        Bytes rest(size - out.size());
        ERR_clear_error();
        const int got = SSL_read(ssl_.get(), rest.data(), static_cast<int>(rest.size()));
        require(got > 0, "read");
        out.insert(out.end(), rest.begin(), rest.begin() + got);
    }
    return out;
}

std::string DeviceClient::read_all()
{
    std::string all;
    for (Bytes some = read_some(); !some.empty(); some = read_some())
        all += to_string(some);
    return all;
}

void DeviceClient::close_half() { SSL_shutdown(ssl_.get()); }

void DeviceClient::send(BytesView message) { write(protocol::frame(message)); }

Bytes DeviceClient::receive()
{
    const Bytes header = read(4);
    return read(protocol::announced_length({header[0], header[1], header[2], header[3]}).or_throw());
}

} // namespace imprint::test
