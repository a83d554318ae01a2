// SPDX-License-Identifier: Apache-2.0
#include "backup/archive/https_source.h"

#include "backup/archive/listing.h"
#include "backup/package/receipt.h"
#include "backup/package/replacement.h"
#include "provisioning/server/log.h"
#include "provisioning/server/url.h"

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include <sstream>

namespace imprint::archive {

namespace http = boost::beast::http;

namespace {

constexpr std::chrono::seconds patience{30}; // for a connection, and for each answer
constexpr std::size_t max_head = 8 * 1024;
constexpr std::size_t max_problem = 8 * 1024;
constexpr std::size_t max_detail = 200;
constexpr std::size_t at_once = 32; // records, with their receipts, in one go

tls::Deadline soon() { return std::chrono::steady_clock::now() + patience; }

std::string address_of(const std::string& url)
{
    const auto location = server::parse_location("https", url, "an archive");
    const bool v6 = location.host.find(':') != std::string::npos;
    return (v6 ? "[" + location.host + "]" : location.host) + ":" + location.port;
}

Refusal malformed(const std::string& detail) { return {Reason::malformed_message, "the archive's answer " + detail}; }

struct Head {
    unsigned status = 0;
    std::size_t size = 0; // of the body
};

Head read_head(tls::Stream& stream)
{
    const auto deadline = soon();
    std::string text;
    while (!text.ends_with("\r\n\r\n") && text.size() < max_head)
        text += to_string(stream.read(1, deadline)); // what follows belongs to the body
    http::response_parser<http::empty_body> parser;
    parser.body_limit(boost::none);
    boost::system::error_code error;
    parser.put(boost::asio::buffer(text), error);
    if ((error && error != http::error::need_more) || !parser.is_header_done())
        throw Error(malformed("is not HTTP: " + error.message()));
    const auto size = parser.content_length();
    if (!size)
        throw Error(malformed("does not tell its length"));
    return {parser.get().result_int(), *size};
}

Error unwelcome(unsigned status, BytesView body)
{
    const std::string text = server::printable(to_string(body)).substr(0, max_detail);
    return {status == 503 ? Reason::storage_failed : Reason::unexpected_message,
            "the archive answers " + std::to_string(status) + ": " + text};
}

} // namespace

HttpsSource::HttpsSource(const std::string& url, const pki::Trust& trust, tls::ClientIdentity identity)
    : address_(address_of(url))
    , trust_(trust)
    , context_(tls::shared_context(std::move(identity)))
{
}

void HttpsSource::connect()
{
    const auto deadline = soon();
    stream_.emplace(tls::connect(address_, 443, deadline, never_),
                    tls::ClientSettings{trust_, pki::Role::archive, tls::host_of(address_), "", {}}, context_, deadline,
                    never_);
}

std::optional<Bytes> HttpsSource::read_answer(std::size_t limit)
{
    const Head head = read_head(*stream_);
    if (head.size > (head.status == 200 ? limit : max_problem))
        throw Error(Reason::message_too_large, "the archive's answer has " + std::to_string(head.size) + " bytes");
    Bytes body = stream_->read(head.size, soon());
    if (head.status == 404)
        return std::nullopt;
    if (head.status != 200)
        throw unwelcome(head.status, body);
    return body;
}

std::vector<std::optional<Bytes>> HttpsSource::exchange(const std::vector<Question>& questions)
{
    std::string requests;
    for (const auto& question : questions)
        requests += "GET " + question.target + " HTTP/1.1\r\nHost: " + address_ + "\r\n\r\n";
    stream_->write(as_bytes(requests), soon());
    std::vector<std::optional<Bytes>> answers;
    for (const auto& question : questions)
        answers.push_back(read_answer(question.limit));
    return answers;
}

// A connection that was idle while records were proved and written may have ended.
std::vector<std::optional<Bytes>> HttpsSource::ask(const std::vector<Question>& questions)
{
    for (bool fresh = false;;)
        try {
            if (!stream_) {
                fresh = true;
                connect();
            }
            return exchange(questions);
        } catch (const Error& error) {
            stream_.reset();
            if (fresh || error.reason() != Reason::connection_lost)
                throw;
        }
}

Bytes HttpsSource::ask(const Question& question)
{
    auto answer = std::move(ask(std::vector{question}).front());
    if (!answer)
        throw Error(Reason::not_authorized,
                    "the archive does not list its records: it does so for certificates that"
                    " imprint-authority mirror made");
    return *std::move(answer);
}

void HttpsSource::visit(const std::function<void(const Listed&)>& visitor)
{
    ListQuestion question{false, 0, max_listed};
    for (bool more = true; more;) {
        const auto page = read_records(ask({list_target(question), max_list}), question).or_throw();
        for (const auto& one : page)
            visitor(one);
        more = !page.empty();
        question.after = more ? page.back().number : question.after;
    }
}

std::vector<Result<Copy>> HttpsSource::fetch(std::span<const Listed> records)
{
    std::vector<Result<Copy>> copies;
    while (!records.empty()) {
        const auto some = records.first(std::min(records.size(), at_once));
        records = records.subspan(some.size());
        std::vector<Question> questions;
        for (const auto& one : some) {
            questions.push_back({record_target(one.chip, one.sequence), package::max_record});
            questions.push_back({receipt_target(one.chip, one.sequence), package::max_receipt});
        }
        auto answers = ask(questions);
        for (std::size_t i = 0; i < some.size(); ++i)
            if (answers[2 * i] && answers[2 * i + 1])
                copies.emplace_back(
                    Copy{some[i].chip, some[i].sequence, *std::move(answers[2 * i]), *std::move(answers[2 * i + 1])});
            else
                copies.emplace_back(Refusal{Reason::record_not_found, "the archive lists it, and does not give it"});
    }
    return copies;
}

// What cannot be opened stays as it is, for whoever proves it.
std::vector<Replacement> HttpsSource::replacements()
{
    std::vector<Replacement> all;
    ListQuestion question{true, 0, max_listed};
    for (bool more = true; more;) {
        const auto page = read_replacements(ask({list_target(question), max_list}), question).or_throw();
        for (const auto& one : page) {
            Bytes statement = ask({replacement_target(one.present), package::max_replacement});
            const auto opened = package::open_replacement(statement, trust_, std::nullopt);
            all.push_back(opened ? Replacement{opened->former, opened->present, opened->identity, opened->time,
                                               std::move(statement)}
                                 : Replacement{{}, one.present, {}, {}, std::move(statement)});
        }
        more = !page.empty();
        question.after = more ? page.back().number : question.after;
    }
    return all;
}

} // namespace imprint::archive
