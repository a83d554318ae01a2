// SPDX-License-Identifier: Apache-2.0
#include "tests/device/test_station.h"

#include "daemon/tls/stream.h"
#include "tests/support/software_tpm.h"

#include <openssl/ssl.h>

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>

namespace imprint::test {

namespace {

pki::Time real_now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

Fd listen_at(const std::filesystem::path& path)
{
    Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || listen(fd.get(), 8) != 0)
        throw_errno("cannot listen at " + path.string());
    return fd;
}

// Nothing once the event is set.
std::optional<Fd> accept_or(int listener, int stop_event)
{
    std::array<pollfd, 2> polled{pollfd{listener, POLLIN, 0}, pollfd{stop_event, POLLIN, 0}};
    while (poll(polled.data(), polled.size(), -1) < 0 && errno == EINTR)
        ;
    if (polled[1].revents != 0)
        return std::nullopt;
    return Fd(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
}

station::Station make_station(const TestPki& pki)
{
    station::Station station;
    station.credentials.signing = {pki.station_signing.certificate, pki.root.certificate};
    station.credentials.signing_key = share(pki.station_signing.key);
    station.credentials.identity_ca = {pki.identity_ca.certificate, pki.root.certificate};
    station.credentials.identity_ca_key = share(pki.identity_ca.key);
    station.credentials.trust = std::make_shared<const pki::Trust>(pki.trust());
    station.vendors.anchors = pki::certificates_from_pem(SoftwareTpm::vendor_ca());
    station.master_key = Secret(Bytes(32, 0x4d));
    return station;
}

int select_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char*, unsigned, void* alpn)
{
    const auto& name = *static_cast<const std::string*>(alpn);
    *out = reinterpret_cast<const unsigned char*>(name.data());
    *out_size = static_cast<unsigned char>(name.size());
    return SSL_TLSEXT_ERR_OK;
}

Bytes read_exactly(SSL* tls, std::size_t size)
{
    Bytes bytes(size);
    for (std::size_t got = 0; got < size;) {
        std::size_t n = 0;
        if (SSL_read_ex(tls, bytes.data() + got, size - got, &n) != 1)
            return {};
        got += n;
    }
    return bytes;
}

Bytes receive(SSL* tls)
{
    const Bytes header = read_exactly(tls, 4);
    if (header.empty())
        return {};
    return read_exactly(tls, *protocol::announced_length({header[0], header[1], header[2], header[3]}));
}

void send(SSL* tls, BytesView message)
{
    const Bytes framed = protocol::frame(message);
    std::size_t n = 0;
    SSL_write_ex(tls, framed.data(), framed.size(), &n);
}

} // namespace

TestStation::TestStation(const TestPki& pki)
    : socket_(directory_ / "station")
    , station_(make_station(pki))
    , store_(directory_ / "station.db")
    , tls_{share(pki.station_tls.key), pki.station_tls.certificate}
    , root_(pki.root.certificate)
    , listener_(listen_at(socket_))
    , stop_event_(eventfd(0, EFD_CLOEXEC))
{
    auto transaction = store_.begin();
    store_.add_range({.prefix = "SN-", .width = 6, .first = 1, .last = 999999});
    transaction.commit();
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

TestStation::~TestStation() { eventfd_write(stop_event_.get(), 1); }

void TestStation::set(Mischief mischief)
{
    const std::lock_guard lock(mutex_);
    mischief_ = std::move(mischief);
}

void TestStation::allow(const std::string& chip)
{
    auto transaction = store_.begin();
    store_.allow({chip, "test"});
    transaction.commit();
}

std::vector<Bytes> TestStation::messages() const
{
    const std::lock_guard lock(mutex_);
    return messages_;
}

void TestStation::run(const std::stop_token&)
{
    while (auto connection = accept_or(listener_.get(), stop_event_.get()))
        serve(*std::move(connection));
}

void TestStation::serve(Fd connection)
{
    ++connections_;
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, nullptr); // of this thread alone: the device has to do without
    Mischief mischief;
    {
        const std::lock_guard lock(mutex_);
        mischief = mischief_;
    }
    const Certified& tls_certificate = mischief.tls != nullptr ? *mischief.tls : tls_;
    std::string alpn = mischief.alpn.empty() ? std::string(protocol::alpn) : mischief.alpn;
    const Owned<SSL_CTX, SSL_CTX_free> context(SSL_CTX_new(TLS_server_method()));
    SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
    SSL_CTX_use_certificate(context.get(), tls_certificate.certificate.x509());
    SSL_CTX_use_PrivateKey(context.get(), tls_certificate.key.get());
    SSL_CTX_set_alpn_select_cb(context.get(), select_alpn, &alpn);
    const Owned<SSL, SSL_free> tls(SSL_new(context.get()));
    SSL_set_fd(tls.get(), connection.get());
    if (SSL_accept(tls.get()) == 1)
        converse(tls.get(), mischief);
    SSL_shutdown(tls.get());
}

