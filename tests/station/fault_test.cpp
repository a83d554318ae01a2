// SPDX-License-Identifier: Apache-2.0
// The disk fails at every write and every sync of a conversation: nobody is told of what is not durable.
#include "tests/station/faulty_disk.h"
#include "tests/station/fixture.h"

namespace imprint::test {

namespace {

class OnAFaultyDisk {
protected:
    FaultyDisk disk; // before the station's database is opened
};

class Attack07 : public OnAFaultyDisk, public OneDevice { };

struct Course {
    int grants = 0, receipts = 0;
    bool refused = false;
};

// One conversation as far as it goes.
Course run(HonestDevice& device, station::StationSession conversation)
{
    Course course;
    DeviceSide side(device, binding);
    const auto challenge = conversation.receive(side.send_hello(side.hello()), now);
    if (challenge.last)
        return {.refused = refusal(challenge).has_value()};
    const auto grant = conversation.receive(bytes_of(side.proof(challenge.message)), now);
    course.grants = is_grant(grant) ? 1 : 0;
    if (grant.last) {
        course.refused = refusal(grant) == Reason::storage_failed;
        return course;
    }
    const auto receipt = conversation.receive(bytes_of(side.backup(grant.message)), now);
    course.receipts = is_receipt(receipt) ? 1 : 0;
    course.refused = refusal(receipt) == Reason::storage_failed;
    EXPECT_EQ(refusal(conversation.receive(bytes_of(side.resume()), now)), Reason::unexpected_message) << "it was over";
    return course;
}

TEST_F(Attack07, AFaultAtEveryWriteNeverEndsInAGrant)
{
    int grants = 0;
    int broken = 0;
    for (std::size_t n = 1;; ++n) {
        SCOPED_TRACE("write or sync " + std::to_string(n));
        device.identity_certificate.clear(); // each time the first personalization
        disk.break_at(n);
        const Course course = run(device, session());
        disk.repair();
        grants += course.grants;
        EXPECT_EQ(rows("grants"), grants);
        EXPECT_EQ(rows("records"), course.receipts);
        EXPECT_EQ(rows("outbox"), course.receipts);
        EXPECT_EQ(rows("grants", "state = 'open'"), grants > 0 && course.receipts == 0 ? 1 : 0);
        if (course.receipts == 1)
            break;
        ++broken;
        EXPECT_TRUE(course.refused);
        ASSERT_LT(n, 500U);
    }
    EXPECT_GT(broken, 10);
    EXPECT_GT(grants, 1) << "faults in the last step as well";
}

} // namespace

} // namespace imprint::test
