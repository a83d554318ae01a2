// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/operations.h"

#include "provisioning/server/tls.h"

#include <algorithm>

namespace imprint::station {

namespace asio = boost::asio;

namespace {

server::TlsContext context_of(const Credentials& credentials, const std::vector<OperationsProtocol>& protocols)
{
    server::RoleOfProtocol roles;
    for (const auto& protocol : protocols)
        roles.emplace(protocol.alpn, protocol.client);
    return server::server_context({credentials.tls, credentials.tls_key.get()}, credentials.trust, roles);
}

} // namespace

Operations::Operations(const Credentials& credentials, std::chrono::seconds handshake_timeout,
                       std::vector<OperationsProtocol> protocols, Refused refused)
    : protocols_(std::move(protocols))
    , handshake_timeout_(handshake_timeout)
    , refused_(std::move(refused))
    , context_(context_of(credentials, protocols_).release())
{
}

asio::awaitable<void> Operations::serve(server::Stream raw, std::string peer)
{
    server::TlsStream stream(std::move(raw), context_);
    const std::optional<Refusal> refused = co_await server::accept_tls(stream, handshake_timeout_);
    if (refused) {
        co_await refused_(*refused, std::move(peer));
        co_return;
    }
    co_await dispatch(stream, std::move(peer));
    co_await server::leave(stream);
}

asio::awaitable<void> Operations::dispatch(server::TlsStream& stream, std::string peer)
{
    const std::string alpn = server::negotiated(stream.native_handle());
    const auto protocol = std::ranges::find(protocols_, alpn, &OperationsProtocol::alpn);
    const auto certificate = server::peer_certificate(stream.native_handle());
    // The handshake has seen to both: nothing is let through by what cannot be.
    if (protocol == protocols_.end() || !certificate)
        throw Error(Reason::internal, "a handshake without protocol or certificate");
    OperationsPeer caller{std::move(peer), *certificate};
    co_await protocol->converse(stream, std::move(caller));
}

} // namespace imprint::station
