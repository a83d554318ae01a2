// SPDX-License-Identifier: Apache-2.0
// The openssl program as the server that checks the module certificate, the manufacturer's root all that it knows.
#include "tests/support/process.h"
#include "tests/tls/signers.h"

#include "daemon/tls/stream.h"

#include <gtest/gtest.h>

namespace imprint::test {
namespace {

using namespace std::chrono_literals;

tls::Deadline soon() { return std::chrono::steady_clock::now() + 20s; }

class OpensslServer : public testing::Test {
protected:
    std::string file(const std::string& name, BytesView content)
    {
        write_file(directory / name, content);
        return directory / name;
    }

    // Sends every line back, reversed.
    Process start(const Certified& client_root)
    {
        pki::store_key(directory / "key.pem", pki.station_tls.key.get(), std::nullopt);
        Process server({"openssl",
                        "s_server",
                        "-unix",
                        directory / "socket",
                        "-unlink",
                        "-naccept",
                        "1",
                        "-rev",
                        "-tls1_3",
                        "-alpn",
                        "imprint/1",
                        "-cert",
                        file("cert.pem", pki::to_pem({pki.station_tls.certificate})),
                        "-key",
                        directory / "key.pem",
                        "-CAfile",
                        file("root.pem", pki::to_pem({client_root.certificate})),
                        "-no-CApath",
                        "-Verify",
                        "4",
                        "-verify_return_error"});
        server.line_after("ACCEPT");
        return server;
    }

    tls::ClientSettings settings(const Certified& client)
    {
        return {.trust = trust,
                .server_role = pki::Role::station_tls,
                .server_name = "localhost",
                .alpn = "imprint/1",
                .identity = tls::ClientIdentity{{client.certificate, pki.station_signing.certificate},
                                                provider.key(client.certificate.spki(), signer_of(client.key.get()))},
                .context = provider.context()};
    }

    Fd connect() { return tls::connect("unix:" + (directory / "socket").string(), 0, soon(), cancel); }

    TemporaryDirectory directory;
    TestPki pki;
    pki::Trust trust = pki.trust();
    tls::Cancel cancel;
    tls::Provider provider;
};

TEST_F(OpensslServer, A22_AcceptsTheModuleCertificate)
{
    const auto module = pki.module("1");
    auto server = start(pki.root);
    {
        tls::Stream stream(connect(), settings(module), soon(), cancel);
        stream.write(as_bytes("imprint\n"), soon());
        EXPECT_EQ(to_string(stream.read(8, soon())), "tnirpmi\n");
        stream.close();
    }
    EXPECT_EQ(server.wait(), 0);
}

TEST_F(OpensslServer, A22_RefusesTheModuleCertificateOfAnotherManufacturer)
{
    const TestPki foreign("Another Manufacturer");
    const auto module = pki.module("1");
    auto server = start(foreign.root);
    tls::Stream stream(connect(), settings(module), soon(), cancel);
    EXPECT_EQ(reason_of([&] { stream.read(1, soon()); }), Reason::untrusted_certificate);
}

} // namespace
} // namespace imprint::test
