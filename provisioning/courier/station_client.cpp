// SPDX-License-Identifier: Apache-2.0
#include "provisioning/courier/station_client.h"

#include "provisioning/protocol/courier_messages.h"
#include "provisioning/protocol/framing.h"
#include "provisioning/server/pem.h"

namespace imprint::courier {

namespace {

constexpr std::size_t max_answer = 4096;

Bytes request_of(const Wanted& wanted)
{
    protocol::CourierMessage message;
    auto& request = *message.mutable_request();
    request.set_version(protocol::version);
    request.set_ticket(wanted.kind == protocol::IntroductionKind::ticket);
    request.set_chip_identifier(wanted.chip);
    request.set_reason(wanted.reason);
    request.set_validity(static_cast<std::uint32_t>(wanted.validity.count()));
    return protocol::frame(protocol::serialize(message));
}

Bytes read_answer(tls::Stream& stream, tls::Deadline deadline)
{
    const Bytes header = stream.read(4, deadline);
    const auto size = protocol::announced_length({header[0], header[1], header[2], header[3]}).or_throw();
    if (size > max_answer)
        throw Error(Reason::message_too_large, "an answer of " + std::to_string(size) + " bytes");
    return stream.read(size, deadline);
}

// The text goes to a device or a person: nothing but what was asked for.
void check_text(const Secret& text, protocol::IntroductionKind kind)
{
    const auto code = kind == protocol::IntroductionKind::ticket
        ? protocol::read_ticket(as_text(text.view()))
        : protocol::read_transaction_number(as_text(text.view()));
    if (!code || as_text(protocol::text_of(*code).view()) != as_text(text.view()))
        throw Error(Reason::malformed_message,
                    "the station's answer is no " + std::string(protocol::name(kind)) + " in its one form");
}

Introduction introduction_of(protocol::IntroductionAnswer& answer, protocol::IntroductionKind kind)
{
    std::string& received = *answer.mutable_introduction();
    Introduction introduction{Secret(as_bytes(received)), answer.station_address(),
                              pki::Time(std::chrono::seconds(answer.expires()))};
    cleanse({reinterpret_cast<std::uint8_t*>(received.data()), received.size()});
    check_text(introduction.text, kind);
    if (!protocol::is_station_address(introduction.station_address))
        throw Error(Reason::malformed_message, "the station's answer has no address in it");
    return introduction;
}

} // namespace

Credentials load_credentials(const std::filesystem::path& directory, const std::string& key_uri,
                             const std::optional<Secret>& passphrase)
{
    constexpr auto maker = "imprint-authority operator";
    const auto pem = directory / "tls.pem";
    Credentials loaded{
        pki::trust_from_pem(server::read_pem(directory / "trust.pem", maker)), server::read_chain(pem, maker), {}};
    const std::string uri = key_uri.empty() ? (directory / "tls.key").string() : key_uri;
    loaded.key = pki::load_key(uri, passphrase);
    if (pki::spki(loaded.key.get()) != loaded.chain.front().spki())
        throw Error(Reason::not_configured, uri + " is not the key of " + pem.string());
    return loaded;
}

Introduction get_introduction(const std::string& station, Credentials credentials, const Wanted& wanted,
                              std::chrono::seconds patience)
{
    const tls::Cancel never;
    const auto deadline = std::chrono::steady_clock::now() + patience;
    tls::ClientSettings settings{.trust = credentials.trust,
                                 .server_role = pki::Role::station_tls,
                                 .server_name = tls::host_of(station),
                                 .alpn = std::string(protocol::courier_alpn),
                                 .identity =
                                     tls::ClientIdentity{std::move(credentials.chain), std::move(credentials.key)}};
    tls::Stream stream(tls::connect(station, protocol::default_operations_port, deadline, never), std::move(settings),
                       deadline, never);
    stream.write(request_of(wanted), deadline);
    Bytes bytes = read_answer(stream, deadline);
    auto answer = protocol::parse_courier_message(bytes).or_throw();
    cleanse(bytes);
    stream.close();
    if (answer.has_refused())
        throw Error(protocol::refusal_of(answer.refused()));
    if (!answer.has_answer())
        throw Error(Reason::unexpected_message, "the station answered with something else than an introduction");
    return introduction_of(*answer.mutable_answer(), wanted.kind);
}

} // namespace imprint::courier
