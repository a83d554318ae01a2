// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/archive_client.h"

#include "backup/package/record.h"
#include "provisioning/server/log.h"
#include "provisioning/server/tls.h"
#include "provisioning/server/url.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include <functional>
#include <optional>

namespace imprint::station {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using TlsStream = asio::ssl::stream<beast::tcp_stream>;
using Body = http::vector_body<std::uint8_t>;

namespace {

constexpr std::size_t max_answer = 64 * 1024;
constexpr std::size_t max_detail = 200;

pki::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

// The receipt has to be for these very bytes.
Handover check_receipt(BytesView receipt, const RecordEntry& record, const pki::Trust& trust)
{
    const auto opened = package::open_receipt(receipt, trust, now());
    if (!opened)
        return {Handover::Outcome::refused, {}, "its receipt: " + opened.refusal().detail};
    if (opened->chip_identifier != record.chip || opened->sequence != record.sequence ||
        opened->record_digest != package::record_digest(record.record))
        return {Handover::Outcome::refused, {}, "its receipt is for another record"};
    return {Handover::Outcome::accepted, {receipt.begin(), receipt.end()}, {}};
}

// What is put, or got where there is no content, and what is made of the body of a good answer.
struct Document {
    std::string path, type;
    Bytes content;
    std::function<Handover(BytesView)> accepted;
    std::size_t max_answer = station::max_answer;
};

std::string path_of(const RecordEntry& record)
{
    return "/v1/records/" + record.chip + "/" + std::to_string(record.sequence);
}

Handover judge(const http::response<Body>& response, const Document& document)
{
    const unsigned status = response.result_int();
    if (status == 200 || status == 201)
        return document.accepted(response.body());
    const std::string text = to_string(response.body()).substr(0, max_detail);
    const std::string detail = std::to_string(status) + " " + server::printable(text);
    return {status == 409 ? Handover::Outcome::conflict : Handover::Outcome::refused, {}, detail};
}

} // namespace

struct ArchiveClient::Impl {
    server::Location location;
    const Credentials& credentials;
    std::shared_ptr<const pki::Trust> trust;
    std::optional<asio::ssl::context> context; // another one with another trust

    Impl(const std::string& url, const Credentials& with)
        : location(server::parse_location("https", url, "an archive"))
        , credentials(with)
    {
        use(credentials.trust);
    }

    void use(std::shared_ptr<const pki::Trust> now_trusted)
    {
        auto fresh = server::client_context({credentials.tls, credentials.tls_key.get()},
                                            {now_trusted, pki::Role::archive, location.host}, {});
        context.emplace(fresh.release());
        trust = std::move(now_trusted);
    }

    asio::awaitable<void> connect(TlsStream& stream);
    asio::awaitable<Handover> exchange(TlsStream& stream, const Document& document);
    asio::awaitable<Handover> ask(Document document, std::chrono::seconds limit);
};

asio::awaitable<void> ArchiveClient::Impl::connect(TlsStream& stream)
{
    asio::ip::tcp::resolver resolver(stream.get_executor());
    const auto addresses = co_await resolver.async_resolve(location.host, location.port, asio::use_awaitable);
    co_await beast::get_lowest_layer(stream).async_connect(addresses, asio::use_awaitable);
    boost::system::error_code not_an_address;
    asio::ip::make_address(location.host, not_an_address);
    if (not_an_address)
        SSL_ctrl(stream.native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                 const_cast<char*>(location.host.c_str())); // the macro for it casts the C way
    co_await stream.async_handshake(asio::ssl::stream_base::client, asio::use_awaitable);
}

asio::awaitable<Handover> ArchiveClient::Impl::exchange(TlsStream& stream, const Document& document)
{
    http::request<Body> request(document.content.empty() ? http::verb::get : http::verb::put, document.path, 11);
    request.set(http::field::host, location.host + ":" + location.port);
    request.set(document.content.empty() ? http::field::accept : http::field::content_type, document.type);
    request.keep_alive(false);
    request.body() = document.content;
    request.prepare_payload();
    co_await http::async_write(stream, request, asio::use_awaitable);

    http::response_parser<Body> parser;
    parser.body_limit(document.max_answer);
    beast::flat_buffer buffer(max_answer);
    co_await http::async_read(stream, buffer, parser, asio::use_awaitable);
    co_return judge(parser.get(), document);
}

asio::awaitable<Handover> ArchiveClient::Impl::ask(Document document, std::chrono::seconds limit)
{
    const auto executor = co_await asio::this_coro::executor;
    TlsStream stream(executor, *context);
    beast::get_lowest_layer(stream).expires_after(limit);
    Handover handover;
    try {
        co_await connect(stream);
        handover = co_await exchange(stream, document);
    } catch (const boost::system::system_error& e) { // its what() has a place in Boost's source, too
        const auto refusal = server::peer_refusal(stream.native_handle());
        handover.detail = refusal ? "its certificate: " + refusal->detail : e.code().message();
    } catch (const std::exception& e) {
        handover.detail = e.what();
    }
    co_return handover;
}

ArchiveClient::ArchiveClient(const std::string& url, const Credentials& credentials)
    : impl_(std::make_unique<Impl>(url, credentials))
{
}

ArchiveClient::~ArchiveClient() = default;

void ArchiveClient::use(std::shared_ptr<const pki::Trust> trust) { impl_->use(std::move(trust)); }

asio::awaitable<Handover> ArchiveClient::put(const RecordEntry& record, std::chrono::seconds limit)
{
    return impl_->ask({path_of(record), "application/vnd.imprint.record", record.record,
                       [this, record](BytesView answer) { return check_receipt(answer, record, *impl_->trust); }},
                      limit);
}

asio::awaitable<Handover> ArchiveClient::put(const ReplacementEntry& replacement, std::chrono::seconds limit)
{
    return impl_->ask({"/v1/replacements/" + replacement.present, "application/vnd.imprint.replacement",
                       replacement.statement,
                       [](BytesView) {
                           return Handover{Handover::Outcome::accepted, {}, {}};
                       }},
                      limit);
}

asio::awaitable<Handover> ArchiveClient::read_back(const RecordEntry& record, const Bytes& receipt,
                                                   std::chrono::seconds limit)
{
    const auto compare = [this, record, receipt](BytesView answer) {
        if (!equal(answer, record.record))
            return Handover{Handover::Outcome::refused, {}, "it gives another record than it was given"};
        return check_receipt(receipt, record, *impl_->trust);
    };
    return impl_->ask({path_of(record), "application/vnd.imprint.record", {}, compare, record.record.size()}, limit);
}

} // namespace imprint::station
