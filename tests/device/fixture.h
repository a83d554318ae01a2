// SPDX-License-Identifier: Apache-2.0
// A whole device in this process: software TPM, files, worker, facade. It can be switched off like a real one.
#pragma once

#include "backup/package/record.h"
#include "provisioning/device/device.h"
#include "tests/device/test_station.h"
#include "tests/support/reason.h"
#include "tests/support/software_tpm.h"
#include "tests/support/test_tcti.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace imprint::test {

using lifecycle::State;

// What the tests share: making a manufacturer takes longer than a personalization.
const TestPki& manufacturer();

class TestDevice {
public:
    explicit TestDevice(SoftwareTpm::Kind kind = SoftwareTpm::Kind::bare, unsigned chip = 0);
    ~TestDevice();

    // The daemon's start: fresh objects, and a look at TPM and files.
    void boot();
    // The daemon is gone without a word to the TPM, as by SIGKILL.
    void kill();
    // From the next TPM command but `after` on, none goes through any more.
    void cut_after(std::size_t after);
    void mend();

    device::Device& device() { return *device_; }
    State state() { return device_->status().state; }
    std::uint64_t epoch() { return device_->status().epoch; }
    std::string chip() { return device_->status().chip_identifier; }

    void personalize(const TestStation& station, bool switch_afterwards = false);
    void personalize(const std::string& address, bool switch_afterwards = false);
    void recover(const std::string& archive, std::optional<std::uint64_t> sequence = {});
    void restore(BytesView record, std::optional<std::uint64_t> sequence = {});

    // Everything that a failed call has to leave as it was: state, epoch and files, byte for byte.
    std::map<std::string, Bytes> files() const;
    void lose_disk() const;
    std::filesystem::path directory() const { return directory_.path(); }
    std::filesystem::path file(const std::string& name) const { return directory_ / name; }

    std::vector<tpm::EndorsementKey> endorsement_keys();
    // Signs with the module key in the files of `sequence`, by a daemon's own means.
    Bytes sign(std::uint64_t sequence, BytesView message);

    // A record of this content by this TPM's own identity key: what not even the device should be fooled by.
    Bytes sign_record(const package::RecordContent& content);
    // The content of a record of its own with a changed data package in it.
    package::RecordContent repack(package::RecordContent content,
                                  const std::function<void(package::DataPackage&)>& change);

    // Transient objects and sessions that are in the TPM.
    std::size_t leftovers() const;

    // Somebody else moves the epoch counter, as tpm2_nvincrement would.
    void increment();

    SoftwareTpm tpm;
    Wire wire{tpm.descriptor()};
    device::Settings settings;
    tls::Cancel cancel;
    std::vector<std::pair<unsigned, std::string>> progress;

private:
    device::Progress recorder();

    TemporaryDirectory directory_;
    TemporaryDirectory bundle_;
    std::unique_ptr<tpm::Worker> worker_;
    std::unique_ptr<device::Device> device_;
};

class DeviceTest : public ::testing::Test {
protected:
    DeviceTest()
        : station(manufacturer())
    {
        station.allow(box.chip());
    }

    void TearDown() override
    {
        if (!HasFailure())
            return;
        for (const auto& entry : station.store().audit_log())
            std::cerr << "station: " << entry.event << " " << entry.reason << " " << entry.detail << "\n";
    }

    // A blank device's way to the operating state.
    void bring_up()
    {
        box.personalize(station, true);
        ASSERT_EQ(name(box.state()), name(State::operating));
    }

    TestDevice box;
    TestStation station;
};

} // namespace imprint::test
