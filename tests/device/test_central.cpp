// SPDX-License-Identifier: Apache-2.0
#include "tests/device/test_central.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/wrap.h"
#include "provisioning/protocol/central_set.h"
#include "provisioning/protocol/framing.h"
#include "provisioning/protocol/transaction_key.h"

#include <openssl/err.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <csignal>
#include <cstring>

namespace imprint::test {

namespace {

using Context = Owned<SSL_CTX, SSL_CTX_free>;
using Ssl = Owned<SSL, SSL_free>;

std::int64_t seconds_from_now(std::chrono::seconds time)
{
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch() + time)
        .count();
}

Fd listen_at(const std::filesystem::path& path)
{
    Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || listen(fd.get(), 256) != 0)
        throw_errno("cannot listen at " + path.string());
    return fd;
}

Context make_context(const TestPki& pki, const Certified& own)
{
    Context context(SSL_CTX_new(TLS_server_method()));
    const unsigned char any = 0; // OpenSSL wants one where it asks for certificates
    SSL_CTX_use_certificate(context.get(), own.certificate.x509());
    SSL_CTX_use_PrivateKey(context.get(), own.key.get());
    SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
    SSL_CTX_set_session_id_context(context.get(), &any, 1);
    SSL_CTX_set_num_tickets(context.get(), 0);
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), pki.root.certificate.x509());
    return context;
}

Bytes read_exactly(SSL* ssl, std::size_t size)
{
    Bytes bytes(size);
    for (std::size_t got = 0, n = 0; got < size; got += n)
        if (SSL_read_ex(ssl, bytes.data() + got, size - got, &n) != 1)
            return {};
    return bytes;
}

std::optional<protocol::KeyMessage> receive(SSL* ssl)
{
    const Bytes header = read_exactly(ssl, 4);
    protocol::KeyMessage message;
    if (header.empty())
        return std::nullopt;
    const Bytes body = read_exactly(ssl, *protocol::announced_length({header[0], header[1], header[2], header[3]}));
    message.ParseFromString(to_string(body));
    return message;
}

void send(SSL* ssl, protocol::KeyMessage message, const TestCentral::Habits& habits)
{
    if (habits.alter)
        habits.alter(message);
    Bytes bytes = protocol::serialize(message);
    if (habits.replace)
        bytes = habits.replace(std::move(bytes));
    const Bytes framed = protocol::frame(bytes);
    std::size_t n = 0;
    SSL_write_ex(ssl, framed.data(), framed.size(), &n);
}

Bytes channel_binding(SSL* ssl)
{
    constexpr std::string_view label = "EXPORTER-Channel-Binding";
    Bytes binding(32);
    SSL_export_keying_material(ssl, binding.data(), binding.size(), label.data(), label.size(), nullptr, 0, 1);
    return binding;
}

} // namespace

