// SPDX-License-Identifier: Apache-2.0
#include "tests/support/test_tcti.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <thread>
#include <utility>

namespace imprint::test {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t header_size = 10;

std::uint32_t read32(const Octets& bytes, std::size_t at)
{
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i)
        value = value << 8 | bytes.at(at + i);
    return value;
}

Octets response_with(TSS2_RC rc)
{
    Octets out{0x80, 0x01, 0, 0, 0, header_size, 0, 0, 0, 0};
    for (std::size_t i = 0; i < 4; ++i)
        out[6 + i] = static_cast<std::uint8_t>(rc >> (24 - 8 * i));
    return out;
}

void write_all(int fd, const Octets& bytes)
{
    std::size_t done = 0;
    while (done < bytes.size()) {
        const auto n = ::send(fd, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
        if (n <= 0)
            throw std::runtime_error("the software TPM is gone");
        done += static_cast<std::size_t>(n);
    }
}

void read_into(int fd, Octets& bytes, std::size_t size)
{
    std::size_t done = bytes.size();
    bytes.resize(size);
    while (done < size) {
        const auto n = ::recv(fd, bytes.data() + done, size - done, 0);
        if (n <= 0)
            throw std::runtime_error("the software TPM is gone");
        done += static_cast<std::size_t>(n);
    }
}

Octets talk(int fd, const Octets& command)
{
    write_all(fd, command);
    Octets response;
    read_into(fd, response, header_size);
    const auto size = read32(response, 2);
    if (size < header_size || size > 65536)
        throw std::runtime_error("the software TPM answers nonsense");
    read_into(fd, response, size);
    return response;
}

struct Socket {
    explicit Socket(const std::string& path)
        : fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))
    {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        if (path.size() >= sizeof address.sun_path)
            throw std::runtime_error("the path of the software TPM's socket is too long");
        path.copy(address.sun_path, path.size());
        if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
            throw std::runtime_error("the software TPM does not listen at " + path);
    }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    ~Socket() { ::close(fd); }
    int fd;
};

TctiContext& context_of(TSS2_TCTI_CONTEXT* tcti) { return *reinterpret_cast<TctiContext*>(tcti); }

TSS2_RC transmit(TSS2_TCTI_CONTEXT* tcti, size_t size, const uint8_t* command)
{
    context_of(tcti).command.assign(command, command + size);
    return TSS2_RC_SUCCESS;
}

// The whole exchange happens here: where a TCTI fails, it does so while ESYS waits for the answer.
TSS2_RC receive(TSS2_TCTI_CONTEXT* tcti, size_t* size, uint8_t* response, int32_t)
{
    auto& context = context_of(tcti);
    if (!context.command.empty()) {
        context.response.clear();
        if (const auto rc = context.wire->exchange(std::exchange(context.command, {}), context.response))
            return rc;
    }
    const auto room = std::exchange(*size, context.response.size());
    if (context.response.empty())
        return TSS2_TCTI_RC_BAD_SEQUENCE;
    if (!response)
        return TSS2_RC_SUCCESS;
    if (room < context.response.size())
        return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
    std::ranges::copy(std::exchange(context.response, {}), response);
    return TSS2_RC_SUCCESS;
}

TSS2_RC cancel(TSS2_TCTI_CONTEXT*) { return TSS2_TCTI_RC_NOT_IMPLEMENTED; }
TSS2_RC poll_handles(TSS2_TCTI_CONTEXT*, TSS2_TCTI_POLL_HANDLE*, size_t*) { return TSS2_TCTI_RC_NOT_IMPLEMENTED; }
TSS2_RC locality(TSS2_TCTI_CONTEXT*, uint8_t) { return TSS2_TCTI_RC_NOT_IMPLEMENTED; }
TSS2_RC sticky(TSS2_TCTI_CONTEXT*, TPM2_HANDLE*, uint8_t) { return TSS2_TCTI_RC_NOT_IMPLEMENTED; }
void finalize(TSS2_TCTI_CONTEXT* tcti) { context_of(tcti).wire.reset(); }

} // namespace

void prepare_tcti(TctiContext& context, std::shared_ptr<Wire> wire)
{
    auto& v1 = context.base.v1;
    v1.magic = 0x696d7072696e74; // "imprint"
    v1.version = 2;
    v1.transmit = transmit;
    v1.receive = receive;
    v1.finalize = finalize;
    v1.cancel = cancel;
    v1.getPollHandles = poll_handles;
    v1.setLocality = locality;
    context.base.makeSticky = sticky;
    context.wire = std::move(wire);
}

Wire::Wire(int descriptor)
    : descriptor_(descriptor)
{
}

Wire::Wire(std::string socket)
    : socket_(std::move(socket))
{
}

std::unique_ptr<TSS2_TCTI_CONTEXT, std::function<void(TSS2_TCTI_CONTEXT*)>> Wire::tcti()
{
    auto context = std::make_shared<TctiContext>();
    prepare_tcti(*context, std::shared_ptr<Wire>(std::shared_ptr<Wire>(), this)); // the test owns the wire
    return {reinterpret_cast<TSS2_TCTI_CONTEXT*>(&context->base), [context](TSS2_TCTI_CONTEXT*) {}};
}

std::size_t Wire::count(std::uint32_t code) const
{
    const auto found = by_code_.find(code);
    return found == by_code_.end() ? 0 : found->second;
}

void Wire::reset()
{
    count_ = 0;
    by_code_.clear();
    busy_ = {};
    record_.clear();
}

Octets Wire::send(const Octets& command) const
{
    if (socket_.empty())
        return talk(descriptor_, command);
    const Socket socket(socket_);
    return talk(socket.fd, command);
}

TSS2_RC Wire::run(Exchange& exchange)
{
    if (before)
        if (const auto rc = before(exchange.number, exchange.code)) {
            exchange.response = response_with(*rc);
            return (*rc & TSS2_RC_LAYER_MASK) == TSS2_TCTI_RC_LAYER ? *rc : TSS2_RC_SUCCESS;
        }
    const auto start = Clock::now();
    exchange.response = send(exchange.command);
    if (const auto extra = latency.find(exchange.code); extra != latency.end())
        std::this_thread::sleep_for(extra->second);
    exchange.took = Clock::now() - start;
    if (falsify)
        falsify(exchange.code, exchange.response);
    return after ? after(exchange).value_or(TSS2_RC_SUCCESS) : TSS2_RC_SUCCESS;
}

TSS2_RC Wire::exchange(Octets command, Octets& response)
{
    if (command.size() < header_size)
        return TSS2_TCTI_RC_BAD_VALUE;
    Exchange exchange;
    exchange.number = ++count_;
    exchange.code = read32(command, 6);
    exchange.command = std::move(command);
    ++by_code_[exchange.code];
    try {
        const auto rc = run(exchange);
        busy_ += exchange.took;
        response = exchange.response;
        if (recording)
            record_.push_back(std::move(exchange));
        return rc;
    } catch (const std::runtime_error&) { // C frames above
        return TSS2_TCTI_RC_IO_ERROR;
    }
}

} // namespace imprint::test
