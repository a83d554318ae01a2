// SPDX-License-Identifier: Apache-2.0
// A running station with an address for operations, and couriers of all kinds.
#pragma once

#include "provisioning/station/operators.h"
#include "tests/station/running_station.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace imprint::test {

// The files of a courier.
inline std::filesystem::path write_courier(const TemporaryDirectory& directory, const std::string& name,
                                           const TestPki& trusted, const Certified& who)
{
    const auto files = directory / name;
    std::filesystem::create_directory(files);
    write_file(files / "trust.pem", trusted.trust_pem());
    write_file(files / "tls.pem", pki::to_pem({who.certificate}));
    pki::store_key(files / "tls.key", who.key.get(), std::nullopt);
    return files;
}

class WithStation : public testing::Test {
protected:
    WithStation() { station.start({"--listen-operations", "127.0.0.1:0", "--public-address", "127.0.0.1:7443"}); }

    // Runs imprint-courier with this certificate at this station.
    Finished courier(const Certified& who, Arguments arguments)
    {
        const auto files = write_courier(station.directory, "courier-" + std::to_string(couriers_++), pki, who);
        arguments.insert(arguments.begin(),
                         {IMPRINT_COURIER, "--station", station.operations, "--directory", files.string()});
        return run(arguments);
    }
    Finished register_operator(const Certified& who, const Arguments& permissions)
    {
        const auto pem = station.directory / ("operator-" + std::to_string(couriers_++) + ".pem");
        write_file(pem, pki::to_pem({who.certificate}));
        Arguments arguments{"operator", "add", pem.string()};
        for (const auto& permission : permissions)
            arguments.insert(arguments.end(), {"--may", permission});
        return station.command(arguments);
    }
    nlohmann::json audit() const { return nlohmann::json::parse(station.command({"audit", "--json"}).out); }

    TestPki pki;
    RunningStation station{pki};
    Certified alice = pki.station_operator("Alice");

private:
    int couriers_ = 0;
};

} // namespace imprint::test
