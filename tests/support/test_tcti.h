// SPDX-License-Identifier: Apache-2.0
// The seam between a program and its TPM: a TCTI that counts, records, delays, falsifies and fails commands.
// Depends on the tss2 headers alone. test_tcti_module.cpp builds the same as a loadable module.
#pragma once

#include <tss2/tss2_tcti.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace imprint::test {

using Octets = std::vector<std::uint8_t>;

// One command and its answer, headers included.
struct Exchange {
    std::size_t number = 0; // counted from 1
    std::uint32_t code = 0; // TPM2_CC of the command
    Octets command;
    Octets response;
    std::chrono::nanoseconds took{}; // the TPM was busy with it, the latency table's share included
};

// The wire to one TPM. The test keeps it, hands out TCTIs that share it, and looks at it afterwards (not meanwhile
// from another thread).
class Wire {
public:
    explicit Wire(int descriptor); // not owned: a socket to `swtpm socket --fd`
    // `swtpm socket --server type=unixio,path=...`; connects anew for each command, so that programs can share it.
    explicit Wire(std::string socket);

    // In the form that Esys_Initialize and imprint::tpm::Connection take. The wire has to outlive it.
    std::unique_ptr<TSS2_TCTI_CONTEXT, std::function<void(TSS2_TCTI_CONTEXT*)>> tcti();

    // Instead of sending command `number`: a TPM's response code, or a TCTI's to fail the call. Nothing: send it.
    std::function<std::optional<TSS2_RC>(std::size_t number, std::uint32_t code)> before;
    // The TPM has done it, but the program does not learn of it.
    std::function<std::optional<TSS2_RC>(const Exchange&)> after;
    // May change what the program gets to see.
    std::function<void(std::uint32_t code, Octets& response)> falsify;
    // Added to the time that the TPM takes.
    std::map<std::uint32_t, std::chrono::microseconds> latency;
    bool recording = false;

    std::size_t count() const { return count_; } // commands that the program wanted, injected failures included
    std::size_t count(std::uint32_t code) const;
    std::chrono::nanoseconds busy() const { return busy_; }
    const std::vector<Exchange>& record() const { return record_; }
    void reset(); // counters, busy time and record; not the faults

    // One command past all counting and faults: for the test's own use.
    Octets send(const Octets& command) const;
    // What stands behind the TCTI's receive.
    TSS2_RC exchange(Octets command, Octets& response);

private:
    TSS2_RC run(Exchange& exchange);
    int descriptor_ = -1;
    std::string socket_;
    std::size_t count_ = 0;
    std::map<std::uint32_t, std::size_t> by_code_;
    std::chrono::nanoseconds busy_{};
    std::vector<Exchange> record_;
};

// The C structure that ESYS sees; `wire` may be owned (module) or the test's.
struct TctiContext {
    TSS2_TCTI_CONTEXT_COMMON_V2 base{};
    std::shared_ptr<Wire> wire;
    Octets command, response;
};
void prepare_tcti(TctiContext& context, std::shared_ptr<Wire> wire);

} // namespace imprint::test
