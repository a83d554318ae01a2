// SPDX-License-Identifier: Apache-2.0
#include "backup/archive/http_server.h"

#include "backup/archive/api.h"
#include "backup/archive/group_commit.h"
#include "backup/archive/waiting.h"
#include "provisioning/server/listener.h"
#include "provisioning/server/log.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/http.hpp>

namespace imprint::archive {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using server::Stream;
using TlsStream = asio::ssl::stream<Stream>;
using Body = http::vector_body<std::uint8_t>;
using Parser = http::request_parser<Body>;

namespace {

constexpr std::uint32_t max_header = 8 * 1024;
constexpr std::size_t max_buffer = 64 * 1024;
constexpr std::size_t writers = 16; // that check records, and then share a commit
// What a peer may go on sending after it was refused, so that it reads the answer before the connection is reset.
constexpr std::size_t max_drained = 1024 * 1024;

struct Peer {
    std::string address;
    std::string client; // server::client_of
    Waiting& waiting; // of its listener
    Caller caller = Caller::anybody;
    std::string name = {}; // in its certificate
};

pki::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

Method method_of(http::verb verb)
{
    switch (verb) {
    case http::verb::get:
        return Method::get;
    case http::verb::head:
        return Method::head;
    case http::verb::put:
        return Method::put;
    default:
        return Method::other;
    }
}

Request head_of(const http::request_header<>& header, const Peer& peer)
{
    return {method_of(header.method()),
            std::string(header.target()),
            std::string(header[http::field::content_type]),
            std::string(header[http::field::if_none_match]),
            {},
            peer.caller};
}

// The answer to a request that could not be read, where one can still be sent.
std::optional<Answer> answer_error(const error_code& error)
{
    if (error == http::error::body_limit)
        return problem({Reason::message_too_large, "at most " + std::to_string(package::max_record) + " bytes"});
    if (error == http::error::header_limit)
        return problem({Reason::message_too_large, "the head of the request is too large"});
    if (error == http::error::end_of_stream || error == http::error::partial_message ||
        error.category() != make_error_code(http::error::bad_method).category())
        return std::nullopt;
    return problem({Reason::malformed_message, "this is not HTTP: " + error.message()});
}

template <class Message>
void fill(Message& message, const Answer& answer, bool keep_alive)
{
    message.result(answer.status);
    for (const auto& [name, value] : answer.headers)
        message.set(name, value);
    message.keep_alive(keep_alive);
    if (answer.status != 304)
        message.content_length(answer.body.size());
}

bool has_body(const Parser& parser) { return parser.chunked() || parser.content_length().value_or(0) > 0; }

void log_put(const Peer& peer, const Request& request, const Answer& answer)
{
    server::Fields fields{{"STATION", peer.name}, {"PEER", peer.address}, {"TARGET", request.target}};
    const std::string what = parse_replacement_path(request.target) ? "replacement" : "record";
    if (!answer.refusal) {
        log(server::Priority::info, what + (answer.status == 201 ? " accepted" : " known already"), fields);
        return;
    }
    fields.emplace_back("REASON", name(answer.refusal->reason));
    fields.emplace_back("DETAIL", answer.refusal->detail);
    log(server::Priority::notice, what + " refused", fields);
}

} // namespace

struct HttpServer::Impl : std::enable_shared_from_this<Impl> {
    HttpSettings settings;
    std::shared_ptr<const pki::Trust> trust; // the network's; whoever works with it elsewhere has a share of it
    Signer signer;
    std::unique_ptr<Store> read_store;
    GroupCommit write_store; // all writers at once
    RateLimit rate_limit;
    std::optional<asio::ssl::context> tls; // another one with another trust
    std::list<Waiting> waiting; // of each listener
    std::vector<std::unique_ptr<server::Listener>> listeners;
    bool stopping = false;
    asio::thread_pool reader{1}, writer{writers}; // last: what runs in them uses the above

    Impl(HttpSettings s, std::shared_ptr<const pki::Trust> t, Signer by)
        : settings(std::move(s))
        , signer(std::move(by))
        , read_store(open_store(settings.database))
        , write_store(open_store(settings.database), open_store(settings.database))
        , rate_limit(settings.rates)
    {
        use(std::move(t));
    }

