// SPDX-License-Identifier: Apache-2.0
#include "backup/recovery/fetch.h"

#include "backup/package/newest.h"
#include "backup/package/record.h"
#include "daemon/tls/link.h"

#include <openssl/err.h>
#include <openssl/http.h>
#include <openssl/httperr.h>

#include <algorithm>
#include <array>

namespace imprint::recovery {

namespace {

using Request = Owned<OSSL_HTTP_REQ_CTX, OSSL_HTTP_REQ_CTX_free>;

void free_text(char* text) { OPENSSL_free(text); }
using Text = Owned<char, free_text>;

struct Base {
    std::string host; // as tls::connect reads it: a literal IPv6 address in brackets
    std::string port;
    std::string path; // "" or "/somewhere"
};

// It goes into a request's first line.
bool is_path(std::string_view path)
{
    return path.starts_with('/') && std::ranges::all_of(path, [](char c) { return c > ' ' && c <= '~'; });
}

// A host, a port, and a path that a mirror may have: there is nobody to log in as, and nothing to ask for but records.
Base parse(const std::string& archive)
{
    int tls = 0, port = 0;
    std::array<char*, 6> raw{};
    const bool valid =
        OSSL_HTTP_parse_url(archive.c_str(), &tls, raw.data(), &raw[1], &raw[2], &port, &raw[3], &raw[4], &raw[5]) == 1;
    const Text user(raw[0]), host(raw[1]), service(raw[2]), path(raw[3]), query(raw[4]), fragment(raw[5]);
    ERR_clear_error();
    const auto empty = [](const Text& text) { return !text || *text == '\0'; };
    if (!valid || tls != 0 || !archive.starts_with("http://") || !empty(user) || empty(host) || !empty(query) ||
        !empty(fragment) || (!empty(path) && !is_path(path.get())))
        throw Error(Reason::invalid_argument,
                    "\"" + archive + "\" is not an address of the form http://host:port or http://host:port/path");
    const std::string name = host.get();
    std::string directory = empty(path) ? "" : path.get();
    while (directory.ends_with('/'))
        directory.pop_back();
    return {name.find(':') == std::string::npos ? name : "[" + name + "]", std::to_string(port), directory};
}

Request make_request(BIO* bio, const Base& base, const std::string& path, std::size_t limit)
{
    Request request(OSSL_HTTP_REQ_CTX_new(bio, bio, 0));
    if (!request ||
        OSSL_HTTP_REQ_CTX_set_request_line(request.get(), 0, nullptr, nullptr, (base.path + path).c_str()) != 1 ||
        OSSL_HTTP_REQ_CTX_add1_header(request.get(), "Host", (base.host + ":" + base.port).c_str()) != 1 ||
        OSSL_HTTP_REQ_CTX_set_expected(request.get(), nullptr, 1, 0, 0) != 1)
        throw openssl_error(Reason::internal, "cannot prepare a request to the archive");
    OSSL_HTTP_REQ_CTX_set_max_response_length(request.get(), limit);
    return request;
}

// The queue's newest error, by which OpenSSL tells how an exchange failed.
Refusal failure()
{
    const char* data = nullptr;
    int flags = 0;
    const unsigned long code = ERR_peek_last_error_data(&data, &flags);
    const bool answered = ERR_GET_LIB(code) == ERR_LIB_HTTP && ERR_GET_REASON(code) == HTTP_R_RECEIVED_ERROR;
    if (answered && (flags & ERR_TXT_STRING) != 0 && std::string_view(data).starts_with("code=404")) {
        ERR_clear_error();
        return {Reason::record_not_found, "the archive has no such record"};
    }
    return openssl_error(Reason::connection_lost, "the archive did not give a record").refusal();
}

Result<Bytes> exchange(OSSL_HTTP_REQ_CTX* request)
{
    ERR_clear_error();
    if (OSSL_HTTP_REQ_CTX_nbio(request) != 1) // the link looks blocking: it is over, one way or the other
        return failure();
    char* start = nullptr;
    const long size = BIO_get_mem_data(OSSL_HTTP_REQ_CTX_get0_mem_bio(request), &start);
    return to_bytes({start, static_cast<std::size_t>(size)});
}

// What stands at this path of the archive; 404 is an answer.
Result<Bytes> get(const std::string& archive, const std::string& path, std::size_t limit, tls::Deadline deadline,
                  const tls::Cancel& cancel)
{
    const Base base = parse(archive);
    tls::Link link(tls::connect(base.host + ":" + base.port, 80, deadline, cancel), cancel);
    link.until(deadline);
    const auto bio = link.bio();
    const auto request = make_request(bio.get(), base, path, limit);
    auto body = exchange(request.get());
    if (!body && body.refusal().reason != Reason::record_not_found)
        throw Error(body.refusal());
    return body;
}

} // namespace

Result<Bytes> fetch_record(const std::string& archive, const std::string& chip_identifier,
                           std::optional<std::uint64_t> sequence, tls::Deadline deadline, const tls::Cancel& cancel)
{
    return get(archive, "/v1/records/" + chip_identifier + (sequence ? "/" + std::to_string(*sequence) : std::string()),
               package::max_record, deadline, cancel);
}

Result<Bytes> fetch_newest(const std::string& archive, const std::string& chip_identifier, BytesView nonce,
                           tls::Deadline deadline, const tls::Cancel& cancel)
{
    return get(archive, "/v1/newest/" + chip_identifier + "?nonce=" + hex(nonce), package::max_newest, deadline,
               cancel);
}

} // namespace imprint::recovery
