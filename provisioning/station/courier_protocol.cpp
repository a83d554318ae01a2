// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/courier_protocol.h"

#include "daemon/base/secret.h"
#include "provisioning/protocol/courier_messages.h"
#include "provisioning/server/in_worker.h"
#include "provisioning/station/courier_session.h"

namespace imprint::station {

namespace asio = boost::asio;
using server::in_worker;

namespace {

pki::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

struct Conversation {
    Store& store;
    asio::thread_pool& worker;
    CourierSettings settings;
    std::function<void(const AuditEntry&)> journal;

    asio::awaitable<void> operator()(server::TlsStream& stream, OperationsPeer peer) const
    {
        CourierSession session(store, peer.certificate, peer.address, settings.public_address);
        const Result<Bytes> received = co_await server::read_message(stream, settings.message_timeout);
        auto work = [&] {
            return received ? session.receive(*received, now()) : session.reject(received.refusal(), now());
        };
        CourierAnswer made = co_await in_worker(worker, work);
        journal(made.audit);
        co_await server::write_message(stream, made.message, settings.message_timeout);
        cleanse(made.message);
    }
};

} // namespace

OperationsProtocol courier_protocol(Store& store, asio::thread_pool& worker, CourierSettings settings,
                                    std::function<void(const AuditEntry&)> journal)
{
    return {std::string(protocol::courier_alpn), pki::Role::station_operator,
            Conversation{store, worker, std::move(settings), std::move(journal)}};
}

} // namespace imprint::station
