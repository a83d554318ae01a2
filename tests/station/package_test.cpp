// SPDX-License-Identifier: Apache-2.0
// Data packages of every content, from a station to a real TPM.
#include "backup/package/data_package.h"
#include "backup/package/opaque_secret.h"
#include "daemon/base/file.h"
#include "daemon/structures/child.h"
#include "daemon/structures/marshal.h"
#include "provisioning/station/make_package.h"
#include "tests/station/fixture.h"
#include "tests/structures/software_key.h"

#include <SQLiteCpp/SQLiteCpp.h>

namespace imprint::test {

namespace {

using station::DerivedKey;
using station::OpaqueSecret;
using station::PairKey;
using station::PairKind;
using station::ProfileEntry;
using structures::KeyUse;

// Every kind of entry once, each pair for both uses.
std::vector<ProfileEntry> everything()
{
    std::vector<ProfileEntry> entries{
        {"channel", DerivedKey{"channel", 2}},
        {"channel.former", DerivedKey{"channel", 1}},
        {"wifi", OpaqueSecret{std::make_shared<const Secret>(random_secret(1000)), {}}},
    };
    for (const auto kind : {PairKind::p256, PairKind::p384, PairKind::rsa2048, PairKind::rsa3072})
        for (const auto use : {KeyUse::sign, KeyUse::decrypt})
            entries.push_back({std::string(station::name(kind)) + (use == KeyUse::sign ? ".sign" : ".decrypt"),
                               PairKey{.kind = kind, .use = use, .certificate = true}, kind == PairKind::p256});
    return entries;
}

class Packages : public OneDevice {
protected:
    static package::DataPackage package_in(const station::Answer& answer)
    {
        const auto message = protocol::parse(answer.message).or_throw();
        return package::parse_data_package(as_bytes(message.grant().data_package())).or_throw();
    }
    package::DataPackage granted()
    {
        return package_in(send_proof(device, [](auto&) {}));
    }
    std::optional<Reason> refused_at_proof()
    {
        return refusal(send_proof(device, [](auto&) {}));
    }
    void expect_nothing_burnt()
    {
        EXPECT_EQ(rows("grants"), 0);
        EXPECT_EQ(rows("chips"), 0);
    }
};

// A child's sensitive area but for its sizes, in clear by nature.
BytesView child_of(const package::Entry& entry)
{
    return entry.has_sensitive() ? as_bytes(entry.sensitive()).subspan(4) : BytesView();
}

pki::Certificate certificate_of(const package::Entry& entry)
{
    return pki::Certificate::from_der(as_bytes(entry.certificate())).or_throw();
}

TEST_F(Packages, B5_B13_B20_KeysOfEveryKindAreImportedLoadedAndCertifiedByTheTpm)
{
    station.profile.entries = everything();
    const auto answer = personalize(device);
    EXPECT_TRUE(is_receipt(answer)) << answer.audit.back().detail;
    EXPECT_EQ(rows("records"), 1);
}

TEST_F(Packages, B5_B13_CertificatesOfPairsLeadToTheManufacturer)
{
    station.profile.entries = everything();
    const auto package = granted();
    int certificates = 0;
    for (const auto& entry : package.entries()) {
        if (entry.certificate().empty())
            continue;
        ++certificates;
        const auto certificate = certificate_of(entry);
        const auto chain =
            pki::verify(certificate, {pki.station_signing.certificate}, pki.trust(), pki::Role::data_key, now);
        EXPECT_TRUE(chain) << entry.label() << ": " << chain.refusal().detail;
        EXPECT_EQ(pki::device_identity(certificate), (pki::DeviceIdentity{"serial", "SN000001"}));
    }
    EXPECT_EQ(certificates, 8);
}

TEST_F(Packages, B20_KeysForFilesAndNoOthersAreUnderAParent)
{
    station.profile.entries = everything();
    const auto package = granted();
    const auto parent = structures::unmarshal<TPM2B_PUBLIC>(as_bytes(package.parent().object())).or_throw().publicArea;
    EXPECT_TRUE(structures::is_importable_parent(parent));
    for (const auto& entry : package.entries())
        EXPECT_EQ(entry.has_sensitive(), entry.label().starts_with("p256")) << entry.label();
    device.move_on();
    station.profile = {};
    EXPECT_FALSE(granted().has_parent());
}

TEST_F(Packages, HaveNoMoreBytesThanTheirProfileSays)
{
    for (const auto& entry : everything()) {
        station.profile.entries = {entry};
        EXPECT_LE(granted().ByteSizeLong(), largest_package(station.profile)) << entry.label;
        device.move_on();
    }
}

TEST_F(Packages, Attack10_NothingOfTwoPackagesIsTheSame)
{
    station.profile.entries = everything();
    const auto one = granted();
    device.move_on();
    const auto other = granted();
    EXPECT_NE(one.parent().object(), other.parent().object());
    EXPECT_TRUE(structures::differ_throughout(as_bytes(one.parent().seed()).subspan(4),
                                              as_bytes(other.parent().seed()).subspan(4)));
    EXPECT_TRUE(structures::differ_throughout(as_bytes(one.parent().duplicate()).subspan(4),
                                              as_bytes(other.parent().duplicate()).subspan(4)));
    for (int i = 0; i < one.entries_size(); ++i) {
        const auto &a = one.entries(i), &b = other.entries(i);
        EXPECT_TRUE(structures::differ_throughout(as_bytes(a.seed()), as_bytes(b.seed()))) << a.label();
        EXPECT_TRUE(structures::differ_throughout(as_bytes(a.duplicate()), as_bytes(b.duplicate()))) << a.label();
        EXPECT_TRUE(structures::differ_throughout(child_of(a), child_of(b))) << a.label();
        EXPECT_NE(a.object(), b.object()) << a.label();
        if (a.has_enveloped()) {
            EXPECT_NE(a.enveloped(), b.enveloped());
        }
    }
}

TEST_F(Packages, Attack46_CertificatesOfAnAbandonedGrantAreRevokedWithIt)
{
    station.profile.entries = {{"tls", PairKey{.certificate = true}}, {"mail", PairKey{.certificate = true}}};
    const auto abandoned = granted();
    EXPECT_TRUE(store.revoked().empty());
    device.move_on();
    EXPECT_TRUE(is_receipt(personalize(device)));
    std::vector<std::string> serials;
    for (const auto& entry : store.revoked())
        serials.push_back(entry.serial);
    EXPECT_EQ(serials.size(), 3U) << "the module certificate, too";
    for (const auto& entry : abandoned.entries())
        EXPECT_THAT(serials, testing::Contains(certificate_of(entry).serial())) << entry.label();
}

// The module key is dead by its epoch, the pairs are not: with the old files they could be loaded for ever.
TEST_F(Packages, Attack46_ThoseOfAnEarlierPersonalizationAreRevokedWithTheNextReceipt)
{
    station.profile.entries = {{"tls", PairKey{.certificate = true}}, {"mail", PairKey{.certificate = true}}};
    DeviceSide side(device, binding);
    auto first = session();
    const auto challenge = first.receive(side.send_hello(side.hello()), now);
    const auto grant = first.receive(bytes_of(side.proof(challenge.message)), now);
    const auto earlier = package_in(grant);
    ASSERT_TRUE(is_receipt(first.receive(bytes_of(side.backup(grant.message)), now)));
    const auto sequence = device.epoch() + 1;
    EXPECT_TRUE(store.revoked().empty());

    device.move_on();
    const auto later = granted();
    EXPECT_TRUE(store.revoked().empty()) << "nobody has the receipt yet";
    device.move_on();
    const auto receipt = personalize(device);
    ASSERT_TRUE(is_receipt(receipt));
    EXPECT_TRUE(receipt.revoked) << "the list is written anew";
    std::vector<std::string> serials;
    for (const auto& entry : store.revoked())
        serials.push_back(entry.serial);
    EXPECT_EQ(serials.size(), 6U) << "of the abandoned one and of the earlier one, with their module certificates";
    for (const auto& package : {earlier, later})
        for (const auto& entry : package.entries())
            EXPECT_THAT(serials, testing::Contains(certificate_of(entry).serial())) << entry.label();
    const auto kept = store.received_grant(device.chip(), sequence);
    ASSERT_TRUE(kept) << "the earlier record still has what it was granted with";
    EXPECT_THAT(serials, testing::Contains(kept->serial));
}

TEST_F(Packages, WhatTheTpmCannotDoIsRefusedBeforeAnythingIsBurnt)
{
    station.profile.entries = {{"mail", PairKey{.kind = PairKind::rsa3072}}};
    const auto answer = send_hello(device, [](protocol::Message& hello) {
        auto& algorithms = *hello.mutable_hello()->mutable_capabilities()->mutable_algorithms();
        algorithms.erase(std::ranges::find(algorithms, "rsa3072"));
    });
    EXPECT_EQ(refusal(answer), Reason::capability_missing);
    const auto message = protocol::parse(answer.message).or_throw();
    EXPECT_THAT(message.refused().detail(), testing::AllOf(testing::HasSubstr("mail"), testing::HasSubstr("rsa3072")));
    expect_nothing_burnt();
}

TEST_F(Packages, WithoutADevicesSecretNothingIsGranted)
{
    station.profile.entries = {{"wifi", OpaqueSecret{nullptr, directory / "secrets"}}};
    EXPECT_EQ(refused_at_proof(), Reason::profile_invalid);
    expect_nothing_burnt();
    std::filesystem::create_directory(directory / "secrets");
    write_file(directory / "secrets/SN000001", Bytes(65537));
    EXPECT_EQ(refused_at_proof(), Reason::profile_invalid);
    expect_nothing_burnt();
    write_file(directory / "secrets/SN000001", Bytes(65536));
    EXPECT_TRUE(is_receipt(personalize(device))) << "the largest secret";
}

TEST_F(Packages, B7_WithoutAPoolNoPairIsTakenFromIt)
{
    station.profile.entries = {{"channel", DerivedKey{"channel", 1}}, {"tls", PairKey{.from_pool = true}}};
    EXPECT_EQ(refused_at_proof(), Reason::pool_empty);
    expect_nothing_burnt();
}

} // namespace

} // namespace imprint::test
