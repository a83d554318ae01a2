// SPDX-License-Identifier: Apache-2.0
#include "provisioning/central/server.h"

#include "provisioning/central/backend.h"
#include "provisioning/central/connections.h"
#include "provisioning/central/key_session.h"
#include "provisioning/central/lists_in_force.h"
#include "provisioning/central/newest_record.h"
#include "provisioning/central/own_answer.h"
#include "provisioning/central/proxy_header.h"
#include "provisioning/protocol/framing.h"
#include "provisioning/protocol/transaction_key.h"
#include "provisioning/server/in_worker.h"
#include "provisioning/server/log.h"
#include "provisioning/server/tls.h"
#include "provisioning/server/tls_stream.h"

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>

namespace imprint::central {

namespace asio = boost::asio;
using server::in_worker;
using server::Priority;
using server::TlsStream;

namespace {

constexpr std::chrono::seconds look_interval{2}; // at files
constexpr std::chrono::hours clean_interval{1};
constexpr std::size_t max_central_set = 64 * 1024;
constexpr std::size_t handshakes_of = 4; // a fourth of all connections
constexpr std::size_t unique_id_size = 16;

pki::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

void log_refusal(std::string_view message, const std::string& address, const std::string& chip, const Refusal& why)
{
    server::Fields fields{{"PEER", address}};
    if (!chip.empty())
        fields.emplace_back("CHIP", chip);
    fields.emplace_back("REASON", name(why.reason));
    fields.emplace_back("DETAIL", why.detail);
    log(Priority::notice, message, fields);
}

void log_notice(const ListsInForce::Notice& notice)
{
    if (notice.refused)
        log(Priority::warning, "a revocation list is not used; the one before stays in force",
            {{"FILE", notice.path},
             {"REASON", std::string(name(notice.refused->reason))},
             {"DETAIL", notice.refused->detail}});
    else
        log(Priority::info, "a revocation list is in force",
            {{"FILE", notice.path}, {"NUMBER", std::to_string(notice.number)}});
}

// The first start makes the database's check; another key cannot open what stands there.
Sealer open_seal(Store& store, Secret storage_key)
{
    Sealer sealer(std::move(storage_key));
    const Bytes associated = to_bytes("imprint/1 storage key check");
    const Bytes check = store.seal_check();
    if (check.empty())
        store.set_seal_check(sealer.seal(Secret(1), associated));
    else if (!sealer.open(check, associated))
        throw Error(Reason::not_configured, "the transaction keys in the database are sealed with another storage key");
    return sealer;
}

Ends ends_of(server::Stream& stream)
{
    Ends ends;
    socklen_t size = sizeof ends.source;
    getpeername(stream.socket().native_handle(), reinterpret_cast<sockaddr*>(&ends.source), &size);
    size = sizeof ends.destination;
    getsockname(stream.socket().native_handle(), reinterpret_cast<sockaddr*>(&ends.destination), &size);
    return ends;
}

} // namespace

struct Server::Impl {
    ServerSettings settings;
    Credentials credentials;
    Store store; // the worker's
    Store reader; // the network's: a handshake cannot wait for the worker
    Sealer sealer;
    ListsInForce lists; // the worker's
    std::shared_ptr<const pki::Trust> trust; // the network's view of it
    std::optional<asio::ssl::context> context; // another one after each change of the lists
    WatchedFile central_set_file; // the worker's
    Bytes central_set;
    KeyOffice office;
    Connections connections;
    asio::steady_timer timer;
    bool stopping = false;
    std::optional<Backend> backend;
    std::unique_ptr<NewestRecord> archive;
    std::vector<std::unique_ptr<server::Listener>> listeners;
    asio::thread_pool worker{1}; // last: what runs in it uses all the above

    Impl(server::Service& service, ServerSettings s, Credentials c, Secret storage_key)
        : settings(std::move(s))
        , credentials(std::move(c))
        , store(database_path(settings.state))
        , reader(database_path(settings.state))
        , sealer(open_seal(store, std::move(storage_key)))
        , lists(store, credentials.bundle, settings.crls)
        , central_set_file(settings.central_set, max_central_set)
        , office{store, sealer, settings.lifetimes}
        , connections(std::max<std::size_t>(settings.max_connections / handshakes_of, 1))
        , timer(service.io())
    {
    }

