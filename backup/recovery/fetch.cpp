// SPDX-License-Identifier: Apache-2.0
#include "backup/recovery/fetch.h"

#include "backup/package/record.h"
#include "daemon/tls/link.h"

#include <openssl/err.h>
#include <openssl/http.h>
#include <openssl/httperr.h>

#include <array>
#include <cstring>

namespace imprint::recovery {

namespace {

using Request = Owned<OSSL_HTTP_REQ_CTX, OSSL_HTTP_REQ_CTX_free>;

void free_text(char* text) { OPENSSL_free(text); }
using Text = Owned<char, free_text>;

struct Host {
    std::string name; // as tls::connect reads it: a literal IPv6 address in brackets
    std::string port;
};

// Nothing but a host and a port may stand in the address: the path is ours, and there is nobody to log in as.
Host parse(const std::string& archive)
{
    int tls = 0, port = 0;
    std::array<char*, 6> raw{};
    const bool valid =
        OSSL_HTTP_parse_url(archive.c_str(), &tls, raw.data(), &raw[1], &raw[2], &port, &raw[3], &raw[4], &raw[5]) == 1;
    const Text user(raw[0]), host(raw[1]), service(raw[2]), path(raw[3]), query(raw[4]), fragment(raw[5]);
    ERR_clear_error();
    const auto empty = [](const Text& text) { return !text || *text == '\0'; };
    if (!valid || tls != 0 || !archive.starts_with("http://") || !empty(user) || empty(host) || !empty(query) ||
        !empty(fragment) || (!empty(path) && std::strcmp(path.get(), "/") != 0))
        throw Error(Reason::invalid_argument, "\"" + archive + "\" is not an address of the form http://host:port");
    const std::string name = host.get();
    return {name.find(':') == std::string::npos ? name : "[" + name + "]", std::to_string(port)};
}

Request make_request(BIO* bio, const Host& host, const std::string& path)
{
    Request request(OSSL_HTTP_REQ_CTX_new(bio, bio, 0));
    if (!request || OSSL_HTTP_REQ_CTX_set_request_line(request.get(), 0, nullptr, nullptr, path.c_str()) != 1 ||
        OSSL_HTTP_REQ_CTX_add1_header(request.get(), "Host", (host.name + ":" + host.port).c_str()) != 1 ||
        OSSL_HTTP_REQ_CTX_set_expected(request.get(), nullptr, 1, 0, 0) != 1)
        throw openssl_error(Reason::internal, "cannot prepare a request to the archive");
    OSSL_HTTP_REQ_CTX_set_max_response_length(request.get(), package::max_record);
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

} // namespace

Result<Bytes> fetch_record(const std::string& archive, const std::string& chip_identifier,
                           std::optional<std::uint64_t> sequence, tls::Deadline deadline, const tls::Cancel& cancel)
{
    const Host host = parse(archive);
    tls::Link link(tls::connect(host.name + ":" + host.port, 80, deadline, cancel), cancel);
    link.until(deadline);
    const auto bio = link.bio();
    const std::string path =
        "/v1/records/" + chip_identifier + (sequence ? "/" + std::to_string(*sequence) : std::string());
    const auto request = make_request(bio.get(), host, path);
    auto record = exchange(request.get());
    if (!record && record.refusal().reason != Reason::record_not_found)
        throw Error(record.refusal());
    return record;
}

} // namespace imprint::recovery
