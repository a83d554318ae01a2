// SPDX-License-Identifier: Apache-2.0
#include "provisioning/central/own_answer.h"
#include "provisioning/central/server_impl.h"
#include "provisioning/protocol/framing.h"
#include "provisioning/protocol/transaction_key.h"
#include "provisioning/server/in_worker.h"
#include "provisioning/server/log.h"

namespace imprint::central {

using server::in_worker;
using server::Priority;

namespace {

constexpr std::size_t unique_id_size = 16;

void log_refusal(std::string_view message, const std::string& address, const std::string& chip, const Refusal& why)
{
    server::Fields fields{{"PEER", address}};
    if (!chip.empty())
        fields.emplace_back("CHIP", chip);
    fields.emplace_back("REASON", name(why.reason));
    fields.emplace_back("DETAIL", why.detail);
    log(Priority::notice, message, fields);
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

} // namespace imprint::central
