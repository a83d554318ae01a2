// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/server.h"

#include "daemon/base/serial.h"
#include "provisioning/protocol/courier_messages.h"
#include "provisioning/protocol/framing.h"
#include "provisioning/server/in_worker.h"
#include "provisioning/server/line.h"
#include "provisioning/server/log.h"
#include "provisioning/server/tls.h"
#include "provisioning/server/tls_stream.h"
#include "provisioning/station/courier_protocol.h"
#include "provisioning/station/crl.h"
#include "provisioning/station/outbox.h"
#include "provisioning/station/session.h"
#include "provisioning/station/sync_protocol.h"

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>

#include <set>
#include <unistd.h>

namespace imprint::station {

namespace asio = boost::asio;
using server::in_worker;
using server::TlsStream;

namespace {

constexpr std::chrono::hours crl_renewal{24};

pki::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

void journal(const AuditEntry& entry)
{
    server::Fields fields{{"EVENT", entry.event}, {"PEER", entry.peer}};
    for (const auto& [field, value] :
         {std::pair{"CHIP", entry.chip}, std::pair{"REASON", entry.reason}, std::pair{"DETAIL", entry.detail}})
        if (!value.empty())
            fields.emplace_back(field, value);
    log(entry.reason.empty() ? server::Priority::info : server::Priority::notice, entry.event, fields);
}

std::set<std::string> kinds_from_pool(const PackageProfile& profile)
{
    std::set<std::string> kinds;
    for (const auto& entry : profile.entries)
        if (const auto* pair = std::get_if<PairKey>(&entry.what); pair != nullptr && pair->from_pool)
            kinds.emplace(name(pair->kind));
    return kinds;
}

// What came: a message, or the reason why its length alone was refused.
using Received = Result<Bytes>;

} // namespace

struct Server::Impl {
    ServerSettings settings;
    Station station; // its trust and its vendors are the worker's
    std::shared_ptr<const pki::Trust> trust; // the network's view of it
    Store store; // the worker's
    Introductions introductions; // the worker's
    asio::ssl::context context;
    asio::steady_timer crl_timer;
    bool stopping = false;
    std::set<std::string> low; // kinds that the pool has too few of, which was said; the worker's
    bool recorded = false; // a device has got its receipt
    std::vector<std::unique_ptr<server::Listener>> listeners;
    std::vector<std::unique_ptr<server::SerialListener>> lines;
    std::unique_ptr<ArchiveClient> client;
    std::unique_ptr<Outbox> outbox;
    std::unique_ptr<Operations> operations;
    asio::thread_pool worker{1}; // last: what runs in it uses all the above

    Impl(server::Service& service, ServerSettings s, Station st)
        : settings(std::move(s))
        , station(std::move(st))
        , trust(station.credentials.trust)
        , store(database_path(settings.state))
        , context(server::server_context({station.credentials.tls, station.credentials.tls_key.get()}, std::nullopt,
                                         {std::string(protocol::alpn)})
                      .release())
        , crl_timer(service.io())
    {
    }

