// SPDX-License-Identifier: Apache-2.0
// One pair of a Relay: the state of two nonblocking descriptors and of what waits between them.
#pragma once

#include "daemon/tls/stream.h"

namespace imprint::tls {

class RelayPair {
public:
    enum class Side : std::uint8_t { remote, local };
    inline static constexpr std::size_t piece = 16 * 1024; // a TLS record's
    using Room = std::span<std::uint8_t, piece>; // shared by all pairs: nothing stays in it

    RelayPair(Established remote, Fd local, int epoll, std::uint64_t number);
    ~RelayPair(); // with a close_notify, if there was none yet
    RelayPair(const RelayPair&) = delete;
    RelayPair& operator=(const RelayPair&) = delete;

    // After epoll's events for one side: moves at most one piece each way. False: the pair is over.
    bool serve(Side side, std::uint32_t events, Room room);

    static std::uint64_t key(std::uint64_t number, Side side) { return number << 1 | (side == Side::local); }
    static std::uint64_t number_of(std::uint64_t key) { return key >> 1; }
    static Side side_of(std::uint64_t key) { return (key & 1) != 0 ? Side::local : Side::remote; }

private:
    struct Watched {
        Fd fd;
        std::uint32_t events = 0;
        bool watched = false;
    };
    bool from_remote(Room room);
    bool from_local(Room room);
    bool read_remote(Room room);
    void read_local(Room room);
    std::size_t write_local(BytesView data);
    bool write_remote(BytesView data, std::size_t& written);
    bool tell_remote();
    void tell_local();
    bool over() const;
    void watch();
    void watch(Watched& end, Side side, std::uint32_t events, bool hangups);

    int epoll_;
    std::uint64_t number_;
    Watched remote_, local_;
    Owned<SSL, SSL_free> ssl_; // before its descriptor goes
    Bytes to_local_, to_remote_; // what the other side did not take yet
    bool remote_ended_ = false; // sends nothing more, and so on
    bool local_ended_ = false;
    bool remote_gone_ = false; // takes nothing more either
    bool local_gone_ = false;
    bool told_remote_ = false; // that the other has ended
    bool told_local_ = false;
    bool read_wants_write_ = false; // OpenSSL has something of its own to send first
    bool write_wants_read_ = false;
};

} // namespace imprint::tls
