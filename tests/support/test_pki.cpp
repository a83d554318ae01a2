// SPDX-License-Identifier: Apache-2.0
#include "tests/support/test_pki.h"

namespace imprint::test {

namespace {

Certified make_root(const std::string& name)
{
    auto key = pki::generate_key("P-384");
    auto certificate = pki::issue_checking_ca(key.get(), name, valid);
    return {std::move(key), certificate};
}

Certified make_ca(const Certified& root, pki::Role role, const std::string& name, pki::Validity validity,
                  const pki::Scope& scope = {})
{
    auto key = pki::generate_key("P-256");
    auto certificate = pki::issue_ca(root.issuer(), pki::spki(key.get()), role, name, validity, scope);
    return {std::move(key), certificate};
}

Certified make_server(const Certified& root, pki::Role role, const std::string& name, pki::Validity validity)
{
    auto key = pki::generate_key("P-256");
    auto certificate =
        pki::issue_server(root.issuer(), pki::spki(key.get()), role, name, {"localhost", "127.0.0.1", "::1"}, validity);
    return {std::move(key), certificate};
}

} // namespace

pki::Key share(const pki::Key& key)
{
    EVP_PKEY_up_ref(key.get());
    return pki::Key(key.get());
}

TestPki::TestPki(const std::string& manufacturer)
    : root(make_root(manufacturer))
    , identity_ca(make_ca(root, pki::Role::identity_ca, manufacturer + " Identity CA", valid))
    , station_signing(make_ca(root, pki::Role::station_signing, "Station 1", valid))
    , station_tls(make_server(root, pki::Role::station_tls, "Station 1", valid))
    , archive(make_server(root, pki::Role::archive, "Archive 1", valid))
{
}

pki::Trust TestPki::trust() const { return {{root.certificate}, {identity_ca.certificate}, {}}; }

Bytes TestPki::trust_pem() const { return pki::to_pem({root.certificate, identity_ca.certificate}); }

Bytes TestPki::trust_pem_with(const TestPki& other) const
{
    return pki::to_pem(
        {root.certificate, identity_ca.certificate, other.root.certificate, other.identity_ca.certificate});
}

Certified TestPki::ca(pki::Role role, const std::string& name, pki::Validity validity, const pki::Scope& scope) const
{
    return make_ca(root, role, name, validity, scope);
}

Certified TestPki::server(pki::Role role, const std::string& name, pki::Validity validity) const
{
    return make_server(root, role, name, validity);
}

Certified TestPki::client(pki::Role role, const std::string& name, pki::Validity validity) const
{
    auto key = pki::generate_key("P-256");
    auto certificate = pki::issue_client(root.issuer(), pki::spki(key.get()), role, name, validity);
    return {std::move(key), certificate};
}

Certified TestPki::module(const std::string& serial, pki::Validity validity) const
{
    const pki::ModuleBinding binding{Bytes(32, 0x11), 3, Bytes(34, 0x22), Bytes(34, 0x33), std::string(64, 'a')};
    auto key = pki::generate_key("P-256");
    auto certificate =
        pki::issue_module(station_signing.issuer(), pki::spki(key.get()), {"serial", serial}, binding, validity);
    return {std::move(key), certificate};
}

Certified TestPki::identity(const std::string& serial, const std::string& chip_identifier) const
{
    auto key = pki::generate_key("P-256");
    auto certificate =
        pki::issue_identity(identity_ca.issuer(), pki::spki(key.get()), {"serial", serial}, chip_identifier);
    return {std::move(key), certificate};
}

pki::Crl TestPki::crl(const pki::Certificate& revoked) const
{
    return pki::issue_crl(root.issuer(), 1, {{revoked.serial(), at(2022)}}, valid);
}

pki::Crl TestPki::station_crl(const pki::Certificate& revoked) const
{
    return pki::issue_crl(station_signing.issuer(), 1, {{revoked.serial(), at(2022)}}, valid);
}

} // namespace imprint::test
