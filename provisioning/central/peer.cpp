// SPDX-License-Identifier: Apache-2.0
#include "provisioning/central/peer.h"

#include <limits>

namespace imprint::central {

namespace {

constexpr std::uint64_t last_epoch = std::numeric_limits<std::int64_t>::max(); // no counter gets there

} // namespace

std::string_view means_name(Means means) { return means == Means::psk ? "psk" : "certificate"; }

Result<Peer> peer_of(const pki::Certificate& module, Means means)
{
    const auto binding = pki::module_binding(module);
    const auto identity = pki::device_identity(module);
    if (!binding || !identity || binding->epoch > last_epoch)
        return Refusal{Reason::wrong_role, "not a module certificate: " + module.common_name()};
    return Peer{*identity, binding->chip_identifier, binding->epoch, means};
}

} // namespace imprint::central
