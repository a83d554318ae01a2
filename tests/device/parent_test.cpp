// SPDX-License-Identifier: Apache-2.0
// Grants of keys under a parent that do not belong together: refused by device or station, and the device stays as it
// was.
#include "daemon/protobuf/canonical.h"
#include "daemon/structures/marshal.h"
#include "tests/device/refusal.h"
#include "tests/package/broken_package.h"

namespace imprint::test {
namespace {

class Parents : public Refusal {
protected:
    Parents()
    {
        using namespace station;
        station.give({{{"channel", DerivedKey{"channel", 1}},
                       {"file", PairKey{}, true},
                       {"file.hmac", DerivedKey{"file.hmac", 1}, true}}});
    }
    TPMT_PUBLIC storage_key() const
    {
        const auto hello = protocol::parse(station.messages().at(0)).or_throw().hello();
        return structures::unmarshal<TPMT_PUBLIC>(as_bytes(hello.storage_key())).or_throw();
    }
    static Mischief in_package(std::function<void(package::DataPackage&)> change)
    {
        return in_grant([change](protocol::Grant& grant) {
            package::DataPackage data;
            data.ParseFromString(grant.data_package());
            change(data);
            grant.set_data_package(to_string(protobuf::serialize(data)));
        });
    }
};

TEST_F(Parents, ThatDoNotBelongToTheirChildrenAreRefused)
{
    for (const auto& broken : broken_packages(storage_key()))
        expect_refused(in_package(broken.change), broken.reason, broken.what);
    expect_honest_station_still_welcome();
}

// Whole in itself, but not what the station granted: its proof has other Names.
TEST_F(Parents, B18_AnotherParentWithTheSameChildrenGetsNoReceipt)
{
    const SoftwareParent other;
    station.set(in_package([&](package::DataPackage& data) {
        *data.mutable_parent() = other.wrapped_for(storage_key());
        for (auto& entry : *data.mutable_entries())
            if (entry.has_sensitive())
                entry = other.child(entry.label());
    }));
    EXPECT_EQ(reason_of([&] { box.personalize(station, true); }), Reason::attestation_invalid);
    EXPECT_EQ(name(box.state()), name(State::personalization));
    EXPECT_FALSE(box.device().status().ready_to_switch);
}

} // namespace
} // namespace imprint::test
