// SPDX-License-Identifier: Apache-2.0
#include "provisioning/central/newest_record.h"

#include "backup/package/record.h"
#include "provisioning/server/in_worker.h"
#include "provisioning/server/url.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include <charconv>
#include <unordered_map>

namespace imprint::central {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Body = http::vector_body<std::uint8_t>;
using Response = http::response<Body>;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::string_view records = "/v1/records/";
constexpr std::chrono::seconds limit{5}; // of one request
constexpr std::chrono::minutes kept{5};
constexpr std::chrono::seconds pause{10}; // after a failure: nobody waits for a dead archive again and again
constexpr std::size_t max_kept = 100'000;

asio::ip::tcp::resolver::results_type look_up(const asio::any_io_executor& executor, const server::Location& location)
{
    boost::system::error_code error;
    auto found = asio::ip::tcp::resolver(executor).resolve(location.host, location.port, error);
    if (error || found.empty())
        throw Error(Reason::not_configured, "cannot resolve the archive " + location.host + ": " + error.message());
    return found;
}

// Whether these bytes are a record of this chip and sequence, signed by its identity key and a station.
Verdict proves(BytesView bytes, const std::string& chip, std::uint64_t sequence, const pki::Trust& trust)
{
    const auto record = package::open_record(bytes, trust, std::nullopt);
    if (!record)
        return record.refusal();
    if (record->content.chip_identifier() != chip || record->content.sequence() != sequence)
        return Refusal{Reason::record_foreign, "the archive gave another record than it named"};
    return accepted();
}

Refusal unasked(const std::string& detail) { return {Reason::connection_lost, "the archive: " + detail}; }

} // namespace

struct NewestRecord::Impl {
    struct Known {
        std::uint64_t sequence = 0;
        Clock::time_point until;
    };

    server::Location location;
    asio::ip::tcp::resolver::results_type addresses;
    asio::thread_pool& worker;
    std::unordered_map<std::string, Known> known;
    Clock::time_point next_try;

    Impl(const asio::any_io_executor& executor, const std::string& url, asio::thread_pool& w)
        : location(server::parse_location("http", url, "an archive"))
        , addresses(look_up(executor, location))
        , worker(w)
    {
    }

    asio::awaitable<Response> request(http::verb verb, const std::string& target);
    asio::awaitable<std::uint64_t> claimed(const std::string& chip);
    asio::awaitable<Verdict> check(const std::string& chip, std::uint64_t sequence,
                                   std::shared_ptr<const pki::Trust> trust);
    void remember(const std::string& chip, std::uint64_t sequence);
};

// Throws boost::system::system_error.
asio::awaitable<Response> NewestRecord::Impl::request(http::verb verb, const std::string& target)
{
    const auto executor = co_await asio::this_coro::executor;
    beast::tcp_stream stream(executor);
    stream.expires_after(limit);
    co_await stream.async_connect(addresses, asio::use_awaitable);
    http::request<http::empty_body> message(verb, target, 11);
    message.set(http::field::host, location.host + ":" + location.port);
    message.keep_alive(false);
    co_await http::async_write(stream, message, asio::use_awaitable);
    http::response_parser<Body> parser;
    parser.body_limit(package::max_record);
    parser.skip(verb == http::verb::head);
    beast::flat_buffer buffer(package::max_record);
    co_await http::async_read(stream, buffer, parser, asio::use_awaitable);
    co_return parser.release();
}

// What the archive says is the newest; 0 where it has none. Throws Error, too.
asio::awaitable<std::uint64_t> NewestRecord::Impl::claimed(const std::string& chip)
{
    const std::string target = std::string(records) + chip;
    const Response response = co_await request(http::verb::head, target);
    if (response.result() == http::status::not_found)
        co_return 0;
    const auto sequence = response.result() == http::status::ok
        ? sequence_in(std::string(response[http::field::content_location]), chip)
        : std::nullopt;
    if (!sequence)
        throw Error(unasked("status " + std::to_string(response.result_int()) + ", and no sequence"));
    co_return *sequence;
}

asio::awaitable<Verdict> NewestRecord::Impl::check(const std::string& chip, std::uint64_t sequence,
                                                   std::shared_ptr<const pki::Trust> trust)
{
    const std::string target = std::string(records) + chip + "/" + std::to_string(sequence);
    const Response response = co_await request(http::verb::get, target);
    if (response.result() != http::status::ok)
        co_return unasked("it names a record that it does not have");
    auto work = [&] { return proves(response.body(), chip, sequence, *trust); };
    co_return co_await server::in_worker(worker, work);
}

void NewestRecord::Impl::remember(const std::string& chip, std::uint64_t sequence)
{
    if (known.size() >= max_kept)
        known.clear();
    known[chip] = {sequence, Clock::now() + kept};
}

NewestRecord::NewestRecord(const asio::any_io_executor& executor, const std::string& url, asio::thread_pool& worker)
    : impl_(std::make_unique<Impl>(executor, url, worker))
{
}

NewestRecord::~NewestRecord() = default;

asio::awaitable<Result<std::uint64_t>> NewestRecord::above(std::string chip, std::uint64_t epoch,
                                                           std::shared_ptr<const pki::Trust> trust)
{
    const auto before = impl_->known.find(chip);
    if (before != impl_->known.end() && Clock::now() < before->second.until)
        co_return std::max(before->second.sequence, epoch);
    if (Clock::now() < impl_->next_try)
        co_return unasked("it did not answer a moment ago");
    std::optional<Refusal> failed;
    std::uint64_t sequence = 0;
    try {
        sequence = co_await impl_->claimed(chip);
        if (sequence > epoch) {
            const Verdict verdict = co_await impl_->check(chip, sequence, std::move(trust));
            if (!verdict)
                co_return verdict.refusal();
        }
    } catch (const boost::system::system_error& e) { // its what() has a place in Boost's source, too
        failed = unasked(e.code().message());
    } catch (const Error& e) {
        failed = e.refusal();
    }
    if (failed) {
        impl_->next_try = Clock::now() + pause;
        co_return *failed;
    }
    impl_->remember(chip, sequence);
    co_return std::max(sequence, epoch);
}

std::optional<std::uint64_t> sequence_in(std::string_view content_location, std::string_view chip)
{
    const std::string expected = std::string(records) + std::string(chip) + "/";
    if (!content_location.starts_with(expected))
        return std::nullopt;
    content_location.remove_prefix(expected.size());
    std::uint64_t value = 0;
    const char* last = content_location.data() + content_location.size();
    const auto [end, error] = std::from_chars(content_location.data(), last, value);
    if (error != std::errc() || end != last || std::to_string(value) != content_location)
        return std::nullopt;
    return value;
}

} // namespace imprint::central
