// SPDX-License-Identifier: Apache-2.0
// The whole way of claim A22: personalized at a station, switched, connected to the central system. Real programs
// throughout.
#include "tests/system/fixture.h"

namespace imprint::test {

namespace {

class CentralSystem : public WholeSystem {
protected:
    CentralSystem()
    {
        const auto added =
            factory.station_command({"central", "add", "--certificate", factory / "central-keys/tls.pem"});
        if (added.status != 0)
            throw std::runtime_error(added.err);
        factory.start_central();
        device.start();
    }
    Finished get()
    {
        return device.imprintctl({"connect", "--central", factory.central_address(), "--alpn", "http/1.1"},
                                 "GET / HTTP/1.0\r\n\r\n");
    }
};

TEST_F(CentralSystem, A22_A40_A41_A42_PersonalizedSwitchedAndConnected)
{
    ASSERT_EQ(personalize(), "");
    ASSERT_EQ(state(), "s \"operating\"");
    const auto answer = get();
    EXPECT_EQ(answer.status, 0) << answer.err;
    EXPECT_NE(answer.out.find("\"identity\": \"SN000001\""), std::string::npos) << answer.out << answer.err;
    EXPECT_NE(answer.out.find("\"chip\": \"" + chip() + "\""), std::string::npos) << answer.out;
}

TEST_F(CentralSystem, A23_AfterAnotherPersonalizationOnlyTheNewKeyConnects)
{
    ASSERT_EQ(personalize(), "");
    EXPECT_EQ(get().status, 0);
    ASSERT_EQ(enter_personalization(), "");
    EXPECT_NE(get().status, 0) << "not in operation";
    ASSERT_EQ(personalize(), "");
    const auto answer = get();
    EXPECT_EQ(answer.status, 0) << answer.err;
    EXPECT_NE(answer.out.find("SN000001"), std::string::npos) << answer.out;
}

} // namespace

} // namespace imprint::test
