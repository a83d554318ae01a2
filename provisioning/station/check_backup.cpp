// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/check_backup.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"

#include <map>

namespace imprint::station {

namespace {

struct Expected {
    Bytes name, qualified_name;
};

TPMT_PUBLIC granted_area(std::string_view object)
{
    return structures::unmarshal<TPM2B_PUBLIC>(as_bytes(object)).or_throw().publicArea;
}

// Of the parent that was granted for key files: loaded under this chip's storage key. Empty where there is none.
Bytes qualified_name_of_parent(const Claim& claim, const package::DataPackage& package)
{
    if (!package.has_parent())
        return {};
    return structures::qualified_name_of_child(claim.storage_key_qualified_name,
                                               granted_area(package.parent().object()));
}

// Labels to what TPM2_Certify has to say; the module key's label is empty.
std::map<std::string, Expected> expected_keys(const Claim& claim, const Granted& granted)
{
    const Bytes parent = qualified_name_of_parent(claim, granted.package);
    std::map<std::string, Expected> keys;
    keys[""] = {structures::name_of(granted.module_key.area), granted.module_key.qualified_name};
    for (const auto& entry : granted.package.entries()) {
        const auto area = granted_area(entry.object());
        const auto& above = entry.has_sensitive() ? parent : claim.storage_key_qualified_name;
        keys[entry.label()] = {structures::name_of(area), structures::qualified_name_of_child(above, area)};
    }
    return keys;
}

Verdict check_keys(const protocol::Backup& backup, const Claim& claim, const Asked& asked, const Granted& granted)
{
    auto missing = expected_keys(claim, granted);
    for (const auto& key : backup.keys()) {
        const auto expected = missing.extract(key.label());
        if (expected.empty())
            return Refusal{Reason::package_invalid, "a key was loaded twice or never granted"};
        const auto attest = structures::check_certify(to_structure(key.certified()), expectation(claim, asked),
                                                      expected.mapped().name, expected.mapped().qualified_name);
        if (!attest)
            return attest.refusal();
    }
    if (!missing.empty())
        return Refusal{Reason::package_invalid, "not every key was loaded from the backup package"};
    return accepted();
}

Verdict check_content(const package::RecordContent& content, const Claim& claim, const Granted& granted)
{
    if (content.chip_identifier() != claim.chip)
        return Refusal{Reason::record_foreign, "the record is for another chip"};
    if (content.sequence() != claim.sequence())
        return Refusal{Reason::record_invalid, "the record has another sequence"};
    if (!equal(as_bytes(content.identity_certificate()), granted.identity_certificate))
        return Refusal{Reason::record_invalid, "the record has another identity certificate than the granted one"};
    return accepted();
}

} // namespace

Result<package::Record> check_backup(const protocol::Backup& backup, const Claim& claim, const Asked& asked,
                                     const Granted& granted, const pki::Trust& trust, pki::Time now)
{
    auto record = package::open_device_record(as_bytes(backup.record()), trust, now);
    if (!record)
        return record;
    if (const auto verdict = check_content(record->content, claim, granted); !verdict)
        return verdict.refusal();
    if (const auto verdict = check_keys(backup, claim, asked, granted); !verdict)
        return verdict.refusal();
    return record;
}

} // namespace imprint::station
