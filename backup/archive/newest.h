// SPDX-License-Identifier: Apache-2.0
// The archive's signed word which record of a chip is its newest, for devices that cannot tell it by themselves.
#pragma once

#include "backup/archive/api.h"

namespace imprint::archive {

inline constexpr std::string_view newest_type = "application/vnd.imprint.newest";

// "/v1/newest/<chip identifier>?nonce=<64 hexadecimal digits in lower case>"
struct NewestQuestion {
    std::string chip_identifier;
    Bytes nonce;
};
std::optional<NewestQuestion> parse_newest(std::string_view target);

// Signed anew for every question, and for nobody to keep.
Answer answer_newest(Store& store, const Signer& signer, const NewestQuestion& question, pki::Time now);

} // namespace imprint::archive
