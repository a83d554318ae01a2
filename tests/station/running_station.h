// SPDX-License-Identifier: Apache-2.0
// The real imprint-station with a manufacturer of the test's own, and devices that talk to it over TLS.
#pragma once

#include "daemon/tls/stream.h"
#include "tests/station/honest_device.h"
#include "tests/support/process.h"
#include "tests/support/test_pki.h"

namespace imprint::test {

class RunningStation {
public:
    // Writes the manufacturer's files and initializes the state; starts nothing.
    explicit RunningStation(const TestPki& pki);

    void start(const Arguments& more = {}, const Environment& environment = {});
    // Whether it came up; for starts that may be killed.
    bool try_start(const Arguments& more = {}, const Environment& environment = {});
    void kill();
    int stop(); // SIGTERM; the exit status
    void signal(int number) { process_->signal(number); }
    Finished command(const Arguments& arguments) const; // an operator's
    void trust(HonestDevice& device) const; // by the allow-list

    std::unique_ptr<tls::Stream> connect(const std::string& alpn = "imprint/1") const;

    const TestPki& pki;
    TemporaryDirectory directory;
    std::filesystem::path state() const { return directory / "state"; }
    std::string address;
    std::string operations; // the address of --listen-operations, if it was started with one

private:
    std::optional<Process> process_;
};

tls::Deadline soon(); // 20 s from now

// One message there, one back. Throws Error(connection_lost).
Bytes send_and_receive(tls::Stream& stream, BytesView message);
protocol::Message ask(tls::Stream& stream, const protocol::Message& message);
// A whole personalization over one connection; the record of its receipt. Throws Error with the station's refusal.
Bytes personalize_over(tls::Stream& stream, DeviceSide& side);

} // namespace imprint::test
