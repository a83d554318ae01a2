// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/sync_protocol.h"

#include "provisioning/server/in_worker.h"

#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>

namespace imprint::station {

namespace asio = boost::asio;
using server::in_worker;

namespace {

pki::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

// The other side closes when it has said everything.
bool is_the_end(const boost::system::error_code& error)
{
    return error == asio::error::eof || error == asio::ssl::error::stream_truncated;
}

struct Conversation {
    Store& store;
    asio::thread_pool& worker;
    const std::shared_ptr<const pki::Trust>& trust;
    std::chrono::seconds message_timeout;
    std::function<void()> revoked;
    std::function<void(const SyncReply&)> told;

    asio::awaitable<void> operator()(server::TlsStream& stream, OperationsPeer peer) const
    {
        SyncReceiver session(store, trust, peer.certificate.common_name(), peer.address);
        try {
            for (bool last = false; !last;) {
                const Result<Bytes> received =
                    co_await server::read_message(stream, message_timeout, protocol::max_sync_message);
                auto work = [&] {
                    SyncReply made =
                        received ? session.receive(*received, now()) : session.reject(received.refusal(), now());
                    if (made.revoked)
                        revoked();
                    return made;
                };
                const SyncReply reply = co_await in_worker(worker, work);
                told(reply);
                co_await server::write_message(stream, reply.message, message_timeout, protocol::max_sync_message);
                last = reply.last;
            }
        } catch (const boost::system::system_error& e) {
            if (!is_the_end(e.code()))
                throw;
        }
    }
};

} // namespace

OperationsProtocol sync_protocol(Store& store, asio::thread_pool& worker,
                                 const std::shared_ptr<const pki::Trust>& trust, std::chrono::seconds message_timeout,
                                 std::function<void()> revoked, std::function<void(const SyncReply&)> told)
{
    return {std::string(protocol::sync_alpn), pki::Role::station_tls,
            Conversation{store, worker, trust, message_timeout, std::move(revoked), std::move(told)}};
}

} // namespace imprint::station