    void start(server::Service& service);
    void stop();
    void use_lists();
    std::optional<Secret> find_psk(BytesView identity);
    std::optional<Bytes> new_central_set();
    asio::awaitable<void> look_at_files();
    asio::awaitable<void> serve(server::Stream raw, std::string address);
    Result<Guest> guest_of(SSL* ssl, const std::string& address);
    asio::awaitable<Verdict> admit(const Guest& guest);
    asio::awaitable<Verdict> ask_archive(const Guest& guest);
    asio::awaitable<Verdict> enter(Guest& guest, Connections::Place& place);
    asio::awaitable<void> attend(TlsStream& stream, const Guest& guest, const Ends& ends);
    asio::awaitable<void> converse(TlsStream& stream, const Guest& guest);
    asio::awaitable<void> hand_over(TlsStream& stream, const Guest& guest, const Ends& ends);
};

// --- lists and files

void Server::Impl::use_lists()
{
    trust = lists.trust();
    std::vector<std::string> alpn{std::string(protocol::key_alpn)};
    alpn.insert(alpn.end(), settings.alpn.begin(), settings.alpn.end());
    context.emplace(server::server_context(
                        {credentials.tls, credentials.key.get()}, server::PeerPolicy{trust, pki::Role::module, {}},
                        alpn,
                        {.other_protocols = true, .psk = [this](BytesView identity) { return find_psk(identity); }})
                        .release());
    connections.end([this](const Guest& guest) -> std::optional<Refusal> {
        if (!is_revoked(guest.vouchers, trust->crls))
            return std::nullopt;
        return Refusal{Reason::certificate_revoked, "a revocation list names it now"};
    });
}

// In the worker: what is to come in place of the set before, if it was replaced.
std::optional<Bytes> Server::Impl::new_central_set()
try {
    if (settings.central_set.empty() || !central_set_file.changed())
        return std::nullopt;
    auto content = central_set_file.read();
    if (!content || content->empty())
        throw Error(Reason::not_configured, "the file is missing or empty");
    return content;
} catch (const Error& error) {
    log(Priority::warning, "the central set is not used; the one before stays",
        {{"FILE", settings.central_set}, {"DETAIL", error.what()}});
    return std::nullopt;
}

asio::awaitable<void> Server::Impl::look_at_files()
{
    auto cleaned = std::chrono::steady_clock::now();
    while (!stopping) {
        boost::system::error_code cancelled;
        timer.expires_after(look_interval);
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
        if (stopping)
            break;
        const bool clean = std::chrono::steady_clock::now() - cleaned >= clean_interval;
        std::optional<Bytes> set;
        auto work = [&] {
            set = new_central_set();
            if (clean)
                store.remove_expired(now());
            return lists.look(now());
        };
        const std::vector<ListsInForce::Notice> notices = co_await in_worker(worker, work);
        if (clean)
            cleaned = std::chrono::steady_clock::now();
        if (set)
            central_set = *std::move(set);
        for (const auto& notice : notices)
            log_notice(notice);
        if (lists.trust() != trust)
            use_lists();
    }
}

// --- who it is

std::optional<Secret> Server::Impl::find_psk(BytesView identity)
{
    const auto found = find_key(reader, identity, *trust, now());
    return found ? psk_of(sealer, *found, identity) : std::nullopt;
}

Result<Guest> Server::Impl::guest_of(SSL* ssl, const std::string& address)
{
    if (const auto identity = server::psk_identity(ssl)) {
        auto found = find_key(reader, *identity, *trust, now());
        if (!found)
            return Refusal{Reason::transaction_key_invalid, "the transaction key has just ended"};
        return Guest{found->peer, {found->row.module, found->row.station}, {}, address};
    }
    pki::Certificates chain = server::verified_chain(ssl);
    if (chain.empty())
        return Refusal{Reason::untrusted_certificate, "the device showed no certificate"};
    auto peer = peer_of(chain.front(), Means::certificate);
    if (!peer)
        return peer.refusal();
    CertificateNames vouchers = names_of(chain);
    return Guest{*std::move(peer), std::move(vouchers), std::move(chain), address};
}

asio::awaitable<Verdict> Server::Impl::ask_archive(const Guest& guest)
{
    const Result<std::uint64_t> newest = co_await archive->above(guest.peer.chip, guest.peer.epoch, trust);
    if (!newest) {
        log_refusal("the archive could not tell whether a certificate is the newest", guest.address, guest.peer.chip,
                    newest.refusal());
        co_return settings.archive_required ? Verdict(newest.refusal()) : accepted();
    }
    if (*newest <= guest.peer.epoch)
        co_return accepted();
    auto work = [&] { return store.admit(guest.peer.chip, *newest); }; // it is proven: remember it
    co_await in_worker(worker, work);
    co_return Refusal{Reason::certificate_outdated, "the archive has a record of " + std::to_string(*newest)};
}

asio::awaitable<Verdict> Server::Impl::admit(const Guest& guest)
{
    Verdict verdict = accepted();
    if (!reader.is_newest(guest.peer.chip, guest.peer.epoch)) { // as it is with all but the first of an epoch
        auto work = [&] { return store.admit(guest.peer.chip, guest.peer.epoch); };
        Verdict admitted = co_await in_worker(worker, work);
        verdict = std::move(admitted);
    }
    if (verdict && archive) {
        Verdict newest = co_await ask_archive(guest);
        verdict = std::move(newest);
    }
    co_return verdict;
}

// The lists may have changed while others were asked.
asio::awaitable<Verdict> Server::Impl::enter(Guest& guest, Connections::Place& place)
{
    Verdict verdict = co_await admit(guest);
    if (verdict && is_revoked(guest.vouchers, trust->crls))
        verdict = Refusal{Reason::certificate_revoked, "a revocation list names it now"};
    if (verdict) {
        connections.end([&](const Guest& other) -> std::optional<Refusal> {
            if (other.peer.chip != guest.peer.chip || other.peer.epoch >= guest.peer.epoch)
                return std::nullopt;
            return Refusal{Reason::certificate_outdated, "the device came with a newer one"};
        });
        place.admit(guest);
    }
    co_return verdict;
}

// --- what it wants

asio::awaitable<void> Server::Impl::converse(TlsStream& stream, const Guest& guest)
{
    KeySession session(office, guest.chain, server::channel_binding(stream.native_handle()), central_set);
    for (bool last = false; !last;) {
        const Result<Bytes> received = co_await server::read_message(stream, settings.message_timeout);
        auto work = [&] { return received ? session.receive(*received, now()) : session.reject(received.refusal()); };
        const KeyAnswer answer = co_await in_worker(worker, work);
        if (!answer.message.empty())
            co_await server::write_message(stream, answer.message, settings.message_timeout);
        if (answer.refused)
            log_refusal("no transaction key", guest.address, guest.peer.chip, *answer.refused);
        if (answer.made)
            log(Priority::info, "transaction key made",
                {{"PEER", guest.address}, {"CHIP", guest.peer.chip}, {"KEY", hex(*answer.made)}});
        last = answer.last;
    }
}

asio::awaitable<void> Server::Impl::hand_over(TlsStream& stream, const Guest& guest, const Ends& ends)
{
    std::optional<server::Stream> to;
    boost::system::error_code failed;
    try {
        server::Stream connected = co_await backend->connect(settings.handshake_timeout);
        to.emplace(std::move(connected));
    } catch (const boost::system::system_error& e) {
        failed = e.code();
    }
    if (failed) {
        log(Priority::error, "the backend cannot be reached",
            {{"BACKEND", backend->address()}, {"PEER", guest.address}, {"DETAIL", failed.message()}});
        co_return;
    }
    const std::string unique_id = hex(random_bytes(unique_id_size));
    const Bytes header = proxy_header(ends, guest.peer, server::negotiated(stream.native_handle()), unique_id);
    const Relayed relayed = co_await relay(stream, *to, header, settings.idle_timeout);
    server::Fields fields{{"PEER", guest.address},
                          {"CHIP", guest.peer.chip},
                          {"UNIQUE_ID", unique_id},
                          {"TO_BACKEND", std::to_string(relayed.to_backend)},
                          {"TO_DEVICE", std::to_string(relayed.to_device)}};
    if (relayed.broken)
        fields.emplace_back("DETAIL", relayed.broken->detail);
    log(Priority::info, "connection ended", fields);
}

asio::awaitable<void> Server::Impl::attend(TlsStream& stream, const Guest& guest, const Ends& ends)
{
    const bool wants_key = server::negotiated(stream.native_handle()) == protocol::key_alpn;
    log(Priority::info, "device connected",
        {{"PEER", guest.address},
         {"CHIP", guest.peer.chip},
         {"IDENTITY", guest.peer.identity.value},
         {"EPOCH", std::to_string(guest.peer.epoch)},
         {"BY", std::string(means_name(guest.peer.means))},
         {"FOR", wants_key ? "key" : "data"}});
    if (wants_key)
        co_await converse(stream, guest);
    else if (backend)
        co_await hand_over(stream, guest, ends);
    else
        co_await answer_itself(stream, guest.peer, settings.message_timeout);
}

asio::awaitable<void> Server::Impl::serve(server::Stream raw, std::string address)
{
    const Ends ends = ends_of(raw);
    TlsStream stream(std::move(raw), *context);
    Connections::Place place(connections, stream.next_layer());
    const std::optional<Refusal> refused = co_await server::accept_tls(stream, settings.handshake_timeout);
    if (refused) {
        log_refusal("device refused", address, {}, *refused);
        co_return;
    }
    const bool wants_key = server::negotiated(stream.native_handle()) == protocol::key_alpn;
    Result<Guest> guest = guest_of(stream.native_handle(), address);
    Verdict verdict = guest ? accepted() : Verdict(guest.refusal());
    if (verdict && wants_key && guest->peer.means != Means::certificate)
        verdict = Refusal{Reason::not_authorized, "a transaction key is made for a connection of the module key only"};
    if (verdict) {
        Verdict entered = co_await enter(*guest, place);
        verdict = std::move(entered);
    }
    if (verdict) {
        co_await attend(stream, *guest, ends);
    } else {
        log_refusal("device refused", address, guest ? guest->peer.chip : std::string(), verdict.refusal());
        if (wants_key) // the one protocol in which there is a way to say so
            co_await server::write_message(stream, protocol::serialize(protocol::key_refused(verdict.refusal())),
                                           settings.message_timeout);
    }
    co_await server::leave(stream);
}

// --- life

void Server::Impl::start(server::Service& service)
{
    const asio::any_io_executor executor = service.io().get_executor();
    for (const auto& notice : lists.look(now()))
        log_notice(notice);
    lists.require_all();
    store.remove_expired(now());
    if (!settings.central_set.empty()) {
        auto set = new_central_set();
        if (!set)
            throw Error(Reason::not_configured, settings.central_set.string() + " cannot be read");
        central_set = *std::move(set);
    }
    if (!settings.backend.empty())
        backend.emplace(executor, settings.backend);
    if (!settings.archive.empty())
        archive = std::make_unique<NewestRecord>(executor, settings.archive, worker);
    use_lists();
    asio::co_spawn(
        executor, [this] { return look_at_files(); }, asio::detached);
    for (const auto& address : settings.listen) {
        auto listener = std::make_unique<server::Listener>(executor, address, settings.max_connections);
        listener->start(
            [this](server::Stream stream, std::string peer) { return serve(std::move(stream), std::move(peer)); });
        server::Service::announce("central", listener->address());
        listeners.push_back(std::move(listener));
    }
}

// A connection has no end of its own: devices connect again.
void Server::Impl::stop()
{
    stopping = true;
    timer.cancel();
    for (const auto& listener : listeners)
        listener->close();
    connections.end_all();
}

std::filesystem::path database_path(const std::filesystem::path& state) { return state / "central.db"; }

Server::Server(server::Service& service, ServerSettings settings, Credentials credentials, Secret storage_key)
    : impl_(std::make_unique<Impl>(service, std::move(settings), std::move(credentials), std::move(storage_key)))
{
    service.on_stop([this] { impl_->stop(); });
    impl_->start(service);
}

Server::~Server() = default;

} // namespace imprint::central
