// SPDX-License-Identifier: Apache-2.0
// One device whose messages are changed on their way: none of them gets a certificate.
#pragma once

#include "provisioning/protocol/transcript.h"
#include "tests/station/fixture.h"

namespace imprint::test {

class Attack : public OneDevice {
protected:
    ~Attack() override { EXPECT_EQ(rows("grants"), granted) << "certificates"; }
    std::int64_t granted = 0; // by honest conversations of the test
};

// A Hello and the honest Proof for it, with what the station knows when it checks them.
struct Checked {
    Checked(HonestDevice& device, const station::Station& station)
        : side(device, binding)
        , hello(side.hello())
    {
        const Bytes bytes = side.send_hello(hello);
        claim = station::check_hello(hello.hello(), *station.credentials.trust, now).or_throw();
        protocol::Message challenge;
        *challenge.mutable_challenge() = station::make_challenge(station.credentials, claim, asked).or_throw();
        asked.qualifying_data = protocol::qualifying_data(binding, bytes, bytes_of(challenge));
        proof = side.proof(bytes_of(challenge));
    }

    DeviceSide side;
    protocol::Message hello;
    station::Claim claim;
    station::Asked asked;
    protocol::Message proof;
};

// Every byte of `field` changed in turn.
template <class F>
void for_each_flip(const std::string& field, F visit)
{
    for (std::size_t i = 0; i < field.size(); ++i)
        for (const unsigned mask : {0x01U, 0x80U}) {
            std::string changed = field;
            changed[i] = static_cast<char>(static_cast<unsigned char>(changed[i]) ^ mask);
            SCOPED_TRACE("byte " + std::to_string(i));
            visit(changed);
        }
}

} // namespace imprint::test
