// SPDX-License-Identifier: Apache-2.0
#include "provisioning/central/server.h"

#include "provisioning/central/server_impl.h"
#include "provisioning/protocol/transaction_key.h"
#include "provisioning/server/in_worker.h"
#include "provisioning/server/log.h"

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>

#include <utility>

namespace imprint::central {

using server::in_worker;
using server::Priority;

namespace {

constexpr std::chrono::seconds look_interval{2}; // at files
constexpr std::chrono::hours clean_interval{1};
constexpr std::size_t max_central_set = 64 * 1024;
constexpr std::size_t handshakes_of = 4; // a fourth of all connections

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

} // namespace

Server::Impl::Impl(server::Service& service, ServerSettings s, Credentials c, Secret storage_key)
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
        std::optional<pki::Trust> bundle = std::exchange(next_bundle, std::nullopt);
        auto work = [&] {
            set = new_central_set();
            if (bundle)
                lists.use(*std::move(bundle));
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

void Server::reload(const std::filesystem::path& directory)
{
    impl_->next_bundle = load_bundle(directory, impl_->credentials.tls, now());
    impl_->timer.cancel();
}

} // namespace imprint::central
