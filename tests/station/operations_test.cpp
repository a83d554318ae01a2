// SPDX-License-Identifier: Apache-2.0
// The address for operators' programs and other stations: who may speak which protocol.
#include "provisioning/station/operations.h"

#include "daemon/tls/stream.h"
#include "provisioning/protocol/framing.h"
#include "tests/support/reason.h"
#include "tests/support/test_pki.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

namespace imprint::test {
namespace {

namespace asio = boost::asio;

tls::Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(20); }

// Two protocols, each of which tells who speaks what; on a loopback address.
class Attack01 : public testing::Test {
protected:
    Attack01()
    {
        listener_.start([this](server::Stream stream, std::string peer) {
            return operations_.serve(std::move(stream), std::move(peer));
        });
        loop_ = std::jthread([this] { io_.run(); });
    }
    ~Attack01() override { io_.stop(); }

    // What the server answers to a client that speaks `alpn`.
    std::string converse(const std::string& alpn, const Certified* client)
    {
        std::optional<tls::ClientIdentity> identity;
        if (client != nullptr)
            identity = tls::ClientIdentity{{client->certificate}, share(client->key)};
        tls::Stream stream(tls::connect(listener_.address(), 1, soon(), never_),
                           {trust_, pki::Role::station_tls, "127.0.0.1", alpn, std::move(identity)}, soon(), never_);
        stream.write(protocol::frame(as_bytes("hello")), soon());
        const Bytes header = stream.read(4, soon());
        const Bytes answer =
            stream.read(protocol::announced_length({header[0], header[1], header[2], header[3]}).or_throw(), soon());
        return to_string(answer);
    }
    // The first `count` handshakes that the server refused; waits for them, since the client may be told earlier.
    std::vector<Reason> refused(std::size_t count)
    {
        std::unique_lock lock(mutex_);
        news_.wait_until(lock, soon(), [&] { return refused_.size() >= count; });
        return refused_;
    }

    // In the loop, as the server does it.
    void trust_besides(const TestPki& more)
    {
        auto both = std::make_shared<pki::Trust>(trust_);
        both->anchors.push_back(more.root.certificate);
        std::promise<void> done;
        asio::post(io_, [&] {
            operations_.use(both);
            done.set_value();
        });
        done.get_future().wait();
    }

    TestPki pki;

private:
    static station::OperationsProtocol protocol(const std::string& alpn, pki::Role role)
    {
        return {alpn, role, [alpn](server::TlsStream& stream, station::OperationsPeer peer) -> asio::awaitable<void> {
                    constexpr std::chrono::seconds limit(20);
                    const Result<Bytes> received = co_await server::read_message(stream, limit);
                    const std::string answer = alpn + " " + peer.certificate.common_name();
                    co_await server::write_message(stream, as_bytes(answer), limit);
                }};
    }
    station::Credentials credentials() const
    {
        station::Credentials made;
        made.tls = {pki.station_tls.certificate};
        made.tls_key = share(pki.station_tls.key);
        made.trust = std::make_shared<const pki::Trust>(trust_);
        return made;
    }
    asio::awaitable<void> remember(Refusal why)
    {
        const std::lock_guard lock(mutex_);
        refused_.push_back(why.reason);
        news_.notify_all();
        co_return;
    }

    pki::Trust trust_ = pki.trust();
    tls::Cancel never_;
    std::mutex mutex_;
    std::condition_variable news_;
    std::vector<Reason> refused_;
    asio::io_context io_{1};
    server::Listener listener_{io_.get_executor(), "127.0.0.1:0", 8};
    station::Credentials credentials_ = credentials();
    station::Operations operations_{
        credentials_,
        std::chrono::seconds(20),
        {protocol("one/1", pki::Role::station_operator), protocol("two/1", pki::Role::station_tls)},
        [this](Refusal why, std::string) { return remember(std::move(why)); }};
    std::jthread loop_;
};

TEST_F(Attack01, AnotherTrustIsForWhatBeginsAfterIt)
{
    const TestPki elsewhere;
    EXPECT_THROW(converse("two/1", &elsewhere.station_tls), Error);
    trust_besides(elsewhere);
    EXPECT_EQ(converse("two/1", &elsewhere.station_tls), "two/1 Station 1");
    EXPECT_EQ(converse("two/1", &pki.station_tls), "two/1 Station 1");
}

TEST_F(Attack01, EachProtocolIsForItsOwnRoleAlone)
{
    const auto courier = pki.station_operator("Alice");
    EXPECT_EQ(converse("one/1", &courier), "one/1 Alice");
    EXPECT_EQ(converse("two/1", &pki.station_tls), "two/1 Station 1");
    EXPECT_THROW(converse("two/1", &courier), Error);
    EXPECT_THROW(converse("one/1", &pki.station_tls), Error);
    EXPECT_EQ(refused(2), (std::vector{Reason::wrong_role, Reason::wrong_role}));
}

TEST_F(Attack01, WhoSpeaksNoneOfTheProtocolsIsRefused)
{
    const auto courier = pki.station_operator("Alice");
    EXPECT_THROW(converse("", &courier), Error);
    EXPECT_THROW(converse("imprint/1", &courier), Error);
    EXPECT_EQ(converse("one/1", &courier), "one/1 Alice") << "and nobody else is";
    ASSERT_EQ(refused(2).size(), 2U);
    EXPECT_EQ(refused(2).front(), Reason::unsupported_version);
}

TEST_F(Attack01, NobodyElseMaySpeakAnything)
{
    const TestPki foreign;
    const auto foreign_courier = foreign.station_operator("Alice");
    const auto expired_courier = pki.station_operator("Alice", expired);
    const auto early_courier = pki.station_operator("Alice", not_yet_valid);
    const auto expired_station = pki.server(pki::Role::station_tls, "Station 1", expired);
    const auto central = pki.server(pki::Role::central, "Central 1");
    const auto mirror = pki.mirror("Alice");
    const auto module = pki.module("SN-1");
    const auto identity = pki.identity("SN-1", std::string(64, 'a'));
    const std::vector<std::pair<const char*, const Certified*>> cases{{"no certificate", nullptr},
                                                                      {"wrong CA", &foreign_courier},
                                                                      {"wrong CA's station", &foreign.station_tls},
                                                                      {"expired", &expired_courier},
                                                                      {"not yet valid", &early_courier},
                                                                      {"expired station", &expired_station},
                                                                      {"archive", &pki.archive},
                                                                      {"central system", &central},
                                                                      {"mirror", &mirror},
                                                                      {"module", &module},
                                                                      {"device identity", &identity},
                                                                      {"signing key", &pki.station_signing},
                                                                      {"identity CA", &pki.identity_ca},
                                                                      {"checking CA", &pki.root}};
    for (const auto& [what, client] : cases)
        for (const auto* alpn : {"one/1", "two/1", ""})
            EXPECT_THROW(converse(alpn, client), Error) << what << " " << alpn;
}

} // namespace
} // namespace imprint::test
