// SPDX-License-Identifier: Apache-2.0
// The module key in the TPM, and the openssl program as the one that checks what it signs: the manufacturer's root is
// all that it knows.
#include "daemon/pki/cms.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/tls/stream.h"
#include "daemon/tpm/worker.h"
#include "tests/support/software_tpm.h"
#include "tests/support/test_tcti.h"
#include "tests/tls/signers.h"

#include <openssl/pem.h>

#include <gtest/gtest.h>

namespace imprint::test {
namespace {

using namespace std::chrono_literals;

tls::Deadline soon() { return std::chrono::steady_clock::now() + 20s; }

// A prepared TPM with a module key of the coming epoch.
class Module {
public:
    Module()
    {
        epoch_ = worker_.call([](tpm::SecurityModule& module) { return module.prepare(Bytes(32, 0xa5)); }) + 1;
        key_ = worker_.call([this](tpm::SecurityModule& module) {
            tpm::SecurityModule::Work work(module);
            return work.create_module_key(epoch_, Bytes(32, 1), Bytes(32, 2));
        });
    }
    void increment()
    {
        worker_.call([](tpm::SecurityModule& module) { module.increment_epoch(); });
    }
    Bytes spki() const
    {
        return structures::to_spki(structures::unmarshal<TPM2B_PUBLIC>(key_.object).or_throw().publicArea).or_throw();
    }
    tls::Signer signer()
    {
        return [this](BytesView message) {
            return worker_.call([&](tpm::SecurityModule& module) {
                return module.sign_with_module_key(key_.object, key_.sensitive, epoch_, message);
            });
        };
    }

private:
    std::unique_ptr<tpm::SecurityModule> open()
    {
        tpm::Settings settings;
        settings.tcti = "test";
        return std::make_unique<tpm::SecurityModule>(tpm::Connection(wire_.tcti()), std::move(settings));
    }

    SoftwareTpm tpm_;
    Wire wire_{tpm_.descriptor()};
    tpm::Worker worker_{[this] { return open(); }};
    std::uint64_t epoch_ = 0;
    tpm::CreatedModuleKey key_;
};

class ModuleKey : public testing::Test {
protected:
    std::string file(const std::string& name, BytesView content)
    {
        write_file(directory / name, content);
        return directory / name;
    }

    // s_server: sends every line back, reversed.
    Process start(const Certified& client_root)
    {
        pki::store_key(directory / "key.pem", pki.station_tls.key.get(), std::nullopt);
        const Arguments arguments{"openssl",
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
                                  "-key",
                                  directory / "key.pem",
                                  "-cert",
                                  file("cert.pem", pki::to_pem({pki.station_tls.certificate})),
                                  "-CAfile",
                                  file("root.pem", pki::to_pem({client_root.certificate})),
                                  "-no-CApath",
                                  "-Verify",
                                  "4",
                                  "-verify_return_error"};
        Process server(arguments, {}, directory / "log");
        server.line_after("ACCEPT");
        return server;
    }

    std::unique_ptr<tls::Stream> connect()
    {
        tls::ClientSettings settings{.trust = trust,
                                     .server_role = pki::Role::station_tls,
                                     .server_name = "localhost",
                                     .alpn = "imprint/1",
                                     .identity = tls::ClientIdentity{{certificate, pki.station_signing.certificate},
                                                                     provider.key(module.spki(), module.signer())}};
        auto fd = tls::connect("unix:" + (directory / "socket").string(), 0, soon(), cancel);
        return std::make_unique<tls::Stream>(std::move(fd), std::move(settings), soon(), cancel);
    }

    TemporaryDirectory directory;
    TestPki pki;
    pki::Trust trust = pki.trust();
    Module module;
    pki::Certificate certificate =
        pki::issue_module(pki.station_signing.issuer(), module.spki(), {"serial", "1"},
                          {Bytes(32, 0x11), 3, Bytes(34, 0x22), Bytes(34, 0x33), std::string(64, 'a')}, valid);
    tls::Cancel cancel;
    tls::Provider provider;
};

TEST_F(ModuleKey, A22_OpenSslsServerAcceptsWhatTheTpmSigned)
{
    module.increment();
    auto server = start(pki.root);
    auto stream = connect();
    stream->write(as_bytes("imprint\n"), soon());
    EXPECT_EQ(to_string(stream->read(8, soon())), "tnirpmi\n");
    stream->close();
    EXPECT_EQ(server.wait(), 0);
}

TEST_F(ModuleKey, A22_AServerOfAnotherManufacturerRefusesIt)
{
    module.increment();
    const TestPki foreign("Another Manufacturer");
    auto server = start(foreign.root);
    auto stream = connect();
    EXPECT_EQ(reason_of([&] { stream->read(1, soon()); }), Reason::untrusted_certificate);
}

TEST_F(ModuleKey, A23_OutsideItsEpochTheHandshakeSaysThatTheTpmRefused)
{
    auto server = start(pki.root);
    EXPECT_EQ(reason_of([&] { connect(); }), Reason::tpm_refused);
}

TEST_F(ModuleKey, SignsRequestsThatOpenSslVerifies)
{
    module.increment();
    const auto key = provider.key(module.spki(), module.signer());
    const Owned<X509_REQ, X509_REQ_free> request(X509_REQ_new_ex(provider.context(), nullptr));
    ASSERT_EQ(X509_REQ_set_pubkey(request.get(), key.get()), 1);
    ASSERT_GT(X509_REQ_sign(request.get(), key.get(), EVP_sha256()), 0) << openssl_error(Reason::internal, "").what();
    const Owned<BIO, BIO_free_all> pem(BIO_new_file((directory / "request").c_str(), "w"));
    ASSERT_EQ(PEM_write_bio_X509_REQ(pem.get(), request.get()), 1);
    ASSERT_EQ(BIO_flush(pem.get()), 1);
    const auto verified = run({"openssl", "req", "-verify", "-noout", "-in", directory / "request"});
    EXPECT_EQ(verified.status, 0) << verified.err;
}

TEST_F(ModuleKey, SignsCmsThatOpenSslVerifies)
{
    module.increment();
    const auto key = provider.key(module.spki(), module.signer());
    const auto data = pki::sign(as_bytes("content"), certificate, key.get(), {pki.station_signing.certificate});
    const auto verified = run({"openssl", "cms", "-verify", "-inform", "DER", "-purpose", "any", "-in",
                               file("cms", data), "-CAfile", file("root.pem", pki::to_pem({pki.root.certificate}))});
    EXPECT_EQ(verified.status, 0) << verified.err;
    EXPECT_EQ(verified.out, "content");
}

} // namespace
} // namespace imprint::test