void TestStation::converse(SSL* tls, const Mischief& mischief)
{
    constexpr std::string_view label = "EXPORTER-Channel-Binding";
    Bytes binding(32);
    SSL_export_keying_material(tls, binding.data(), binding.size(), label.data(), label.size(), nullptr, 0, 0);
    station::StationSession session(station_, store_, introductions_, {binding, "test", mischief.introductions});
    const auto hangs = [&](int step) {
        if (mischief.hang_before != step)
            return false;
        char byte = 0;
        SSL_read(tls, &byte, 1); // until the device hangs up
        return true;
    };
    for (int step = hello;; step += 2) {
        if (mischief.drop_before == step || hangs(step))
            return;
        const Bytes message = receive(tls);
        if (message.empty() || mischief.drop_after == step)
            return;
        auto answer = session.receive(message, real_now());
        if (answer.message.empty() || mischief.drop_before == step + 1 || hangs(step + 1))
            return;
        if (mischief.alter) {
            auto parsed = *protocol::parse(answer.message);
            mischief.alter(parsed);
            answer.message = protocol::serialize(parsed);
        }
        if (mischief.replace)
            answer.message = mischief.replace(std::move(answer.message));
        {
            const std::lock_guard lock(mutex_);
            messages_.push_back(message);
            messages_.push_back(answer.message);
        }
        send(tls, answer.message);
        if (answer.last || mischief.drop_after == step + 1)
            return;
    }
}

Relay::Relay(const std::string& station, std::size_t limit, std::optional<std::size_t> flip)
    : station_(station)
    , limit_(limit)
    , flip_(flip)
    , socket_(directory_ / "relay")
    , listener_(listen_at(socket_))
    , stop_event_(eventfd(0, EFD_CLOEXEC))
    , thread_([this] { run(); })
{
}

Relay::~Relay() { eventfd_write(stop_event_.get(), 1); }

void Relay::run()
{
    const tls::Cancel never;
    while (const auto device = accept_or(listener_.get(), stop_event_.get())) {
        const auto station =
            tls::connect(station_, 1, std::chrono::steady_clock::now() + std::chrono::seconds(10), never);
        forward(device->get(), station.get());
    }
}

void Relay::forward(int device, int station)
{
    std::array<std::uint8_t, 16384> buffer{};
    std::array<pollfd, 3> polled{pollfd{device, POLLIN, 0}, pollfd{station, POLLIN, 0},
                                 pollfd{stop_event_.get(), POLLIN, 0}};
    while (passed_ < limit_ && poll(polled.data(), polled.size(), -1) > 0 && polled[2].revents == 0) {
        if (polled[0].revents != 0) {
            const auto n = read(device, buffer.data(), buffer.size());
            if (n <= 0 || ::send(station, buffer.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL) != n)
                return;
        }
        if (polled[1].revents != 0) {
            const auto n = read(station, buffer.data(), std::min(buffer.size(), limit_ - passed_));
            if (n <= 0)
                return;
            const auto size = static_cast<std::size_t>(n);
            if (flip_ && *flip_ >= passed_ && *flip_ < passed_ + size)
                buffer[*flip_ - passed_] ^= 1;
            passed_ += size;
            if (::send(device, buffer.data(), size, MSG_NOSIGNAL) != n)
                return;
        }
    }
}

} // namespace imprint::test