TestCentral::TestCentral(const TestPki& pki)
    : pki_(pki)
    , certificate_(pki.server(pki::Role::central, "localhost"))
    , socket_(directory_ / "central")
    , listener_(listen_at(socket_))
    , stop_event_(eventfd(0, EFD_CLOEXEC))
{
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

TestCentral::~TestCentral()
{
    thread_.request_stop();
    eventfd_write(stop_event_.get(), 1);
    thread_.join();
    {
        const std::lock_guard lock(mutex_);
        for (const int fd : open_)
            shutdown(fd, SHUT_RDWR);
    }
    connections_.clear();
}

void TestCentral::set(Habits habits)
{
    const std::lock_guard lock(mutex_);
    habits_ = std::move(habits);
}

TestCentral::Habits TestCentral::habits() const
{
    const std::lock_guard lock(mutex_);
    return habits_;
}

std::vector<Bytes> TestCentral::secrets() const
{
    const std::lock_guard lock(mutex_);
    return secrets_;
}

void TestCentral::introduce(const lifecycle::Store& store, const std::vector<const Certified*>& keys) const
{
    std::vector<protocol::CentralKey> entries;
    for (const auto* key : keys)
        entries.push_back(
            {pki::issue_certified_central(pki_.station_signing.issuer(), key->certificate.spki(), "Central", valid),
             std::nullopt});
    auto files = store.load();
    auto file = files.personalizations.rbegin()->second;
    file.clear_central_set();
    if (!keys.empty())
        file.set_central_set(to_string(protocol::make_central_set(1, entries, pki_.station_signing.certificate,
                                                                  pki_.station_signing.key.get(), {})));
    store.save(file);
}

void TestCentral::run(const std::stop_token& stop)
{
    std::signal(SIGPIPE, SIG_IGN);
    while (!stop.stop_requested()) {
        std::array<pollfd, 2> polled{pollfd{listener_.get(), POLLIN, 0}, pollfd{stop_event_.get(), POLLIN, 0}};
        if (poll(polled.data(), polled.size(), -1) < 0 || polled[0].revents == 0)
            continue;
        Fd connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        connections_.emplace_back([this, fd = std::move(connection)]() mutable { serve(std::move(fd)); });
    }
}

void TestCentral::serve(Fd connection)
{
    const Habits habits = this->habits();
    {
        const std::lock_guard lock(mutex_);
        open_.push_back(connection.get());
    }
    if (habits.silent) {
        pollfd end{connection.get(), POLLIN, 0};
        while (poll(&end, 1, -1) == 1 && recv(connection.get(), std::array<char, 4096>().data(), 4096, 0) > 0)
            ;
    } else {
        const Context context = make_context(pki_, habits.certificate != nullptr ? *habits.certificate : certificate_);
        SSL_CTX_set_alpn_select_cb(context.get(), select_alpn, this);
        const Ssl ssl(SSL_new(context.get()));
        SSL_set_fd(ssl.get(), connection.get());
        SSL_set_app_data(ssl.get(), this);
        SSL_set_psk_find_session_callback(ssl.get(), find_psk);
        if (SSL_accept(ssl.get()) == 1) {
            const unsigned char* chosen = nullptr;
            unsigned size = 0;
            SSL_get0_alpn_selected(ssl.get(), &chosen, &size);
            if (as_text({chosen, size}) == protocol::key_alpn)
                hand_out_key(ssl.get(), habits);
            else
                echo(ssl.get());
        }
        ERR_clear_error();
    }
    const std::lock_guard lock(mutex_);
    std::erase(open_, connection.get());
}

void TestCentral::echo(SSL* ssl)
{
    ++(SSL_session_reused(ssl) == 1 ? with_psk_ : with_certificate_);
    std::array<std::uint8_t, 16384> piece{};
    std::size_t n = 0;
    while (SSL_read_ex(ssl, piece.data(), piece.size(), &n) == 1 && SSL_write_ex(ssl, piece.data(), n, &n) == 1)
        ;
    SSL_shutdown(ssl);
}

void TestCentral::hand_out_key(SSL* ssl, const Habits& habits)
{
    ++key_conversations_;
    const auto request = receive(ssl);
    if (!request || !request->has_request())
        return;
    const pki::Certificate module(SSL_get1_peer_certificate(ssl));
    const auto binding = pki::module_binding(module).value();
    const auto storage_key = structures::unmarshal<TPMT_PUBLIC>(as_bytes(request->request().storage_key())).or_throw();
    const Secret secret = random_secret(protocol::transaction_key_size);
    const auto wrapped =
        structures::wrap(storage_key, protocol::transaction_key_area(binding.epoch_index_name, binding.epoch), secret);
    const Bytes id = random_bytes(protocol::key_id_size);
    protocol::KeyMessage granted;
    auto& grant = *granted.mutable_grant();
    grant.set_key_id(to_string(id));
    grant.set_object(to_string(wrapped.object));
    grant.set_duplicate(to_string(wrapped.duplicate));
    grant.set_seed(to_string(wrapped.seed));
    grant.set_rotate_after(seconds_from_now(std::chrono::hours(24)));
    grant.set_not_after(seconds_from_now(std::chrono::hours(48)));
    send(ssl, granted, habits);
    const auto confirmed = receive(ssl);
    if (!confirmed || !confirmed->has_confirm())
        return;
    const auto expected = protocol::transaction_hmac(secret, protocol::confirmation_input(channel_binding(ssl), id));
    if (!equal(as_bytes(confirmed->confirm().proof()), expected.view()))
        return;
    {
        const std::lock_guard lock(mutex_);
        keys_[id] = {secret.clone(), true};
        secrets_.emplace_back(secret.begin(), secret.end());
    }
    protocol::KeyMessage done;
    done.mutable_done();
    send(ssl, done, habits);
    std::uint8_t byte = 0;
    std::size_t n = 0;
    SSL_read_ex(ssl, &byte, 1, &n); // the device closes first
}

// Whatever the client offers first, but the key conversation only where it is spoken.
int TestCentral::select_alpn(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* offered,
                             unsigned, void* central)
{
    *size = offered[0];
    *out = offered + 1;
    const bool key = as_text({*out, *size}) == protocol::key_alpn;
    return key && static_cast<TestCentral*>(central)->habits().no_key_conversation ? SSL_TLSEXT_ERR_ALERT_FATAL
                                                                                   : SSL_TLSEXT_ERR_OK;
}

int TestCentral::find_psk(SSL* ssl, const unsigned char* identity, std::size_t size, SSL_SESSION** session)
{
    auto& central = *static_cast<TestCentral*>(SSL_get_app_data(ssl));
    *session = nullptr;
    const auto id = protocol::key_id_of({identity, size});
    const std::lock_guard lock(central.mutex_);
    if (!id || central.habits_.forgets_keys || !central.keys_.contains(*id))
        return 1;
    const auto psk = protocol::transaction_hmac(central.keys_.at(*id).secret, protocol::psk_input({identity, size}));
    central.secrets_.emplace_back(psk.begin(), psk.end());
    constexpr std::array<unsigned char, 2> suite{0x13, 0x02};
    *session = SSL_SESSION_new();
    return SSL_SESSION_set1_master_key(*session, psk.data(), psk.size()) == 1 &&
        SSL_SESSION_set_cipher(*session, SSL_CIPHER_find(ssl, suite.data())) == 1 &&
        SSL_SESSION_set_protocol_version(*session, TLS1_3_VERSION) == 1;
}

} // namespace imprint::test
