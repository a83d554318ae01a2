// SPDX-License-Identifier: Apache-2.0
// The archive's HTTP interface, free of sockets: a request in, an answer out. archive.md describes it as prose.
#pragma once

#include "backup/archive/ingest.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace imprint::archive {

inline constexpr std::string_view record_type = "application/vnd.imprint.record";
inline constexpr std::string_view receipt_type = "application/vnd.imprint.receipt";
inline constexpr std::string_view replacement_type = "application/vnd.imprint.replacement";

enum class Method { get, head, put, other };
enum class Caller { anybody, station, mirror }; // by the certificate that it showed

struct Request {
    Method method = Method::other;
    std::string target;
    std::string content_type;
    std::string if_none_match;
    Bytes body;
    Caller caller = Caller::anybody;
};

struct Answer {
    unsigned status = 500;
    std::vector<std::pair<std::string, std::string>> headers;
    Bytes body; // of HEAD too: whoever sends it leaves the body away
    std::optional<Refusal> refusal; // for the log
};

// Decimal, no sign, no leading zero.
std::optional<std::uint64_t> parse_sequence(std::string_view text);
// "/v1/records/<chip identifier>[/<sequence>]"
struct RecordPath {
    std::string chip_identifier;
    std::optional<std::uint64_t> sequence;
};
std::optional<RecordPath> parse_path(std::string_view target);
std::string record_target(const std::string& chip_identifier, std::uint64_t sequence);
// "/v1/replacements/<chip identifier of the new chip>"
std::optional<std::string> parse_replacement_path(std::string_view target);
std::string replacement_target(const std::string& chip_identifier);

// application/problem+json (RFC 9457) with the reason's name as a member.
Answer problem(const Refusal& refusal);
Answer problem(const Refusal& refusal, unsigned status);

// 429, with Retry-After.
Answer too_many(std::chrono::seconds pause);

// What can be answered from the head of a request alone, before its body is read: what is refused anyway.
std::optional<Answer> answer_head(const Request& head);

// GET and HEAD.
Answer answer_read(Store& store, const Signer& signer, const Request& request, pki::Time now);

// PUT, as answer_head() let it through.
Answer answer_put(Store& store, const pki::Trust& trust, const Signer& signer, const Request& request, pki::Time now);

} // namespace imprint::archive
