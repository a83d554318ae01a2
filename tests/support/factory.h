// SPDX-License-Identifier: Apache-2.0
// A whole factory for tests: the real authority's files, a running archive and a running station.
#pragma once

#include "tests/support/process.h"

#include <memory>

namespace imprint::test {

class Factory {
public:
    // Makes the manufacturer and certifies station, archive and central system; starts the first two.
    Factory();

    std::filesystem::path trust_bundle() const { return directory_ / "trust.pem"; }
    std::string station_address() const { return station_address_; } // "127.0.0.1:port"
    std::string operations_address() const { return operations_address_; } // of the station
    std::string archive_address() const { return "http://" + archive_address_; }
    std::string archive_tls_address() const { return "https://" + archive_tls_address_; }

    std::string central_address() const { return central_address_; } // "127.0.0.1:port"

    void start_archive();
    void start_station(const Arguments& more = {}); // further options of serve
    // With the station's revocation list, and whatever else is said.
    void start_central(const Arguments& more = {});
    Process& central() { return *central_; }
    Process& station() { return *station_; }
    Process& archive() { return *archive_; }

    // What station and archive know at this moment, for forget(): with both started anew.
    void remember();
    void forget();

    // `imprint-station` / `imprint-archive` on the running one's state: {"chip", "list"}.
    Finished station_command(const Arguments& arguments) const;
    Finished archive_command(const Arguments& arguments) const;
    Finished central_command(const Arguments& arguments) const;
    // Returns when the outbox is empty; throws std::runtime_error if it does not get so.
    void wait_for_outbox() const;
    // A courier's files for an operator that the station knows, with these permissions.
    std::filesystem::path certify_operator(const std::string& name, const Arguments& permissions) const;
    // The keys of one more station, as imprint-authority makes them.
    std::filesystem::path certify_station(const std::string& name) const;
    std::filesystem::path operator/(const std::string& name) const { return directory_ / name; }

private:
    TemporaryDirectory directory_;
    std::string archive_address_, archive_tls_address_, station_address_, operations_address_, central_address_;
    std::unique_ptr<Process> archive_, station_, central_;
};

} // namespace imprint::test
