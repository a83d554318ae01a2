// SPDX-License-Identifier: Apache-2.0
// An archive with a few records and a replacement in it, and what its mirrors say.
#pragma once

#include "backup/package/replacement.h"
#include "tests/archive/running_archive.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace imprint::test {

inline constexpr auto path_of = [](const auto&... parts) { return RunningArchive::path_of(parts...); };

class Mirroring : public testing::Test {
protected:
    void SetUp() override
    {
        archive.start();
        for (const auto* one : {&device, &other})
            for (const auto sequence : {3, 5})
                ASSERT_EQ(archive.put(*one, sequence, one->record(sequence)).status, 201U);
        const Bytes statement = package::make_replacement(
            {{"serial", other.serial}, other.chip, present.chip, test::now, "broken board"},
            archive.pki.station_signing.certificate, archive.pki.station_signing.key.get(), {});
        ASSERT_EQ(archive
                      .put("/v1/replacements/" + present.chip, statement, &archive.pki.station_tls, {},
                           "application/vnd.imprint.replacement")
                      .status,
                  201U);
        ASSERT_EQ(archive.put(present, 1, present.record(1)).status, 201U);
    }
    struct Told {
        int status = -1;
        nlohmann::json summary;
        std::string faults() const
        {
            std::string all;
            for (const auto& one : summary.at("faulty"))
                all += one.at("reason").get<std::string>() + ' ' + one.at("sequence").dump() + '\n';
            return all;
        }
    };
    Told tell(const Arguments& arguments) const
    {
        const auto finished = archive.command(arguments);
        EXPECT_EQ(finished.err, "");
        return {finished.status, nlohmann::json::parse(finished.out)};
    }
    Told mirror(const std::string& to) const { return tell({"mirror", "--json", to}); }
    Told verify() const { return tell({"verify", "--json", target.string()}); }
    std::filesystem::path file(const SoftwareDevice& of, const std::string& name) const
    {
        return target / "v1" / "records" / of.chip / name;
    }

    RunningArchive archive;
    SoftwareDevice device{archive.pki, "SN-1"}, other{archive.pki, "SN-2"};
    SoftwareDevice present{archive.pki, "SN-2", std::string(64, 'e')};
    std::filesystem::path target = archive.directory / "mirror";
};

} // namespace imprint::test
