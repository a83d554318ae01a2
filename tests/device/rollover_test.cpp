// SPDX-License-Identifier: Apache-2.0
// The checking key hands over to another one: the device follows only where the old key has signed the new one.
#include "tests/device/fixture.h"

#include "daemon/pki/issue.h"

namespace imprint::test {

namespace {

// A manufacturer whose root comes after manufacturer()'s.
const TestPki& successor()
{
    static const TestPki pki("Next Manufacturer");
    return pki;
}

pki::Certificate link_by(const TestPki& former)
{
    return pki::issue_link(former.root.issuer(), successor().root.certificate);
}

class Rollover : public DeviceTest {
protected:
    // The successor's bundle, with these certificates behind it.
    void bundle(const pki::Certificates& more)
    {
        Bytes pem = successor().trust_pem();
        const Bytes rest = pki::to_pem(more);
        pem.insert(pem.end(), rest.begin(), rest.end());
        write_file(box.settings.trust_bundle, pem);
        box.boot();
    }
    void proven_bundle() { bundle({manufacturer().root.certificate, link_by(manufacturer())}); }
    std::optional<Reason> adoption()
    {
        return reason_of([&] { box.device().adopt_root({}); });
    }
};

TEST_F(Rollover, A28_ABundleWhoseNewRootTheOldOneSignedIsTaken)
{
    bring_up();
    proven_bundle();
    EXPECT_EQ(box.state(), State::operating);
    EXPECT_THAT(box.device().status().detail, ::testing::HasSubstr("AdoptRoot"));
    // What the old key certified is good, too: the station has not been certified anew.
    box.device().enter_personalization({});
    box.personalize(station, true);
    EXPECT_EQ(box.state(), State::operating);
}

TEST_F(Rollover, A28_OnlyAnExplicitActChangesWhatTheTpmRemembers)
{
    bring_up();
    proven_bundle();
    box.device().enter_personalization({});
    box.personalize(station, true);
    bundle({}); // the new root alone
    EXPECT_EQ(box.state(), State::anchor_mismatch);

    proven_bundle();
    box.device().adopt_root({});
    EXPECT_EQ(box.state(), State::operating);
    EXPECT_THAT(box.device().status().detail, ::testing::Not(::testing::HasSubstr("AdoptRoot")));
    bundle({});
    EXPECT_EQ(box.state(), State::operating);
    box.device().adopt_root({}); // it remembers it already: nothing to do
    write_file(box.settings.trust_bundle, manufacturer().trust_pem());
    box.boot();
    EXPECT_EQ(box.state(), State::anchor_mismatch) << "there is no way back";
}

TEST_F(Rollover, A28_Attack14_WithoutTheOldKeysSignatureTheNewRootIsRefused)
{
    bring_up();
    const TestPki twin; // the old names, other keys
    const auto& old = manufacturer().root.certificate;
    const auto other_key = pki::issue_link(manufacturer().root.issuer(), twin.root.certificate);
    const auto no_root = manufacturer().ca(pki::Role::identity_ca, "a CA, but no checking CA").certificate;
    const std::vector<std::pair<std::string, pki::Certificates>> bundles{
        {"no link", {old}},
        {"the old root is not there", {link_by(manufacturer())}},
        {"signed by a twin", {old, twin.root.certificate, link_by(twin)}},
        {"a link to another key", {old, other_key}},
        {"another kind of CA", {old, no_root}},
    };
    for (const auto& [what, more] : bundles) {
        SCOPED_TRACE(what);
        bundle(more);
        EXPECT_EQ(box.state(), State::anchor_mismatch);
        EXPECT_EQ(adoption(), Reason::root_not_certified);
        EXPECT_EQ(reason_of([&] { box.device().enter_personalization({}); }), Reason::anchor_mismatch);
    }
    proven_bundle();
    EXPECT_EQ(box.state(), State::operating) << "nothing has changed";
}

// Over two generations, for a device that was in a drawer meanwhile.
TEST_F(Rollover, LinksLeadOnFromRootToRoot)
{
    bring_up();
    const TestPki third("Third Manufacturer");
    const auto second_link = pki::issue_link(successor().root.issuer(), third.root.certificate);
    Bytes pem = third.trust_pem();
    const Bytes rest = pki::to_pem(
        {successor().root.certificate, manufacturer().root.certificate, second_link, link_by(manufacturer())});
    pem.insert(pem.end(), rest.begin(), rest.end());
    write_file(box.settings.trust_bundle, pem);
    box.boot();
    ASSERT_EQ(box.state(), State::operating);
    box.device().adopt_root({});
    write_file(box.settings.trust_bundle, third.trust_pem());
    box.boot();
    EXPECT_EQ(box.state(), State::operating);
}

TEST_F(Rollover, ABlankDeviceRemembersTheNewestRoot)
{
    proven_bundle();
    EXPECT_EQ(adoption(), Reason::wrong_state);
    box.personalize(station, true);
    bundle({});
    EXPECT_EQ(box.state(), State::operating);
}

// Cut at every command, the TPM remembers the one key or the other.
TEST_F(Rollover, Attack08_ACrashLeavesTheOldRootOrTheNewOne)
{
    bring_up();
    proven_bundle();
    bool through = false;
    for (std::size_t n = 0; !through; ++n) {
        ASSERT_LT(n, 40U);
        box.cut_after(n);
        try {
            box.device().adopt_root({});
            through = true;
        } catch (const Error&) {
            through = false;
        }
        box.kill();
        box.mend();
        box.boot();
        EXPECT_EQ(box.state(), State::operating) << n;
    }
    bundle({});
    EXPECT_EQ(box.state(), State::operating);
}

} // namespace

} // namespace imprint::test
