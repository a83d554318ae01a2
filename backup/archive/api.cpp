// SPDX-License-Identifier: Apache-2.0
#include "backup/archive/api.h"

#include "backup/archive/listing.h"
#include "backup/archive/newest.h"
#include "daemon/structures/name.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>

namespace imprint::archive {

namespace {

constexpr std::string_view records_prefix = "/v1/records/";
constexpr std::string_view replacements_prefix = "/v1/replacements/";
constexpr std::string_view health_path = "/healthz";
constexpr std::size_t chip_size = 64;

// One answer for everything that is not there, so that it tells nothing about what is.
Answer not_found() { return problem({Reason::record_not_found, "nothing is here"}); }

unsigned status_of(Reason reason)
{
    switch (reason) {
    case Reason::malformed_message:
    case Reason::invalid_argument:
        return 400;
    case Reason::not_authorized:
        return 403;
    case Reason::record_not_found:
        return 404;
    case Reason::unexpected_message:
        return 405;
    case Reason::timed_out:
        return 408;
    case Reason::sequence_taken:
    case Reason::identity_taken:
    case Reason::key_mismatch:
    case Reason::chip_replaced:
        return 409;
    case Reason::message_too_large:
        return 413;
    case Reason::rate_limited:
        return 429;
    case Reason::internal:
        return 500;
    case Reason::storage_failed:
        return 503;
    default:
        return 422;
    }
}

// RFC 9110, 13.1.2: `*`, or a list of tags that are compared weakly. No tag of ours has a comma in it.
bool matches(std::string_view if_none_match, std::string_view tag)
{
    if (if_none_match == "*")
        return true;
    for (bool more = true; more;) {
        const auto comma = if_none_match.find(',');
        std::string_view one = if_none_match.substr(0, comma);
        one.remove_prefix(std::min(one.find_first_not_of(" \t"), one.size()));
        one = one.substr(0, one.find_last_not_of(" \t") + 1);
        if (one.starts_with("W/"))
            one.remove_prefix(2);
        if (one == tag)
            return true;
        more = comma != std::string_view::npos;
        if_none_match.remove_prefix(more ? comma + 1 : 0);
    }
    return false;
}

Answer record_answer(Published published, const RecordPath& path, const Request& request)
{
    const std::string tag = '"' + hex(published.digest) + '"';
    Answer answer;
    answer.headers = {{"ETag", tag},
                      // By sequence it never changes; the newest has to be asked for anew.
                      {"Cache-Control", path.sequence ? "public, max-age=31536000, immutable" : "no-cache"},
                      {"Content-Location", record_target(path.chip_identifier, published.sequence)}};
    if (matches(request.if_none_match, tag)) {
        answer.status = 304;
        return answer;
    }
    answer.status = 200;
    answer.headers.emplace_back("Content-Type", record_type);
    answer.body = std::move(published.record);
    return answer;
}

// What only a mirror may ask for; to everybody else it is not there.
bool is_for_mirror(const Request& request)
{
    return request.caller == Caller::mirror && (parse_list(request.target) || parse_receipt_path(request.target));
}

// `body` never changes and is for everybody to keep.
Answer lasting_answer(BytesView body, std::string_view type, std::string_view scope, const Request& request)
{
    const std::string tag = '"' + hex(package::record_digest(body)) + '"';
    Answer answer{
        200, {{"ETag", tag}, {"Cache-Control", std::string(scope) + ", max-age=31536000, immutable"}}, {}, {}};
    if (matches(request.if_none_match, tag)) {
        answer.status = 304;
        return answer;
    }
    answer.headers.emplace_back("Content-Type", type);
    answer.body.assign(body.begin(), body.end());
    return answer;
}

Answer health()
{
    return {200,
            {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}},
            to_bytes("{\"status\":\"ok\"}\n"),
            {}};
}

} // namespace

std::optional<std::uint64_t> parse_sequence(std::string_view text)
{
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || std::to_string(value) != text)
        return std::nullopt;
    return value;
}

std::optional<RecordPath> parse_path(std::string_view target)
{
    if (!target.starts_with(records_prefix))
        return std::nullopt;
    target.remove_prefix(records_prefix.size());
    RecordPath path{std::string(target.substr(0, chip_size)), {}};
    if (!structures::is_chip_identifier(path.chip_identifier))
        return std::nullopt;
    target.remove_prefix(chip_size);
    if (target.empty())
        return path;
    path.sequence = target.front() == '/' ? parse_sequence(target.substr(1)) : std::nullopt;
    if (!path.sequence)
        return std::nullopt;
    return path;
}