    void use(std::shared_ptr<const pki::Trust> now_trusted);
    void listen(server::Service& service);
    void stop();
    asio::awaitable<void> serve_public(Stream stream, Peer peer);
    asio::awaitable<void> serve_known(Stream stream, Peer peer);
    std::optional<Answer> refuse_from_head(const Request& head, const Parser& parser, const Peer& peer);
    template <class S>
    asio::awaitable<void> serve(S& stream, const Peer& peer);
    template <class S>
    asio::awaitable<bool> exchange(S& stream, beast::flat_buffer& buffer, const Peer& peer);
    template <class S>
    asio::awaitable<error_code> read_head(S& stream, beast::flat_buffer& buffer, Parser& parser, const Peer& peer);
    template <class S>
    asio::awaitable<error_code> read_body(S& stream, beast::flat_buffer& buffer, Parser& parser);
    template <class S>
    asio::awaitable<void> refuse(S& stream, const std::optional<Answer>& answer, const Peer& peer);
    template <class S>
    asio::awaitable<bool> write(S& stream, Answer answer, bool head_only, bool keep_alive, const Peer& peer);
    asio::awaitable<Answer> answer(const Request& request, const Peer& peer);
};

void HttpServer::Impl::use(std::shared_ptr<const pki::Trust> now_trusted)
{
    auto context =
        server::server_context({signer.chain, signer.key.get()},
                               server::PeerPolicy{now_trusted, pki::Role::station_tls, {}, pki::Role::mirror}, {});
    tls.emplace(context.release());
    trust = std::move(now_trusted);
}

// Off the network's thread: signatures are checked and commits waited for.
asio::awaitable<Answer> HttpServer::Impl::answer(const Request& request, const Peer& peer)
{
    const bool put = request.method == Method::put;
    const auto make = [this, put, &request, trusted = trust] {
        return put ? answer_put(write_store, *trusted, signer, request, now())
                   : answer_read(*read_store, signer, request, now());
    };
    auto work = [&make]() -> asio::awaitable<Answer> { co_return make(); };
    asio::thread_pool& pool = put ? writer : reader;
    Answer made = co_await asio::co_spawn(pool.get_executor(), work, asio::use_awaitable);
    if (put)
        log_put(peer, request, made);
    co_return made;
}

template <class S>
asio::awaitable<bool> HttpServer::Impl::write(S& stream, Answer answer, bool head_only, bool keep_alive,
                                              const Peer& peer)
{
    Stream& lowest = beast::get_lowest_layer(stream);
    lowest.expires_after(settings.deadline);
    const Waiting::Turn turn(peer.waiting, lowest, Waiting::For::rest);
    error_code error;
    if (head_only || answer.status == 304) {
        http::response<http::empty_body> response;
        fill(response, answer, keep_alive);
        co_await http::async_write(stream, response, asio::redirect_error(asio::use_awaitable, error));
    } else {
        http::response<Body> response;
        fill(response, answer, keep_alive);
        response.body() = std::move(answer.body);
        co_await http::async_write(stream, response, asio::redirect_error(asio::use_awaitable, error));
    }
    co_return !error;
}

template <class S>
asio::awaitable<void> HttpServer::Impl::refuse(S& stream, const std::optional<Answer>& answer, const Peer& peer)
{
    if (!answer)
        co_return;
    const bool written = co_await write(stream, *answer, false, false, peer);
    if (!written)
        co_return;
    const Waiting::Turn turn(peer.waiting, beast::get_lowest_layer(stream), Waiting::For::rest);
    error_code error;
    if constexpr (std::is_same_v<S, Stream>)
        stream.socket().shutdown(asio::socket_base::shutdown_send, error);
    std::array<std::uint8_t, 16 * 1024> buffer{};
    for (std::size_t drained = 0; !error && drained < max_drained;) {
        const std::size_t n =
            co_await stream.async_read_some(asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
        drained += n;
    }
}

template <class S>
asio::awaitable<error_code> HttpServer::Impl::read_head(S& stream, beast::flat_buffer& buffer, Parser& parser,
                                                        const Peer& peer)
{
    parser.header_limit(max_header);
    parser.body_limit(package::max_record);
    Stream& lowest = beast::get_lowest_layer(stream);
    lowest.expires_after(settings.deadline); // for the whole request
    const Waiting::Turn turn(peer.waiting, lowest, Waiting::For::request);
    error_code error;
    co_await http::async_read_header(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
    co_return error;
}

template <class S>
asio::awaitable<error_code> HttpServer::Impl::read_body(S& stream, beast::flat_buffer& buffer, Parser& parser)
{
    error_code error;
    if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
        http::response<http::empty_body> go_on{http::status::continue_, 11};
        co_await http::async_write(stream, go_on, asio::redirect_error(asio::use_awaitable, error));
        if (error)
            co_return error;
    }
    co_await http::async_read(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
    co_return error;
}

// What is answered without the body, and the database, of the request.
std::optional<Answer> HttpServer::Impl::refuse_from_head(const Request& head, const Parser& parser, const Peer& peer)
{
    if (peer.caller == Caller::anybody)
        if (const auto pause = rate_limit.refuse(peer.client, std::chrono::steady_clock::now()))
            return too_many(*pause);
    if (auto answer = answer_head(head))
        return answer;
    if (head.method != Method::put && has_body(parser))
        return problem({Reason::invalid_argument, "this request takes no body"});
    return std::nullopt;
}

// One request and its answer; false when it was the last one.
template <class S>
asio::awaitable<bool> HttpServer::Impl::exchange(S& stream, beast::flat_buffer& buffer, const Peer& peer)
{
    Parser parser;
    error_code error = co_await read_head(stream, buffer, parser, peer);
    if (error) {
        const std::optional<Answer> told = answer_error(error);
        co_await refuse(stream, told, peer);
        co_return false;
    }
    Request request = head_of(parser.get().base(), peer);
    std::optional<Answer> early = refuse_from_head(request, parser, peer);
    if (early && has_body(parser)) { // which nobody wants to read
        co_await refuse(stream, early, peer);
        co_return false;
    }
    error = co_await read_body(stream, buffer, parser);
    if (error) {
        const std::optional<Answer> told = answer_error(error);
        co_await refuse(stream, told, peer);
        co_return false;
    }
    request.body = std::move(parser.get().body());
    const bool keep_alive = parser.keep_alive() && !stopping;
    if (!early) {
        Answer made = co_await answer(request, peer);
        early = std::move(made);
    }
    const bool written = co_await write(stream, *std::move(early), request.method == Method::head, keep_alive, peer);
    co_return written&& keep_alive;
}

template <class S>
asio::awaitable<void> HttpServer::Impl::serve(S& stream, const Peer& peer)
{
    beast::flat_buffer buffer(max_buffer);
    for (bool more = true; more && !stopping;)
        more = co_await exchange(stream, buffer, peer);
}

asio::awaitable<void> HttpServer::Impl::serve_public(Stream stream, Peer peer)
{
    const auto self = shared_from_this();
    co_await serve(stream, peer);
    error_code ignored;
    stream.socket().shutdown(asio::socket_base::shutdown_send, ignored);
}

// A station or a mirror.
asio::awaitable<void> HttpServer::Impl::serve_known(Stream stream, Peer peer)
{
    const auto self = shared_from_this();
    TlsStream secure(std::move(stream), *tls);
    error_code error;
    secure.next_layer().expires_after(settings.deadline);
    {
        const Waiting::Turn turn(peer.waiting, secure.next_layer(), Waiting::For::request);
        co_await secure.async_handshake(TlsStream::server, asio::redirect_error(asio::use_awaitable, error));
    }
    if (error) {
        const auto refusal = server::peer_refusal(secure.native_handle());
        log(server::Priority::notice, "station refused",
            {{"PEER", peer.address},
             {"REASON", std::string(name(refusal ? refusal->reason : Reason::connection_lost))},
             {"DETAIL", refusal ? refusal->detail : error.message()}});
        co_return;
    }
    const auto certificate = server::peer_certificate(secure.native_handle()).value();
    peer.name = certificate.common_name();
    peer.caller = certificate.has_extended_key_usage(std::string(pki::role_oid(pki::Role::mirror))) ? Caller::mirror
                                                                                                    : Caller::station;
    co_await serve(secure, peer);
    secure.next_layer().expires_after(settings.deadline);
    co_await secure.async_shutdown(asio::redirect_error(asio::use_awaitable, error));
}

void HttpServer::Impl::listen(server::Service& service)
{
    // The handlers do not own the Impl, which owns the listeners; the connections do.
    const auto open = [&](const std::string& what, const std::string& address, auto handler) {
        auto listener = std::make_unique<server::Listener>(service.io().get_executor(), address,
                                                           settings.max_connections, settings.max_per_client);
        Waiting& wait = waiting.emplace_back();
        listener->start(
            [this, &wait, handler](Stream stream, std::string from) {
                Peer peer{std::move(from), server::client_of(stream), wait};
                return (this->*handler)(std::move(stream), std::move(peer));
            },
            [&wait] { wait.end_longest(); });
        server::Service::announce(what, listener->address());
        listeners.push_back(std::move(listener));
    };
    for (const auto& address : settings.public_addresses)
        open("http", address, &Impl::serve_public);
    for (const auto& address : settings.station_addresses)
        open("https", address, &Impl::serve_known);
}

void HttpServer::Impl::stop()
{
    stopping = true;
    for (const auto& listener : listeners)
        listener->close();
    for (Waiting& wait : waiting)
        wait.end_idle();
}

HttpServer::HttpServer(server::Service& service, HttpSettings settings, std::shared_ptr<const pki::Trust> trust,
                       Signer signer)
    : impl_(std::make_shared<Impl>(std::move(settings), std::move(trust), std::move(signer)))
{
    impl_->listen(service);
    service.on_stop([impl = impl_] { impl->stop(); });
}

HttpServer::~HttpServer() = default;

void HttpServer::use(std::shared_ptr<const pki::Trust> trust) { impl_->use(std::move(trust)); }

} // namespace imprint::archive
