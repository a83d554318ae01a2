// SPDX-License-Identifier: Apache-2.0
// A descriptor as OpenSSL's transport. To OpenSSL it looks blocking; every wait in it ends at the deadline or when
// the call is cancelled, so that no peer, however it dribbles, holds the thread any longer.
#pragma once

#include "daemon/tls/stream.h"

namespace imprint::tls {

// Returns once `fd` is ready for `events` (POLLIN, POLLOUT) or broken; a negative `fd` never is.
// Throws Error(cancelled), Error(timed_out) "<doing>"; both also when `fd` is ready.
void wait(int fd, short events, Deadline deadline, const Cancel& cancel, const std::string& doing);

class Link {
public:
    // Sets the descriptor nonblocking; `cancel` outlives the link.
    Link(Fd fd, const Cancel& cancel);

    void until(Deadline deadline) noexcept { deadline_ = deadline; }
    // A peer that has not sent anything at all by then is given up sooner.
    void first_byte_by(Deadline deadline) noexcept { first_byte_ = deadline; }
    // At least one byte, or none if the peer has closed. Throws Error(timed_out | cancelled | connection_lost).
    std::size_t receive(std::span<std::uint8_t> into);
    std::size_t send(BytesView data);
    bool ended() const noexcept { return ended_; }
    // Gives the descriptor up.
    Fd release() noexcept { return std::move(fd_); }

    // A BIO over this link, which has to outlive it.
    Owned<BIO, BIO_free_all> bio();

private:
    Fd fd_;
    const Cancel& cancel_;
    Deadline deadline_{};
    Deadline first_byte_ = Deadline::max();
    bool ended_ = false;
};

// A BIO over a nonblocking descriptor, which has to outlive it: where nothing can be moved at once, OpenSSL is told to
// come again.
Owned<BIO, BIO_free_all> nonblocking_bio(int fd);

} // namespace imprint::tls