    void start(server::Service& service);
    void use(const std::shared_ptr<const pki::Trust>& now_trusted, pki::Trust vendors);
    void stop();
    server::Listener::Handler handler(Required required);
    void listen(const asio::any_io_executor& executor, const std::string& address, Required required);
    void listen_for_operations(const asio::any_io_executor& executor);
    std::vector<OperationsProtocol> protocols();
    asio::awaitable<void> serve_stdio(server::Service& service);
    void write_list();
    void watch_pool();
    asio::awaitable<void> renew_crl();
    asio::awaitable<void> serve(server::Stream stream, std::string peer, Required required);
    asio::awaitable<void> refuse(Refusal why, std::string peer);
    asio::awaitable<void> converse(TlsStream& stream, StationSession& session);
    asio::awaitable<Answer> answer(StationSession& session, const Received& received);
};

// In the worker: the session's work, and the CRL before anybody is told of the new grant.
asio::awaitable<Answer> Server::Impl::answer(StationSession& session, const Received& received)
{
    auto work = [&] {
        Answer made = received ? session.receive(*received, now()) : session.reject(received.refusal(), now());
        if (made.revoked)
            write_list();
        if (made.revoked || made.record_stored)
            watch_pool();
        return made;
    };
    Answer made = co_await in_worker(worker, work);
    for (const auto& entry : made.audit)
        journal(entry);
    if (made.record_stored && outbox)
        outbox->wake();
    co_return made;
}

asio::awaitable<void> Server::Impl::converse(TlsStream& stream, StationSession& session)
{
    for (bool last = false; !last;) {
        const Received received = co_await server::read_message(stream, settings.message_timeout);
        const Answer made = co_await answer(session, received);
        if (!made.message.empty())
            co_await server::write_message(stream, made.message, settings.message_timeout);
        recorded = recorded || made.receipt;
        last = made.last;
    }
}

asio::awaitable<void> Server::Impl::refuse(Refusal why, std::string peer)
{
    AuditEntry entry;
    entry.time = now();
    entry.event = "refused";
    entry.peer = peer;
    entry.reason = name(why.reason);
    entry.detail = "TLS: " + why.detail;
    auto work = [&] { store.audit(entry); };
    co_await in_worker(worker, work);
    journal(entry);
}

asio::awaitable<void> Server::Impl::serve(server::Stream raw, std::string peer, Required required)
{
    TlsStream stream(std::move(raw), context);
    std::optional<Refusal> refused = co_await server::accept_tls(stream, settings.handshake_timeout);
    if (!refused && server::negotiated(stream.native_handle()) != protocol::alpn)
        refused = Refusal{Reason::unsupported_version, "the peer does not speak " + std::string(protocol::alpn)};
    if (refused) {
        asio::awaitable<void> refusing = refuse(*refused, peer);
        co_await std::move(refusing);
        co_return;
    }
    StationSession session(station, store, introductions,
                           {server::channel_binding(stream.native_handle()), std::move(peer), required});
    std::optional<Refusal> broken;
    try {
        co_await converse(stream, session);
    } catch (const boost::system::system_error& e) {
        broken = server::refusal_of(e.code());
    }
    if (!broken) {
        co_await server::leave(stream);
        co_return;
    }
    auto work = [&] { return session.abandon(*broken, now()); };
    const std::optional<AuditEntry> entry = co_await in_worker(worker, work);
    if (entry)
        journal(*entry);
}

// A list that could not be written is written with the next change or the next day: the database has it.
void Server::Impl::write_list()
try {
    write_crl(crl_path(settings.state), station.credentials, store, now());
} catch (const std::exception& e) {
    log(server::Priority::error, "the CRL could not be written", {{"DETAIL", e.what()}});
}

// What grants left behind goes from the files, and whoever fills the pool hears of it in time: once for each kind.
void Server::Impl::watch_pool()
try {
    store.leave_no_trace();
    for (const auto& kind : kinds_from_pool(station.profile)) {
        const auto free = store.free_pairs(kind);
        if (free >= settings.pool_low_water)
            low.erase(kind);
        else if (low.insert(kind).second)
            log(server::Priority::warning, "the pool gets low: imprint-station pool fill makes more pairs",
                {{"KIND", kind}, {"FREE", std::to_string(free)}});
    }
} catch (const std::exception& e) {
    log(server::Priority::error, "the pool could not be looked at", {{"DETAIL", e.what()}});
}

asio::awaitable<void> Server::Impl::renew_crl()
{
    while (!stopping) {
        auto work = [this] {
            write_list();
            watch_pool();
        };
        co_await in_worker(worker, work);
        if (stopping)
            break;
        boost::system::error_code error;
        crl_timer.expires_after(crl_renewal);
        co_await crl_timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
    }
}

void Server::Impl::start(server::Service& service)
{
    if (!protocol::is_station_address(settings.public_address))
        throw Error(Reason::invalid_argument, "no device can be sent to \"" + settings.public_address + "\"");
    const asio::any_io_executor executor = service.io().get_executor();
    asio::co_spawn(
        executor, [this] { return renew_crl(); }, asio::detached);
    if (!settings.archive.empty()) {
        client = std::make_unique<ArchiveClient>(settings.archive, station.credentials);
        outbox = std::make_unique<Outbox>(executor, worker, store, *client);
        outbox->start();
    }
    if (settings.stdio) {
        asio::co_spawn(
            executor, [this, &service] { return serve_stdio(service); }, asio::detached);
        return;
    }
    for (const auto& address : settings.listen_exempt)
        listen(executor, address, Required::never);
    for (const auto& address : settings.listen)
        listen(executor, address, settings.introductions);
    if (!settings.listen_operations.empty())
        listen_for_operations(executor);
}

server::Listener::Handler Server::Impl::handler(Required required)
{
    return [this, required](server::Stream stream, std::string peer) {
        return serve(std::move(stream), std::move(peer), required);
    };
}

void Server::Impl::listen(const asio::any_io_executor& executor, const std::string& address, Required required)
{
    const auto open = [&](auto& list, auto listener) {
        listener->start(handler(required));
        server::Service::announce("station", listener->address());
        list.push_back(std::move(listener));
    };
    if (is_serial(address))
        open(lines, std::make_unique<server::SerialListener>(executor, address));
    else
        open(listeners, std::make_unique<server::Listener>(executor, address, settings.max_connections));
}

void Server::Impl::listen_for_operations(const asio::any_io_executor& executor)
{
    operations = std::make_unique<Operations>(
        station.credentials, settings.handshake_timeout, protocols(),
        [this](Refusal why, std::string peer) { return refuse(std::move(why), std::move(peer)); });
    for (const auto& address : settings.listen_operations) {
        auto listener = std::make_unique<server::Listener>(executor, address, settings.max_connections);
        listener->start([this](server::Stream stream, std::string peer) {
            return operations->serve(std::move(stream), std::move(peer));
        });
        server::Service::announce("operations", listener->address());
        listeners.push_back(std::move(listener));
    }
}

// What is spoken on the addresses for operations.
std::vector<OperationsProtocol> Server::Impl::protocols()
{
    const auto synchronized = [this](const SyncReply& reply) {
        for (const auto& entry : reply.audit)
            journal(entry);
        if (reply.record_stored && outbox)
            outbox->wake();
    };
    return {courier_protocol(store, worker, {settings.public_address, settings.message_timeout}, journal),
            sync_protocol(
                store, worker, trust, settings.message_timeout, [this] { write_list(); }, synchronized)};
}

// Whatever else would be written to standard output goes to standard error from here on.
asio::awaitable<void> Server::Impl::serve_stdio(server::Service& service)
{
    Fd in = duplicate(STDIN_FILENO);
    Fd out = duplicate(STDOUT_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    const auto answering = handler(settings.introductions);
    try {
        co_await server::converse_over(std::move(in), std::move(out), answering, "stdio");
    } catch (const std::exception& e) {
        log(server::Priority::error, "no conversation is possible", {{"DETAIL", e.what()}});
    }
    service.stop();
}

void Server::Impl::use(const std::shared_ptr<const pki::Trust>& now_trusted, pki::Trust vendors)
{
    check_credentials(station.credentials, *now_trusted, now());
    if (client)
        client->use(now_trusted);
    if (operations)
        operations->use(now_trusted);
    trust = now_trusted;
    asio::post(worker, [this, now_trusted, vendors = std::move(vendors)]() mutable {
        station.credentials.trust = now_trusted;
        station.vendors = std::move(vendors);
    });
}

void Server::Impl::stop()
{
    stopping = true;
    crl_timer.cancel();
    if (outbox)
        outbox->stop();
    for (const auto& listener : listeners)
        listener->close();
    for (const auto& line : lines)
        line->close();
}

std::filesystem::path database_path(const std::filesystem::path& state) { return state / "station.db"; }

std::filesystem::path crl_path(const std::filesystem::path& state) { return state / "crl.pem"; }

Server::Server(server::Service& service, ServerSettings settings, Station station)
    : impl_(std::make_unique<Impl>(service, std::move(settings), std::move(station)))
{
    service.on_stop([this] { impl_->stop(); });
    impl_->start(service);
}

Server::~Server() = default;

void Server::use(const std::shared_ptr<const pki::Trust>& trust, pki::Trust vendors)
{
    impl_->use(trust, std::move(vendors));
}

bool Server::has_recorded() const { return impl_->recorded; }

} // namespace imprint::station
