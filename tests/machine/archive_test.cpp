// SPDX-License-Identifier: Apache-2.0
// Attack09: the power of the archive's machine fails while stations write. What was acknowledged is there afterwards,
// byte for byte; what was not can be written again.
#include "tests/archive/running_archive.h"
#include "tests/machine/power_cuts.h"

#include <gtest/gtest.h>

#include <semaphore>
#include <thread>

namespace imprint::test {
namespace {

constexpr unsigned http_port = 7480;
constexpr unsigned https_port = 7481;
constexpr std::size_t records_a_line = 24;

// A station that hands in one record after the other, and keeps what it was told.
class Line {
public:
    Line(const RunningArchive& archive, const std::string& serial)
        : archive_(archive)
        , device_(archive.pki, serial)
    {
        for (std::size_t i = 0; i < records_a_line; ++i)
            records_.push_back(device_.record(sequence(i)));
    }

    // Until there is no answer any more, and tells of each. The first record may be one that was stored before without
    // an acknowledgement.
    void write(std::counting_semaphore<>& acknowledgements)
    {
        const auto begin = receipts_.size();
        while (receipts_.size() < records_.size()) {
            const auto i = receipts_.size();
            const auto answer = archive_.put(device_, sequence(i), records_[i]);
            if (answer.status == 0)
                return;
            EXPECT_TRUE(answer.status == 201 || (answer.status == 200 && i == begin)) << to_string(answer.body);
            receipts_.push_back(answer.body);
            acknowledgements.release();
        }
    }
    std::size_t acknowledged() const { return receipts_.size(); }
    // How many of the acknowledged ones are not there as they were.
    std::size_t lost() const
    {
        std::size_t count = 0;
        for (std::size_t i = 0; i < receipts_.size(); ++i) {
            const auto kept = archive_.get(RunningArchive::path_of(device_.chip, sequence(i)));
            const auto again = archive_.put(device_, sequence(i), records_[i]);
            count += kept.body == records_[i] && again.status == 200 && again.body == receipts_[i] ? 0 : 1;
        }
        return count;
    }

private:
    static std::uint64_t sequence(std::size_t i) { return 2 * i + 1; }

    const RunningArchive& archive_;
    SoftwareDevice device_;
    std::vector<Bytes> records_, receipts_;
};

class Attack09_PowerCut : public testing::Test {
protected:
    Attack09_PowerCut()
    {
        client.http = machine.forward(http_port);
        client.https = machine.forward(https_port);
        const std::string directory = "/etc/imprint-archive/";
        for (const auto* name : {"trust.pem", "archive.pem", "archive.key"})
            machine.put(directory + name, to_string(read_file(client.directory / name, 1 << 16).value()));
        machine.put(directory + "archive.conf",
                    "trust = \"/etc/imprint-archive/trust.pem\"\n[serve]\n"
                    "certificate = \"/etc/imprint-archive/archive.pem\"\n"
                    "listen = \"0.0.0.0:7480\"\nlisten-tls = \"0.0.0.0:7481\"\n");
        machine.start();
        machine.must("mkdir -p /etc/credstore.encrypted && systemd-creds encrypt --with-key=host --name=tls.key "
                     "/etc/imprint-archive/archive.key /etc/credstore.encrypted/imprint-archive.tls.key && "
                     "systemctl disable imprintd && systemctl enable --now imprint-archive && sync");
    }

    RunningArchive client; // which is not run here
    Machine machine;
};

// At the instant of an acknowledgement, when the other line's record is on its way.
TEST_F(Attack09_PowerCut, AnAcknowledgedRecordStays)
{
    using namespace std::chrono_literals;
    Line one(client, "SN-1");
    Line other(client, "SN-2");
    auto& tally = cut_tally();
    for (const int nth : {1, 4, 6, 9}) {
        const auto place = "at acknowledgement " + std::to_string(nth);
        SCOPED_TRACE(place);
        const auto before = one.acknowledged() + other.acknowledged();
        {
            std::counting_semaphore<> acknowledgements(0);
            const std::jthread first([&] { one.write(acknowledgements); });
            const std::jthread second([&] { other.write(acknowledgements); });
            for (int i = 0; i < nth; ++i)
                EXPECT_TRUE(acknowledgements.try_acquire_for(60s));
            machine.cut_power();
        }
        machine.start();
        const auto lost = one.lost() + other.lost();
        EXPECT_EQ(lost, 0U);
        const auto verified = machine.run("imprint-archive --config /etc/imprint-archive/archive.conf verify");
        EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
        ++tally.cuts;
        tally.places["writes of the archive"].push_back(place);
        tally.acknowledged += one.acknowledged() + other.acknowledged() - before;
        tally.lost += lost;
        tally.broken += verified.status == 0 ? 0 : 1;
    }
}

} // namespace
} // namespace imprint::test
