// SPDX-License-Identifier: Apache-2.0
// Inside daemon/pki only: adds the extensions of the profiles to a certificate that is being made. Values are built as
// structures, never from configuration strings: names come from outside.
#pragma once

#include "daemon/pki/scope.h"

#include <span>

namespace imprint::pki {

inline constexpr int no_path_limit = -1;

void add_basic_constraints(X509* certificate, bool ca, int path_length);
void add_key_usage(X509* certificate, int bits); // KU_* of x509v3.h
void add_extended_key_usage(X509* certificate, std::span<const std::string_view> oids);
void add_subject_key_id(X509* certificate); // RFC 7093 §2, method 1
Bytes subject_key_id(const X509* certificate);
// Host names (A-label form) and IP addresses in text. Throws Error(invalid_argument).
void add_server_names(X509* certificate, const std::vector<std::string>& names);
void add_device_identity(X509* certificate, const DeviceIdentity& identity);
void add_device_policies(X509* certificate);
void add_chip_identifier(X509* certificate, const std::string& chip_identifier);
void add_scope(X509* certificate, const Scope& scope); // nothing for an empty one
void add_module_binding(X509* certificate, const ModuleBinding& binding);

} // namespace imprint::pki
