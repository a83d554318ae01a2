// SPDX-License-Identifier: Apache-2.0
// Streams to OpenSSL's own server, for the tests of one topic each.
#pragma once

#include "daemon/tls/stream.h"
#include "tests/tls/deadlines.h"
#include "tests/tls/server.h"
#include "tests/tls/signers.h"

#include <gtest/gtest.h>

#include <array>

namespace imprint::test {

class Streams : public testing::Test {
protected:
    static void SetUpTestSuite() { pki_ = std::make_unique<TestPki>(); }
    static void TearDownTestSuite() { pki_.reset(); }
    static const TestPki& pki() { return *pki_; }

    tls::ClientSettings settings() const
    {
        return {.trust = trust, .server_role = pki::Role::station_tls, .server_name = "localhost", .alpn = "imprint/1"};
    }
    tls::ClientSettings settings(const Certified& client, tls::Signer signer)
    {
        auto with = settings();
        with.identity = {{client.certificate, pki().station_signing.certificate},
                         provider.key(client.certificate.spki(), std::move(signer))};
        return with;
    }
    // The reason for which a handshake fails; nothing if it does not.
    std::optional<Reason> refusal(Fd fd, tls::ClientSettings with)
    {
        return reason_of([&] { tls::Stream(std::move(fd), std::move(with), in(ample), cancel); });
    }

    pki::Trust trust = pki().trust();
    tls::Cancel cancel;
    tls::Provider provider;

private:
    static inline std::unique_ptr<TestPki> pki_;
};

// Sends back what comes, in pieces of the same size.
inline Server::Script echo(std::size_t size, int times = 1)
{
    return [size, times](SSL* ssl) {
        Bytes data(size);
        for (int i = 0; i < times && read_exactly(ssl, data); ++i)
            write_all(ssl, data);
    };
}

// Waits for the end of the client's side.
inline void until_closed(SSL* ssl)
{
    std::array<std::uint8_t, 1> byte{};
    read_exactly(ssl, byte);
}

} // namespace imprint::test
