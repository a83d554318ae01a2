// SPDX-License-Identifier: Apache-2.0
// Which record is the newest, where the TPM's counter cannot tell: the archive's signed word, or somebody's choice.
#include "backup/package/newest.h"
#include "backup/package/record.h"
#include "daemon/lifecycle/store.h"
#include "tests/recovery/fixture.h"

namespace imprint::test {
namespace {

class Newest : public Recovery {
protected:
    // Two personalizations, both public, and a TPM that was cleared afterwards.
    void two_records_and_a_cleared_tpm()
    {
        bring_up_and_publish();
        first_ = box.epoch();
        box.device().enter_personalization({});
        bring_up_and_publish();
        second_ = box.epoch();
        clear_tpm();
    }
    // The word, as whoever stands in between would have it.
    void answer(const std::function<void(package::Newest&)>& change, const Certified& signer)
    {
        archive.answer_newest([this, change, &signer](const std::string& chip, BytesView nonce) {
            package::Newest newest{chip, second_, package::record_digest(records_.at(second_)), at(2026),
                                   Bytes(nonce.begin(), nonce.end())};
            change(newest);
            return package::make_newest(newest, signer.certificate, signer.key.get(), {});
        });
    }
    std::optional<Reason> recovery()
    {
        const auto files = box.files();
        const auto reason = reason_of([&] { box.recover(archive.address()); });
        if (reason) {
            EXPECT_EQ(box.files(), files) << "nothing is changed";
            EXPECT_EQ(name(box.state()), name(State::tpm_cleared));
        }
        return reason;
    }
    std::uint64_t recovered() const { return lifecycle::Store(box.directory()).load().recovered.value().sequence(); }

    std::uint64_t first_ = 0, second_ = 0;
};

TEST_F(Newest, B17_TheArchivesWordDecidesAfterTpmClear)
{
    two_records_and_a_cleared_tpm();
    ASSERT_EQ(recovery(), std::nullopt);
    EXPECT_EQ(box.state(), State::recovered);
    EXPECT_EQ(recovered(), second_);
}

TEST_F(Newest, Attack45_AnOlderRecordServedAsTheNewestAfterTpmClear)
{
    two_records_and_a_cleared_tpm();
    archive.put("/v1/records/" + box.chip() + "/" + std::to_string(second_), records_.at(first_));
    EXPECT_EQ(recovery(), Reason::newest_unproven) << "another record than the signed one";
    archive.vouch_no_more();
    archive.put("/v1/records/" + box.chip(), records_.at(first_));
    EXPECT_EQ(recovery(), Reason::newest_unproven) << "a mirror, or somebody who keeps the word back";
}

TEST_F(Newest, Attack45_AWordIsGoodForOneQuestionOfOneChipAndByAnArchiveAlone)
{
    two_records_and_a_cleared_tpm();
    const auto& pki = manufacturer();
    const TestPki twin;
    answer([](auto& newest) { newest.nonce[0] ^= 1; }, pki.archive);
    EXPECT_EQ(recovery(), Reason::nonce_mismatch) << "an old word";
    answer([](auto& newest) { newest.chip_identifier = std::string(64, 'b'); }, pki.archive);
    EXPECT_EQ(recovery(), Reason::record_foreign);
    answer([&](auto& newest) { newest.sequence = first_; }, pki.archive);
    EXPECT_EQ(recovery(), Reason::newest_unproven) << "the digest is another record's";
    answer([](auto& newest) { newest.record_digest[0] ^= 1; }, pki.archive);
    EXPECT_EQ(recovery(), Reason::newest_unproven);
    answer([](auto&) {}, pki.station_signing);
    EXPECT_EQ(recovery(), Reason::wrong_role) << "a station is no archive";
    answer([](auto&) {}, twin.archive);
    EXPECT_EQ(recovery(), Reason::untrusted_certificate);
    archive.answer_newest([](const std::string&, BytesView) { return Bytes{0x30, 0x00}; });
    EXPECT_EQ(recovery(), Reason::record_invalid);
}

TEST_F(Newest, Attack45_AnEndedArchiveHasNoWord)
{
    two_records_and_a_cleared_tpm();
    const auto ended = manufacturer().server(pki::Role::archive, "archive", expired);
    answer([](auto&) {}, ended);
    EXPECT_EQ(recovery(), Reason::certificate_expired);
}

TEST_F(Newest, B17_AnExplicitChoiceNeedsNoWord)
{
    two_records_and_a_cleared_tpm();
    archive.vouch_no_more();
    box.recover(archive.address(), first_);
    EXPECT_EQ(box.state(), State::recovered);
    EXPECT_EQ(recovered(), first_);
    box.recover(archive.address(), second_);
    EXPECT_EQ(recovered(), second_);
    EXPECT_EQ(reason_of([&] { box.recover(archive.address(), second_ + 2); }), Reason::record_not_found);
}

TEST_F(Newest, B17_ARecordInTheHandIsAChoiceWhenItsSequenceIsNamed)
{
    two_records_and_a_cleared_tpm();
    expect_refused(records_.at(second_), Reason::newest_unproven, "nobody says that it is the newest");
    EXPECT_EQ(reason_of([&] { box.restore(records_.at(first_), second_); }), Reason::record_outdated);
    box.restore(records_.at(second_), second_);
    EXPECT_EQ(box.state(), State::recovered);
}

TEST_F(Newest, AtAnOddEpochThereIsNoChoice)
{
    bring_up_and_publish();
    const auto first = box.epoch();
    box.device().enter_personalization({});
    bring_up_and_publish();
    lose_disk();
    EXPECT_EQ(reason_of([&] { box.recover(archive.address(), first); }), Reason::record_outdated);
    archive.vouch_no_more();
    box.recover(archive.address());
    EXPECT_EQ(box.state(), State::operating) << "the counter's word is enough";
}

} // namespace
} // namespace imprint::test