std::string record_target(const std::string& chip_identifier, std::uint64_t sequence)
{
    return std::string(records_prefix) + chip_identifier + '/' + std::to_string(sequence);
}

std::string replacement_target(const std::string& chip_identifier)
{
    return std::string(replacements_prefix) + chip_identifier;
}

std::optional<std::string> parse_replacement_path(std::string_view target)
{
    if (!target.starts_with(replacements_prefix))
        return std::nullopt;
    std::string chip_identifier(target.substr(replacements_prefix.size()));
    if (!structures::is_chip_identifier(chip_identifier))
        return std::nullopt;
    return chip_identifier;
}

Answer problem(const Refusal& refusal) { return problem(refusal, status_of(refusal.reason)); }

Answer problem(const Refusal& refusal, unsigned status)
{
    const nlohmann::ordered_json body{
        {"type", "about:blank"},    {"title", sentence(refusal.reason)}, {"status", status},
        {"detail", refusal.detail}, {"reason", name(refusal.reason)},    {"hint", hint(refusal.reason)}};
    // What came from outside may be no UTF-8.
    const std::string text = body.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + "\n";
    return {
        status, {{"Content-Type", "application/problem+json"}, {"Cache-Control", "no-store"}}, to_bytes(text), refusal};
}

Answer too_many(std::chrono::seconds pause)
{
    Answer answer = problem({Reason::rate_limited, "more requests than the archive answers in a second"});
    answer.headers.emplace_back("Retry-After", std::to_string(pause.count()));
    return answer;
}

std::optional<Answer> answer_head(const Request& head)
{
    const auto path = parse_path(head.target);
    const bool replacement = parse_replacement_path(head.target).has_value();
    if (!path && !replacement && !parse_newest(head.target) && !is_for_mirror(head) && head.target != health_path)
        return not_found();
    if (head.method == Method::get || head.method == Method::head)
        return std::nullopt;
    const bool may_be_put = head.caller == Caller::station && (replacement || (path && path->sequence));
    if (head.method != Method::put || !may_be_put) {
        Answer answer = problem({Reason::unexpected_message, "this method is not for this resource on this listener"});
        answer.headers.emplace_back("Allow", may_be_put ? "GET, HEAD, PUT" : "GET, HEAD");
        return answer;
    }
    const auto type = replacement ? replacement_type : record_type;
    if (head.content_type != type)
        return problem({Reason::invalid_argument, "only " + std::string(type) + " is taken"}, 415);
    return std::nullopt;
}

Answer answer_read(Store& store, const Signer& signer, const Request& request, pki::Time now)
try {
    if (const auto chip = parse_replacement_path(request.target)) {
        const auto replacement = store.replacement_by(*chip);
        return replacement ? lasting_answer(replacement->statement, replacement_type, "public", request) : not_found();
    }
    if (const auto question = parse_newest(request.target))
        return answer_newest(store, signer, *question, now);
    if (is_for_mirror(request)) {
        if (const auto question = parse_list(request.target))
            return answer_list(store, *question);
        const auto receipt = parse_receipt_path(request.target).value();
        const auto entry = store.find(receipt.chip_identifier, receipt.sequence.value());
        return entry ? lasting_answer(entry->receipt, receipt_type, "private", request) : not_found();
    }
    const auto path = parse_path(request.target);
    if (!path) {
        store.read(std::string(chip_size, '0'), {}); // throws when the database fails
        return health();
    }
    auto published = store.read(path->chip_identifier, path->sequence);
    return published ? record_answer(*std::move(published), *path, request) : not_found();
} catch (const Error& error) {
    return problem(error.refusal());
}

Answer answer_put(Store& store, const pki::Trust& trust, const Signer& signer, const Request& request, pki::Time now)
try {
    if (const auto chip = parse_replacement_path(request.target)) {
        const auto fresh = ingest_replacement(store, trust, *chip, request.body, now);
        return fresh ? Answer{*fresh ? 201U : 200U, {{"Cache-Control", "no-store"}}, {}, {}} : problem(fresh.refusal());
    }
    const auto path = parse_path(request.target);
    if (!path || !path->sequence)
        return not_found();
    const auto added = ingest(store, trust, signer, path->chip_identifier, *path->sequence, request.body, now);
    if (!added)
        return problem(added.refusal());
    Answer answer{added->fresh ? 201U : 200U, {{"Content-Type", std::string(receipt_type)}}, added->receipt, {}};
    answer.headers.emplace_back("Cache-Control", "no-store");
    if (added->fresh)
        answer.headers.emplace_back("Location", request.target);
    return answer;
} catch (const Error& error) {
    return problem(error.refusal());
}

} // namespace imprint::archive
