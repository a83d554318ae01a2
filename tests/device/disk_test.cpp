// SPDX-License-Identifier: Apache-2.0
// The disk fails at every single change of a file, once or from there on for good: what is told is true, the device is
// in one of its whole states, and running the job again succeeds.
#include "tests/device/file_faults.h"
#include "tests/device/fixture.h"
#include "tests/device/test_archive.h"

namespace imprint::test {

namespace {

// Of the thread that runs the job.
struct Course {
    std::size_t changes = 0, faulty = 0;
    bool lasting = false;
};
thread_local Course course;
std::atomic<bool> gone = false;

FileFault at_the_faulty_one()
{
    ++course.changes;
    if (course.lasting ? course.changes < course.faulty : course.changes != course.faulty)
        return FileFault::none;
    gone = course.lasting;
    return FileFault::error;
}

class Disk : public DeviceTest {
protected:
    Disk()
    {
        box.wire.before = [](std::size_t, std::uint32_t) {
            return gone ? std::optional<TSS2_RC>(TSS2_TCTI_RC_IO_ERROR) : std::nullopt;
        };
    }
    ~Disk() override { mend(); }

    // The n-th change of a file from now on fails; `for_good`: and so does all that comes after it, the TPM too, as if
    // the power had failed there.
    static void fail_at(std::size_t n, bool for_good)
    {
        course = {.faulty = n, .lasting = for_good};
        file_error = n % 2 == 0 ? ENOSPC : EIO;
        file_fault = at_the_faulty_one;
    }
    // Whether a fault was met.
    static bool mend()
    {
        file_fault = nullptr;
        gone = false;
        return course.changes >= course.faulty;
    }
    // After each fault the device has to be in one of `whole`, in the last of them where the job was told as done;
    // `again` brings it to where `job` can start.
    void at_every_change(const std::function<void()>& job, const std::vector<State>& whole,
                         const std::function<void()>& again, const std::vector<bool>& faults = {false, true})
    {
        for (const bool for_good : faults)
            for (std::size_t n = 1;; ++n) {
                SCOPED_TRACE((for_good ? "gone from change " : "failed at change ") + std::to_string(n));
                ASSERT_LT(n, 100U) << "it never gets through";
                fail_at(n, for_good);
                const auto failed = reason_of(job);
                const bool met = mend();
                box.boot();
                if (failed && !for_good) {
                    EXPECT_EQ(name(*failed), name(Reason::storage_failed));
                }
                ASSERT_THAT(whole, ::testing::Contains(box.state())) << name(box.state());
                ASSERT_TRUE(failed || box.state() == whole.back()) << "told as done in " << name(box.state());
                again();
                if (!met)
                    break;
            }
    }
    void finish()
    {
        if (box.state() != State::operating)
            box.personalize(station, true);
        ASSERT_EQ(name(box.state()), name(State::operating));
        ASSERT_NO_THROW(box.sign(box.epoch(), as_bytes("whole")));
    }
    void publish() { archive.publish(box.chip(), box.epoch(), box.device().export_backup(), manufacturer().archive); }

    TestArchive archive;
};

TEST_F(Disk, Attack08_Attack34_InAPersonalizationAndItsSwitch)
{
    bring_up();
    box.device().enter_personalization({});
    at_every_change([&] { box.personalize(station, true); }, {State::personalization, State::operating},
                    [&] {
                        finish();
                        box.device().enter_personalization({});
                    });
}

TEST_F(Disk, Attack08_Attack34_InARecovery)
{
    bring_up();
    publish();
    box.lose_disk();
    box.boot();
    at_every_change([&] { box.recover(archive.address()); }, {State::disk_lost, State::operating},
                    [&] {
                        if (box.state() == State::disk_lost)
                            box.recover(archive.address());
                        finish();
                        box.lose_disk();
                        box.boot();
                    });
}

TEST_F(Disk, Attack08_InARecoveryFromTpmClear)
{
    bring_up();
    publish();
    const auto files = box.files();
    box.tpm.clear();
    box.boot();
    at_every_change([&] { box.recover(archive.address()); }, {State::tpm_cleared, State::recovered},
                    [&] {
                        if (box.state() == State::tpm_cleared)
                            box.recover(archive.address());
                        ASSERT_EQ(name(box.state()), name(State::recovered));
                        box.lose_disk();
                        for (const auto& [name, content] : files)
                            write_file(box.file(name), content);
                        box.tpm.clear();
                        box.boot();
                    },
                    {true});
}

} // namespace

} // namespace imprint::test
