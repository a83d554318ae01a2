// SPDX-License-Identifier: Apache-2.0
#include "tests/device/test_archive.h"

#include "backup/package/newest.h"
#include "backup/package/record.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace imprint::test {

namespace {

std::string ok(const Bytes& body)
{
    return "HTTP/1.1 200 OK\r\nContent-Type: application/cms\r\nContent-Length: " + std::to_string(body.size()) +
        "\r\n\r\n" + to_string(body);
}

} // namespace

TestArchive::TestArchive()
    : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))
    , stop_event_(eventfd(0, EFD_CLOEXEC))
{
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (bind(listener_.get(), generic, size) != 0 || listen(listener_.get(), 8) != 0 ||
        getsockname(listener_.get(), generic, &size) != 0)
        throw_errno("cannot listen");
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this] { run(); });
}

TestArchive::~TestArchive() { eventfd_write(stop_event_.get(), 1); }

void TestArchive::put(const std::string& path, Bytes body) { put_raw(path, ok(body)); }

void TestArchive::publish(const std::string& chip, std::uint64_t sequence, const Bytes& record, const Certified& signer)
{
    put("/v1/records/" + chip, record);
    put("/v1/records/" + chip + "/" + std::to_string(sequence), record);
    answer_newest([sequence, digest = package::record_digest(record), certificate = signer.certificate,
                   key = std::make_shared<pki::Key>(share(signer.key))](const std::string& asked, BytesView nonce) {
        const auto time = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
        return package::make_newest({asked, sequence, digest, time, {nonce.begin(), nonce.end()}}, certificate,
                                    key->get(), {});
    });
}

void TestArchive::vouch_no_more() { answer_newest({}); }

void TestArchive::answer_newest(std::function<Bytes(const std::string& chip, BytesView nonce)> answer)
{
    const std::lock_guard lock(mutex_);
    newest_ = std::move(answer);
}

std::optional<Bytes> TestArchive::word_on(const std::string& target) const
{
    const std::string prefix = "/v1/newest/", nonce = "?nonce=";
    constexpr std::size_t chip_size = 64;
    if (!newest_ || !target.starts_with(prefix) ||
        !responses_.contains("/v1/records/" + target.substr(prefix.size(), chip_size)))
        return std::nullopt;
    return newest_(target.substr(prefix.size(), chip_size),
                   unhex(target.substr(prefix.size() + chip_size + nonce.size())).value());
}

void TestArchive::put_raw(const std::string& path, const std::string& response)
{
    const std::lock_guard lock(mutex_);
    responses_[path] = response;
}

std::string TestArchive::last_request() const
{
    const std::lock_guard lock(mutex_);
    return last_request_;
}

std::string TestArchive::response_to(const std::string& request)
{
    const std::lock_guard lock(mutex_);
    last_request_ = request;
    const auto start = request.find(' ') + 1;
    const auto target = request.substr(start, request.find(' ', start) - start);
    if (const auto word = word_on(target))
        return ok(*word);
    const auto found = responses_.find(target);
    return found != responses_.end() ? found->second : "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found";
}

void TestArchive::run()
{
    std::array<pollfd, 2> polled{pollfd{listener_.get(), POLLIN, 0}, pollfd{stop_event_.get(), POLLIN, 0}};
    while (poll(polled.data(), polled.size(), -1) > 0 && polled[1].revents == 0) {
        const Fd connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        std::string request;
        std::array<char, 4096> buffer{};
        while (request.find("\r\n\r\n") == std::string::npos) {
            const auto n = read(connection.get(), buffer.data(), buffer.size());
            if (n <= 0)
                break;
            request.append(buffer.data(), static_cast<std::size_t>(n));
        }
        if (hang_) {
            while (read(connection.get(), buffer.data(), buffer.size()) > 0) // until the other side hangs up
                ;
            continue;
        }
        const std::string response = response_to(request);
        for (std::size_t sent = 0; sent < response.size();) {
            const auto n = send(connection.get(), response.data() + sent, response.size() - sent, MSG_NOSIGNAL);
            if (n <= 0)
                break;
            sent += static_cast<std::size_t>(n);
        }
    }
}

} // namespace imprint::test
