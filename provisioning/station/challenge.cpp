// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/session.h"

#include "daemon/structures/wrap.h"

namespace imprint::station {

namespace {

constexpr std::size_t random_size = 32; // of nonce, variation value and activation secret

} // namespace

Result<protocol::Challenge> make_challenge(const Credentials& credentials, const Claim& claim, Asked& asked)
{
    asked.variation = random_bytes(random_size);
    protocol::Challenge challenge;
    for (const auto& certificate : credentials.signing)
        challenge.add_certificates(to_string(certificate.der()));
    challenge.set_nonce(to_string(random_bytes(random_size)));
    challenge.set_variation(to_string(asked.variation));
    if (claim.identity_certificate)
        return challenge;
    asked.activation_secret = random_secret(random_size);
    const auto credential =
        structures::make_credential(claim.endorsement.area, claim.identity_key_name, asked.activation_secret);
    if (!credential)
        return credential.refusal();
    challenge.mutable_credential()->set_id_object(to_string(credential->id_object));
    challenge.mutable_credential()->set_secret(to_string(credential->secret));
    return challenge;
}

} // namespace imprint::station
