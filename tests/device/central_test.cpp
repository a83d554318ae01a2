// SPDX-License-Identifier: Apache-2.0
// The central system's keys on the way to the device: what a grant and an update have to bring, and what stays.
#include "daemon/structures/name.h"
#include "tests/device/refusal.h"
#include "tests/device/test_archive.h"

namespace imprint::test {
namespace {

using protocol::CentralKey;
using protocol::CrossCertificates;

Bytes pin(const Certified& key) { return structures::digest(TPM2_ALG_SHA256, key.certificate.spki()); }

class Central : public Refusal {
protected:
    Central() { enter(cross(central, signing)); }
    // As an operator does at the station.
    void enter(const pki::Certificate& cross_certificate)
    {
        auto transaction = station.store().begin();
        EXPECT_TRUE(station.store().set_central_key({central.certificate.spki(), "Central", cross_certificate.der()}));
        station.store().raise_central_number(at(2026));
        transaction.commit();
    }
    void demand(bool required, CrossCertificates cross)
    {
        box.settings.central = {required, cross};
        box.boot();
    }

    static CentralKey good(const Certified& key) { return {certified(key, signing), cross(key, signing)}; }
    static pki::Certificate certified(const Certified& key, const Certified& by)
    {
        return pki::issue_certified_central(by.issuer(), key.certificate.spki(), "Central", valid);
    }
    static pki::Certificate cross(const Certified& by, const Certified& to)
    {
        return pki::issue_cross_certificate(by.issuer(), to.certificate, valid);
    }
    static Bytes set_of(const std::vector<CentralKey>& keys, std::uint64_t number = 1, const Certified& by = signing)
    {
        return protocol::make_central_set(number, keys, by.certificate, by.key.get(), {});
    }
    static Mischief give(const Bytes& set)
    {
        return in_grant([set](protocol::Grant& grant) { grant.set_central_set(to_string(set)); });
    }
    std::uint64_t number() { return box.device().status().central_set; }

