// SPDX-License-Identifier: Apache-2.0
// Local programs on channels to a standard server: nginx from Debian with the manufacturer's bundle, as a central
// system.
#include "tests/system/fixture.h"

#include "daemon/pki/certificate.h"

#include <csignal>
#include <sys/socket.h>
#include <sys/un.h>

namespace imprint::test {

namespace {

Finished authority(const std::filesystem::path& directory, Arguments arguments)
{
    arguments.insert(arguments.begin(), {IMPRINT_TEST_AUTHORITY, "--directory", directory});
    auto finished = run(arguments);
    if (finished.status != 0)
        throw std::runtime_error("imprint-authority: " + finished.out + finished.err);
    return finished;
}

// What `imprintctl connect` brings back for a request. Its standard input stays open until the answer has ended: to
// nginx a client that has stopped sending is gone.
Finished request(const DaemonProcess& device, const std::string& address, const std::string& text)
{
    const std::string script = "import subprocess, sys\n"
                               "p = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
                               "try:\n"
                               "    p.stdin.write(sys.argv[1].encode()); p.stdin.flush()\n"
                               "except BrokenPipeError:\n"
                               "    pass\n"
                               "sys.stdout.buffer.write(p.stdout.read())\n"
                               "try:\n"
                               "    p.stdin.close()\n"
                               "except BrokenPipeError:\n"
                               "    pass\n"
                               "sys.exit(p.wait())\n";
    return device.run({"python3", "-c", script, text, DaemonProcess::imprintctl_path(), "connect", "--central", address,
                       "--alpn", "http/1.1"});
}

// Tells every client who it is. In one process of this user's, and not on the network.
class Nginx {
public:
    // `keys`: tls.pem and tls.key; `clients`: the bundle that client certificates have to lead to.
    Nginx(const std::filesystem::path& keys, const std::filesystem::path& clients)
    {
        std::string configuration = R"(daemon off; master_process off; error_log stderr warn; pid DIR/pid;
events { }
http {
    access_log off; default_type text/plain;
    client_body_temp_path DIR/t1; proxy_temp_path DIR/t2; fastcgi_temp_path DIR/t3; uwsgi_temp_path DIR/t4;
    scgi_temp_path DIR/t5;
    server {
        listen unix:DIR/socket ssl;
        ssl_protocols TLSv1.3; ssl_certificate KEYS/tls.pem; ssl_certificate_key KEYS/tls.key;
        ssl_client_certificate CLIENTS; ssl_verify_client on; ssl_verify_depth 3;
        location / { return 200 "$ssl_client_verify $ssl_client_s_dn $ssl_protocol\n"; }
    }
}
)";
        const auto replace = [&](const std::string& word, const std::string& by) {
            for (auto at = configuration.find(word); at != std::string::npos; at = configuration.find(word))
                configuration.replace(at, word.size(), by);
        };
        replace("DIR", directory_.path());
        replace("KEYS", keys);
        replace("CLIENTS", clients);
        write_file(directory_ / "nginx.conf", as_bytes(configuration));
        process_.emplace(Arguments{"nginx", "-e", "stderr", "-c", directory_ / "nginx.conf"}, Environment{},
                         directory_ / "log");
        wait_until_it_listens();
    }
    std::string address() const { return "unix:" + (directory_ / "socket").string(); }

private:
    void wait_until_it_listens() const
    {
        const auto socket_file = directory_ / "socket";
        const auto probe =
            run({"timeout", "20", "sh", "-c",
                 "until curl -s --unix-socket " + socket_file.string() + " http://x/ >/dev/null; do :; done"});
        if (probe.status != 0)
            throw std::runtime_error("nginx does not start: " +
                                     to_string(read_file(directory_ / "log", 1 << 20).value_or(Bytes())));
    }
    TemporaryDirectory directory_;
    std::optional<Process> process_;
};

class StandardServer : public WholeSystem {
protected:
    StandardServer()
        : keys(factory / "nginx-keys")
    {
        authority(factory / "authority", {"central", "hub", "--host", "localhost", "--output", keys});
    }
    // An operating device that knows the server's key.
    void operate()
    {
        device.start();
        const auto added = factory.station_command({"central", "add", "--certificate", keys / "tls.pem"});
        ASSERT_EQ(added.status, 0) << added.err;
        ASSERT_EQ(personalize(), "");
        ASSERT_EQ(state(), "s \"operating\"");
    }
    Finished get(const Nginx& nginx) { return request(device, nginx.address(), "GET / HTTP/1.0\r\n\r\n"); }
    std::filesystem::path keys;
};

TEST_F(StandardServer, A22_NginxKnowsTheDeviceByItsModuleCertificate)
{
    operate();
    const Nginx nginx(keys, factory.trust_bundle());
    const auto answer = get(nginx);
    EXPECT_EQ(answer.status, 0) << answer.err;
    EXPECT_NE(answer.out.find("HTTP/1.1 200 OK"), std::string::npos) << answer.out << answer.err;
    EXPECT_NE(answer.out.find("SUCCESS serialNumber=SN000001,CN=SN000001 TLSv1.3"), std::string::npos) << answer.out;
    EXPECT_EQ(device.property("Channels"), "u 0");
}

TEST_F(StandardServer, A22_CurlOverAUnixSocket)
{
    operate();
    const Nginx nginx(keys, factory.trust_bundle());
    const auto socket = device.directory() / "hub";
    Process connect({DaemonProcess::imprintctl_path(), "connect", "--central", nginx.address(), "--alpn", "http/1.1",
                     "--listen", socket},
                    device.bus().environment(), device.directory() / "connect.log");
    const auto answers = run({"curl", "-sS", "--retry", "20", "--retry-all-errors", "--retry-delay", "0",
                              "--retry-max-time", "20", "--unix-socket", socket, "http://hub/[1-3]"});
    EXPECT_EQ(answers.status, 0) << answers.err;
    const std::string one = "SUCCESS serialNumber=SN000001,CN=SN000001 TLSv1.3\n";
    EXPECT_EQ(answers.out, one + one + one);
    const auto parallel = run({"curl", "-sS", "--no-progress-meter", "--parallel", "--parallel-max", "20",
                               "--unix-socket", socket, "http://hub/[1-100]"});
    EXPECT_EQ(parallel.status, 0) << parallel.err;
    EXPECT_EQ(parallel.out.size(), 100 * one.size());
    connect.signal(SIGTERM);
    EXPECT_EQ(connect.wait(), 0);
    EXPECT_FALSE(std::filesystem::exists(socket));
}

TEST_F(StandardServer, A22_NginxRefusesADeviceOfAnotherManufacturer)
{
    operate();
    authority(factory / "twin", {"init", "--name", "Example Manufacturer"});
    write_file(factory / "twin.pem", as_bytes(authority(factory / "twin", {"trust-bundle"}).out), 0644);
    const Nginx nginx(keys, factory / "twin.pem");
    const auto answer = get(nginx);
    EXPECT_NE(answer.out.find("400 The SSL certificate error"), std::string::npos) << answer.out << answer.err;
    EXPECT_EQ(answer.out.find("SUCCESS"), std::string::npos) << answer.out;
}

TEST_F(StandardServer, A25_AnotherKeyOfTheSameManufacturerIsRefused)
{
    operate();
    const auto other = factory / "other-keys";
    authority(factory / "authority", {"central", "hub", "--host", "localhost", "--output", other});
    const Nginx nginx(other, factory.trust_bundle());
    const auto answer = get(nginx);
    EXPECT_EQ(answer.status, 3) << answer.err;
    EXPECT_NE(answer.err.find("central-key-unknown"), std::string::npos) << answer.err;
    EXPECT_EQ(answer.out, "");
}

TEST_F(StandardServer, A22_BusctlGetsAChannelAtASocketOfTheCallers)
{
    operate();
    const Nginx nginx(keys, factory.trust_bundle());
    const auto socket = device.directory() / "own";
    const std::string serve = "import socket, subprocess, sys\n"
                              "s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()\n"
                              "c = subprocess.Popen(sys.argv[2:], stderr=subprocess.PIPE)\n"
                              "s.settimeout(20)\n"
                              "a = s.accept()[0]; a.settimeout(20)\n"
                              "print(c.wait(), c.stderr.read().decode())\n"
                              "a.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')\n"
                              "print(b''.join(iter(lambda: a.recv(4096), b'')).decode())\n";
    const auto answer = device.run({"python3", "-c", serve, socket, "busctl", "--system", "call", "org.imprint.Device1",
                                    "/org/imprint/Device1", "org.imprint.Device1", "ConnectTo", "ssa{sv}",
                                    nginx.address(), socket, "1", "alpn", "s", "http/1.1"});
    EXPECT_NE(answer.out.find("SUCCESS serialNumber=SN000001,CN=SN000001"), std::string::npos)
        << answer.out << answer.err;
}

TEST_F(StandardServer, Attack24_ASocketOfSomebodyElseIsNotJoined)
{
    operate();
    const Nginx nginx(keys, factory.trust_bundle());
    TemporaryDirectory open;
    std::filesystem::permissions(open.path(), std::filesystem::perms(0777));
    const auto socket = open / "theirs";
    const std::string serve = "import os, socket, sys\n"
                              "os.setuid(65534)\n"
                              "s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()\n"
                              "print('ready', flush=True)\n"
                              "print(s.accept()[0].recv(1), flush=True)\n";
    Process stranger({"python3", "-c", serve, socket}, {}, device.directory() / "stranger.log");
    ASSERT_TRUE(stranger.line_after("ready"));
    const auto refused = device.call({"ConnectTo", "ssa{sv}", nginx.address(), socket, "0"});
    EXPECT_NE(refused.err.find("not the caller's own"), std::string::npos) << refused.err;
    EXPECT_TRUE(stranger.line_after("b''")) << "it was told something";
}

// The real central system, which answers by itself who it takes the device for.
class CentralSystem : public WholeSystem {
protected:
    void operate()
    {
        device.start();
        factory.start_central();
        const auto certificate = factory / "central-keys" / "tls.pem";
        ASSERT_EQ(failure(factory.station_command({"central", "add", "--certificate", certificate})), "");
        ASSERT_EQ(personalize(), "");
    }
    std::string get()
    {
        const auto answer =
            request(device, factory.central_address(), "GET / HTTP/1.1\r\nHost: central\r\nConnection: close\r\n\r\n");
        return answer.out + answer.err;
    }
};

TEST_F(CentralSystem, A22_A32_FirstTheModuleKeyThenAPsk)
{
    operate();
    const auto first = get();
    EXPECT_NE(first.find("SN000001"), std::string::npos) << first;
    EXPECT_NE(first.find("certificate"), std::string::npos) << first;
    // The key is made in the background: every further connection is good, and in the end they run on it.
    std::string later;
    for (int i = 0; i < 500 && later.find("psk") == std::string::npos; ++i)
        later = get();
    EXPECT_NE(later.find("psk"), std::string::npos)
        << later << to_string(read_file(factory / "central.log", 1 << 20).value());
    EXPECT_NE(later.find("SN000001"), std::string::npos) << later;
    EXPECT_EQ(enter_personalization(), "");
    EXPECT_NE(get().find("wrong-state"), std::string::npos);
}

TEST_F(StandardServer, CertificatesAreExported)
{
    operate();
    const auto chain = device.imprintctl({"export-certificate", "--chain", (factory / "chain.pem").string()});
    ASSERT_EQ(chain.status, 0) << chain.err;
    const auto verified = run({"openssl", "verify", "-CAfile", factory.trust_bundle(), "-untrusted",
                               factory / "chain.pem", factory / "chain.pem"});
    EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
    const auto key = device.imprintctl({"export-certificate", "--public-key"});
    EXPECT_EQ(key.out, run({"openssl", "x509", "-noout", "-pubkey", "-in", factory / "chain.pem"}).out);
    EXPECT_EQ(pki::certificates_from_pem(as_bytes(device.imprintctl({"export-certificate"}).out)).size(), 1U);
}

} // namespace

} // namespace imprint::test
