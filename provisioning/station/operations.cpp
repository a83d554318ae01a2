// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/operations.h"

#include "provisioning/server/tls.h"

#include <algorithm>

namespace imprint::station {

namespace asio = boost::asio;

Operations::Operations(const Credentials& credentials, std::chrono::seconds handshake_timeout,
                       std::vector<OperationsProtocol> protocols, Refused refused)
    : credentials_(credentials)
    , protocols_(std::move(protocols))
    , handshake_timeout_(handshake_timeout)
    , refused_(std::move(refused))
{
    use(credentials_.trust);
}

void Operations::use(const std::shared_ptr<const pki::Trust>& trust)
{
    server::RoleOfProtocol roles;
    for (const auto& protocol : protocols_)
        roles.emplace(protocol.alpn, protocol.client);
    auto context = server::server_context({credentials_.tls, credentials_.tls_key.get()}, trust, roles);
    context_.emplace(context.release());
}

asio::awaitable<void> Operations::serve(server::Stream raw, std::string peer)
{
    server::TlsStream stream(std::move(raw), *context_);
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
