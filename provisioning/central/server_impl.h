// SPDX-License-Identifier: Apache-2.0
// What the parts of the server share: server.cpp has its life and its files, server_guests.cpp its connections.
#pragma once

#include "provisioning/central/backend.h"
#include "provisioning/central/connections.h"
#include "provisioning/central/key_session.h"
#include "provisioning/central/lists_in_force.h"
#include "provisioning/central/newest_record.h"
#include "provisioning/central/proxy_header.h"
#include "provisioning/central/server.h"
#include "provisioning/server/tls.h"
#include "provisioning/server/tls_stream.h"

#include <boost/asio/steady_timer.hpp>

namespace imprint::central {

namespace asio = boost::asio;
using server::TlsStream;

inline pki::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

struct Server::Impl {
    ServerSettings settings;
    Credentials credentials;
    Store store; // the worker's
    Store reader; // the network's: a handshake cannot wait for the worker
    Sealer sealer;
    ListsInForce lists; // the worker's
    std::shared_ptr<const pki::Trust> trust; // the network's view of it
    std::optional<pki::Trust> next_bundle; // that the lists are to take up
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

    Impl(server::Service& service, ServerSettings s, Credentials c, Secret storage_key);

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

} // namespace imprint::central
