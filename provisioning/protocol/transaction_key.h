// SPDX-License-Identifier: Apache-2.0
// The transaction key (claim A32): an HMAC key that the central system made and the device's TPM keeps. Both derive the
// external PSKs of later TLS 1.3 connections from it (RFC 8446, clause 4.2.11; RFC 9257), the device by TPM2_HMAC.
// Every connection has a PSK and an identity of its own.
#pragma once

#include "daemon/base/secret.h"
#include "daemon/structures/templates.h"

#include <optional>

namespace imprint::protocol {

inline constexpr std::string_view key_alpn = "imprint-key/1";
inline constexpr std::size_t transaction_key_size = 32; // bytes
inline constexpr std::size_t key_id_size = 16;
inline constexpr std::size_t psk_identity_size = 32; // key identifier ‖ 16 random bytes
// The PSK has 32 bytes; its hash is that of the cipher suite.
inline constexpr const char* psk_cipher_suite = "TLS_AES_256_GCM_SHA384";

// The public area of the key in the TPM: HMAC-SHA256, noDA, userWithAuth clear, PolicyNV(epoch index == odd epoch).
// `unique` is left empty: structures::wrap() fills it in.
TPMT_PUBLIC transaction_key_area(BytesView epoch_index_name, std::uint64_t odd_epoch);
// Whether an area is exactly that, its unique field apart.
bool is_transaction_key(const TPMT_PUBLIC& area, BytesView epoch_index_name, std::uint64_t odd_epoch);

// A fresh identity for one connection.
Bytes new_psk_identity(BytesView key_id);
// The key that an identity belongs to; nothing if it is none of ours.
std::optional<Bytes> key_id_of(BytesView psk_identity);

// What the key's HMAC is taken over, each at most 1,024 bytes: "imprint/1 psk" ‖ 00 ‖ identity, and for KeyConfirm
// "imprint/1 key confirmation" ‖ 00 ‖ TLS exporter (RFC 9266, 32 bytes) ‖ key identifier.
Bytes psk_input(BytesView psk_identity);
Bytes confirmation_input(BytesView channel_binding, BytesView key_id);
// HMAC-SHA256, as the TPM computes it.
Secret transaction_hmac(const Secret& transaction_key, BytesView input);

} // namespace imprint::protocol
