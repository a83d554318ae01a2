// SPDX-License-Identifier: Apache-2.0
// The keys of the data package for programs on the device, by their labels. They stay in the TPM; what an opaque secret
// holds reaches the caller.
#pragma once

#include "daemon/base/secret.h"
#include "daemon/lifecycle/store.h"
#include "daemon/structures/data_key.h"
#include "daemon/tpm/worker.h"

#include <filesystem>

namespace imprint::device {

inline constexpr std::size_t max_hmac_message = 1024; // what every TPM takes at once
inline constexpr std::size_t max_derive_context = 512;
inline constexpr std::size_t max_derived = 256; // bytes; a TPM command for each 32
inline constexpr std::size_t max_key_input = 1024; // a digest, a public key, a ciphertext

// What everybody may know of a key.
struct KeyInfo {
    std::string label;
    structures::DataKeyKind kind{};
    std::vector<std::string> algorithms; // for signing, the usual one first
    Bytes public_key; // SubjectPublicKeyInfo (DER); empty for hmac and opaque
    Bytes certificate; // DER; empty where there is none
    bool key_file = false; // may leave the daemon as a key file
    std::filesystem::path key_file_path; // where it stands as one; empty where it does not
};

struct KeyUse {
    enum class Operation { sign, hmac, derive, agree, decrypt, open };
    Operation operation = Operation::sign;
    std::string label;
    std::string algorithm; // sign; empty: the key's usual one
    Bytes input; // digest, message, context, peer's SubjectPublicKeyInfo, ciphertext; nothing for open
    std::size_t length = 0; // derive: bytes wanted
};

// The key with this label in the file. Throws Error(data_key_not_found).
const lifecycle::DataKey& find_key(const lifecycle::Personalization& file, std::string_view label);
KeyInfo describe(const lifecycle::DataKey& key);

// What the TPM gives. Waits for it. Throws Error(data_key_not_found | data_key_unsuitable | invalid_argument |
// tpm_refused: the TPM does not take the input | other tpm_* reasons).
// [5 and what the use costs: 1, derive 1 for each 32 bytes; and what making room costs. A key that is a key file: 4
// where its parent stands, else 7 or 8]
Secret use_key(tpm::Worker& worker, const lifecycle::Personalization& file, const KeyUse& use);

// Block `number` (from 1) of SP 800-108's KDF in counter mode is HMAC over this: number ‖ "imprint/1 derive" ‖ 0 ‖
// context ‖ length wanted, in bits; both numbers 32 bits, big-endian.
Bytes derivation_block(std::uint32_t number, BytesView context, std::size_t length);

} // namespace imprint::device
