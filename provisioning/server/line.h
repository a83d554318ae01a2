// SPDX-License-Identifier: Apache-2.0
// Byte streams that are no sockets, as connections: a bridge carries each conversation on one over to a socket pair, so
// that a handler has the stream, and with it the deadlines, that it has everywhere. Includes Asio: for few translation
// units.
#pragma once

#include "daemon/base/file.h"
#include "provisioning/server/listener.h"

namespace imprint::server {

// Where the records of a TLS connection end (RFC 8446, 5.1), told from their headers alone.
class RecordWatch {
public:
    void feed(BytesView data);
    bool inside() const { return header_size_ != 0 || left_ != 0; } // a record has begun and not ended

private:
    std::array<std::uint8_t, 5> header_{};
    std::size_t header_size_ = 0;
    std::size_t left_ = 0; // of the record's body
};

// A serial line with one conversation after the other on it. Each begins with its first byte. A sender never pauses
// inside a TLS record: who does is gone, and the conversation ends. After every conversation the line is read until it
// is quiet, so that the next one starts clean. A line that hangs up (an adapter that is pulled out) is opened again.
class SerialListener {
public:
    // "serial:/dev/ttyUSB0" or "serial:/dev/ttyUSB0,9600" (base/serial.h). Throws what open_serial() throws.
    SerialListener(const boost::asio::any_io_executor& executor, const std::string& address);
    ~SerialListener();
    SerialListener(const SerialListener&) = delete;
    SerialListener& operator=(const SerialListener&) = delete;

    std::string address() const;
    // `peer` is the address.
    void start(Listener::Handler handler);
    void close(); // a conversation that runs ends by itself

private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

// One conversation on two descriptors, a pipe each or twice the same socket. Returns once the handler has ended and its
// words are out. Throws Error(invalid_argument) for descriptors that cannot be waited for.
boost::asio::awaitable<void> converse_over(Fd in, Fd out, Listener::Handler handler, std::string peer);

} // namespace imprint::server
