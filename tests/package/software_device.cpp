// SPDX-License-Identifier: Apache-2.0
#include "tests/package/software_device.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/templates.h"
#include "daemon/structures/wrap.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>

namespace imprint::test {

namespace {

Bytes number(const pki::Key& key, const char* parameter)
{
    BIGNUM* raw = nullptr;
    if (EVP_PKEY_get_bn_param(key.get(), parameter, &raw) != 1)
        throw openssl_error(Reason::internal, parameter);
    const Owned<BIGNUM, BN_clear_free> owned(raw);
    Bytes bytes(32);
    BN_bn2binpad(raw, bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
}

void add(package::DataPackage& package, const std::string& label, const structures::Importable& importable)
{
    auto& entry = *package.add_entries();
    entry.set_label(label);
    entry.set_object(to_string(importable.object));
    entry.set_duplicate(to_string(importable.duplicate));
    entry.set_seed(to_string(importable.seed));
}

} // namespace

TPMT_PUBLIC software_storage_key()
{
    const auto key = pki::generate_key("P-256");
    TPMT_PUBLIC area = structures::storage_key_template();
    area.unique.ecc.x = structures::to_tpm2b<TPM2B_ECC_PARAMETER>(number(key, OSSL_PKEY_PARAM_EC_PUB_X));
    area.unique.ecc.y = structures::to_tpm2b<TPM2B_ECC_PARAMETER>(number(key, OSSL_PKEY_PARAM_EC_PUB_Y));
    return area;
}

SoftwareDevice::SoftwareDevice(const TestPki& p, const std::string& s)
    : SoftwareDevice(p, s, hex(structures::digest(TPM2_ALG_SHA256, as_bytes(s))))
{
}

SoftwareDevice::SoftwareDevice(const TestPki& p, const std::string& s, const std::string& chip_identifier)
    : pki(p)
    , serial(s)
    , chip(chip_identifier)
    , identity(p.identity(s, chip_identifier))
    , storage_key(software_storage_key())
    , secret(random_secret(package::secret_size))
{
}

package::DataPackage SoftwareDevice::data_package(std::uint64_t sequence) const
{
    package::DataPackage package;
    package.set_version(package::format_version);
    package.set_chip_identifier(chip);
    package.set_identity_kind("serial");
    package.set_identity_value(serial);
    package.set_sequence(sequence);
    const auto key = pki::generate_key("P-256");
    add(package, "channel",
        structures::wrap(storage_key,
                         structures::importable_ecc_key(number(key, OSSL_PKEY_PARAM_EC_PUB_X),
                                                        number(key, OSSL_PKEY_PARAM_EC_PUB_Y), {}),
                         Secret(number(key, OSSL_PKEY_PARAM_PRIV_KEY))));
    add(package, "channel.symmetric",
        structures::wrap(storage_key, structures::importable_hmac_key({}), random_secret(32)));
    return package;
}

package::BackupContent SoftwareDevice::backup_content(std::uint64_t sequence) const
{
    package::BackupContent content;
    content.set_version(package::format_version);
    content.set_chip_identifier(chip);
    content.set_sequence(sequence);
    content.set_data_package(to_string(package::serialize(data_package(sequence))));
    content.mutable_device()->set_identity_certificate(to_string(identity.certificate.der()));
    content.mutable_device()->add_certificates(to_string(pki.identity_ca.certificate.der()));
    return content;
}

package::RecordContent SoftwareDevice::record_content(std::uint64_t sequence) const
{
    package::RecordContent content;
    content.set_version(package::format_version);
    content.set_chip_identifier(chip);
    content.set_identity_certificate(to_string(identity.certificate.der()));
    content.set_sequence(sequence);
    content.set_time(now.time_since_epoch().count());
    const auto sealed = structures::wrap(storage_key, structures::sealed_secret_template(), secret);
    content.mutable_sealed_secret()->set_object(to_string(sealed.object));
    content.mutable_sealed_secret()->set_duplicate(to_string(sealed.duplicate));
    content.mutable_sealed_secret()->set_seed(to_string(sealed.seed));
    content.set_backup_package(to_string(package::seal(backup_content(sequence), secret)));
    return content;
}

Bytes SoftwareDevice::device_record(const package::RecordContent& content) const
{
    return package::make_record(content, identity.certificate, identity.key.get(), {pki.identity_ca.certificate});
}

Bytes SoftwareDevice::device_record(std::uint64_t sequence) const { return device_record(record_content(sequence)); }

Bytes SoftwareDevice::record(std::uint64_t sequence) const
{
    return package::countersign(device_record(sequence), pki.station_signing.certificate, pki.station_signing.key.get(),
                                {});
}

} // namespace imprint::test
