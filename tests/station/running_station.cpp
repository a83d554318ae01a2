// SPDX-License-Identifier: Apache-2.0
#include "tests/station/running_station.h"

#include <csignal>

namespace imprint::test {

namespace {

const tls::Cancel never;

void check(const Finished& finished)
{
    if (finished.status != 0)
        throw std::runtime_error("imprint-station failed: " + finished.err);
}

protocol::Message read_answer(tls::Stream& stream, BytesView message)
{
    auto answer = protocol::parse(send_and_receive(stream, message)).or_throw();
    if (answer.has_refused())
        throw Error(protocol::refusal_of(answer.refused()));
    return answer;
}

} // namespace

RunningStation::RunningStation(const TestPki& manufacturer)
    : pki(manufacturer)
{
    const auto write = [this](const char* name, const Certified& certified) {
        write_file(directory / (std::string(name) + ".pem"), pki::to_pem({certified.certificate}));
        pki::store_key(directory / (std::string(name) + ".key"), certified.key.get(), std::nullopt);
    };
    write("signing", pki.station_signing);
    write("identity-ca", pki.identity_ca);
    write("tls", pki.station_tls);
    write_file(directory / "trust.pem", pki.trust_pem());
    check(command({"init"}));
    check(command({"identity", "range", "--prefix", "SN", "--width", "6", "--from", "1", "--to", "999999"}));
}

Finished RunningStation::command(const Arguments& arguments) const
{
    Arguments all{IMPRINT_STATION, "--state", state()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run(all);
}

void RunningStation::trust(HonestDevice& device) const
{
    write_file(directory / "keys.csv", as_bytes(device.chip() + ",test\n"));
    check(command({"ek", "import", directory / "keys.csv"}));
}

bool RunningStation::try_start(const Arguments& more, const Environment& environment)
{
    Arguments arguments{IMPRINT_STATION, "--state",     state(),       "serve",
                        "--listen",      "127.0.0.1:0", "--directory", directory.path()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    process_.emplace(arguments, environment, directory / "log");
    const auto line = process_->line_after("listening station ");
    address = line.value_or("");
    if (line && std::ranges::find(more, "--listen-operations") != more.end())
        operations = process_->line_after("listening operations ").value_or("");
    return line.has_value();
}

void RunningStation::start(const Arguments& more, const Environment& environment)
{
    if (!try_start(more, environment)) {
        const auto log = read_file(directory / "log", 1 << 20);
        throw std::runtime_error("imprint-station did not start: " + to_string(log.value_or(Bytes{})));
    }
}

void RunningStation::kill() { process_.reset(); }

int RunningStation::stop()
{
    process_->signal(SIGTERM);
    return process_->wait();
}

std::unique_ptr<tls::Stream> RunningStation::connect(const std::string& alpn) const
{
    const auto trust = pki.trust();
    return std::make_unique<tls::Stream>(
        tls::connect(address, 1, soon(), never),
        tls::ClientSettings{trust, pki::Role::station_tls, "127.0.0.1", alpn, std::nullopt}, soon(), never);
}

tls::Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(20); }

Bytes send_and_receive(tls::Stream& stream, BytesView message)
{
    stream.write(protocol::frame(message), soon());
    const Bytes header = stream.read(4, soon());
    const auto size = protocol::announced_length({header[0], header[1], header[2], header[3]}).or_throw();
    return stream.read(size, soon());
}

protocol::Message ask(tls::Stream& stream, const protocol::Message& message)
{
    return protocol::parse(send_and_receive(stream, protocol::serialize(message))).or_throw();
}

Bytes personalize_over(tls::Stream& stream, DeviceSide& side)
{
    const auto challenge = read_answer(stream, side.send_hello(side.hello()));
    const auto grant = read_answer(stream, protocol::serialize(side.proof(protocol::serialize(challenge))));
    const auto receipt = read_answer(stream, protocol::serialize(side.backup(protocol::serialize(grant))));
    return to_bytes(receipt.receipt().record());
}

} // namespace imprint::test