    inline static const Certified& signing = manufacturer().station_signing;
    const Certified central = manufacturer().server(pki::Role::central, "Central");
    const Certified next = manufacturer().server(pki::Role::central, "Central");
};

TEST_F(Central, A25_TheKeysComeWithTheGrantAndStay)
{
    demand(true, CrossCertificates::required);
    EXPECT_EQ(reason_of([&] { box.device().central_pins(); }), Reason::wrong_state);
    expect_honest_station_still_welcome();
    EXPECT_EQ(box.device().central_pins(), std::vector<Bytes>{pin(central)});
    EXPECT_EQ(number(), static_cast<std::uint64_t>(station::seconds(at(2026))));
    box.boot();
    EXPECT_EQ(box.device().central_pins(), std::vector<Bytes>{pin(central)});
    EXPECT_NE(number(), 0U);
}

TEST_F(Central, A25_ARecoveredDeviceHasItsPinsAgain)
{
    TestArchive archive;
    expect_honest_station_still_welcome();
    const auto before = number();
    archive.put("/v1/records/" + box.chip() + "/" + std::to_string(box.epoch()), box.device().export_backup());
    box.lose_disk();
    box.boot();
    box.recover(archive.address());
    EXPECT_EQ(box.device().central_pins(), std::vector<Bytes>{pin(central)});
    EXPECT_EQ(number(), before);
}

TEST_F(Central, A26_AKeyThatSomebodyElseSignedStopsTheSwitch)
{
    const auto& pki = manufacturer();
    const TestPki twin;
    const auto other = pki.ca(pki::Role::station_signing, "Station 1");
    expect_refused(give(set_of({{certified(central, twin.station_signing), {}}})), Reason::central_not_certified,
                   "another manufacturer's station");
    expect_refused(give(set_of({{certified(central, other), {}}})), Reason::central_not_certified, "another station");
    expect_refused(give(set_of({{central.certificate, {}}})), Reason::central_not_certified, "the checking key");
    expect_refused(give(set_of({{certified(central, other), {}}}, 1, other)), Reason::central_not_certified,
                   "a whole set by another station");
    expect_refused(give(set_of({{certified(central, twin.station_signing), {}}}, 1, twin.station_signing)),
                   Reason::untrusted_certificate, "a whole set by another manufacturer's station");
    expect_refused(give(set_of({{pki.module("SN-000001").certificate, {}}})), Reason::wrong_role, "a module's");
    Bytes flipped = set_of({good(central)});
    flipped.back() ^= 1;
    expect_refused(give(flipped), Reason::signature_invalid, "a changed signature");
    expect_refused(give({'?'}), Reason::central_set_invalid, "no set at all");
    expect_honest_station_still_welcome();
}

TEST_F(Central, A27_AMissingOrWrongCrossCertificateStopsTheSwitch)
{
    const auto other = manufacturer().ca(pki::Role::station_signing, "Station 1");
    const auto with = [&](const pki::Certificate& made) { return give(set_of({{certified(central, signing), made}})); };
    expect_refused(with(cross(central, other)), Reason::cross_certificate_invalid, "for another station");
    expect_refused(with(cross(next, signing)), Reason::cross_certificate_invalid, "by another key");
    expect_refused(with(signing.certificate), Reason::cross_certificate_invalid, "the checking key's word");
    demand(false, CrossCertificates::required);
    expect_refused(give(set_of({{certified(central, signing), {}}})), Reason::cross_certificate_missing, "none");
    expect_refused(give(set_of({good(central), {certified(next, signing), {}}})), Reason::cross_certificate_missing,
                   "none for the second key");
    expect_honest_station_still_welcome();
}

TEST_F(Central, A27_OnlyWhereThePolicyAsksForOne)
{
    station.set(give(set_of({{certified(central, signing), {}}})));
    box.personalize(station, true);
    EXPECT_EQ(box.device().central_pins(), std::vector<Bytes>{pin(central)});
}

TEST_F(Central, A28_WithoutAnyKeyOnlyWhereThePolicyLetsIt)
{
    const auto none = in_grant([](protocol::Grant& grant) { grant.clear_central_set(); });
    demand(true, CrossCertificates::where_present);
    expect_refused(none, Reason::central_not_certified, "no set");
    demand(false, CrossCertificates::required);
    station.set(none);
    box.personalize(station, true);
    EXPECT_TRUE(box.device().central_pins().empty());
    EXPECT_EQ(number(), 0U);
}

TEST_F(Central, A27_AStationLeavesOutACrossCertificateThatIsNotForItsPresentKey)
{
    const auto old = manufacturer().ca(pki::Role::station_signing, "Station 1");
    enter(cross(central, old));
    expect_honest_station_still_welcome();
    box.device().enter_personalization({});
    demand(true, CrossCertificates::required);
    EXPECT_EQ(reason_of([&] { box.personalize(station, true); }), Reason::cross_certificate_missing);
}

class CentralUpdate : public Central {
protected:
    CentralUpdate()
    {
        station.set(give(set_of({good(central)}, 7)));
        box.personalize(station, true);
        operating_ = box.files();
    }
    void expect_rejected(const Bytes& set, Reason reason, const std::string& what)
    {
        EXPECT_EQ(reason_of([&] { box.device().update_central(set); }), reason) << what;
        EXPECT_EQ(box.files(), operating_) << what;
        EXPECT_EQ(box.device().central_pins(), std::vector<Bytes>{pin(central)}) << what;
        EXPECT_EQ(number(), 7U) << what;
    }
    std::map<std::string, Bytes> operating_;
};

TEST_F(CentralUpdate, A25_TheKeyIsRotatedBeforeItIsUsed)
{
    const Bytes both = set_of({good(central), good(next)}, 8);
    box.device().update_central(both);
    EXPECT_EQ(box.device().central_pins(), (std::vector<Bytes>{pin(central), pin(next)}));
    EXPECT_EQ(number(), 8U);
    const auto files = box.files();
    box.device().update_central(both);
    EXPECT_EQ(box.files(), files) << "the same once more";
    box.boot();
    EXPECT_EQ(number(), 8U);
    box.device().update_central(set_of({good(next)}, 9));
    EXPECT_EQ(box.device().central_pins(), std::vector<Bytes>{pin(next)});
    EXPECT_EQ(reason_of([&] { box.device().update_central(both); }), Reason::central_set_outdated);
    EXPECT_EQ(box.device().central_pins(), std::vector<Bytes>{pin(next)});
}

TEST_F(CentralUpdate, A26_AnyStationOfTheManufacturerMaySignIt)
{
    const auto other = manufacturer().ca(pki::Role::station_signing, "Station 2");
    box.device().update_central(set_of({{certified(next, other), cross(next, other)}}, 8, other));
    EXPECT_EQ(box.device().central_pins(), std::vector<Bytes>{pin(next)});
}

TEST_F(CentralUpdate, A26_EverythingElseIsRefusedAndChangesNothing)
{
    const auto& pki = manufacturer();
    const TestPki twin;
    const auto old = pki.ca(pki::Role::station_signing, "Station 1", expired);
    expect_rejected(set_of({good(next)}, 6), Reason::central_set_outdated, "a lower number");
    expect_rejected(set_of({good(next)}, 7), Reason::central_set_outdated, "the same number");
    expect_rejected(set_of({{certified(next, twin.station_signing), {}}}, 8, twin.station_signing),
                    Reason::untrusted_certificate, "another manufacturer");
    expect_rejected(set_of({{certified(next, old), {}}}, 8, old), Reason::certificate_expired, "an old station");
    expect_rejected(set_of({good(next)}, 8, pki.archive), Reason::wrong_role, "an archive");
    expect_rejected({}, Reason::central_set_invalid, "nothing");
    demand(false, CrossCertificates::required);
    expect_rejected(set_of({{certified(next, signing), {}}}, 8), Reason::cross_certificate_missing, "no cross");
}

TEST_F(CentralUpdate, A25_OnlyInTheOperatingState)
{
    box.device().enter_personalization({});
    EXPECT_EQ(reason_of([&] { box.device().update_central(set_of({good(next)}, 8)); }), Reason::wrong_state);
}

TEST_F(CentralUpdate, A25_OfManyAtOnceTheHighestStays)
{
    std::vector<Bytes> sets;
    for (std::uint64_t i = 8; i < 16; ++i)
        sets.push_back(set_of({good(i == 15 ? next : central)}, i));
    {
        std::vector<std::jthread> threads;
        for (const auto& set : sets)
            threads.emplace_back([&] { (void)reason_of([&] { box.device().update_central(set); }); });
    }
    EXPECT_EQ(number(), 15U);
    EXPECT_EQ(box.device().central_pins(), std::vector<Bytes>{pin(next)});
}

} // namespace
} // namespace imprint::test
