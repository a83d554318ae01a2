// SPDX-License-Identifier: Apache-2.0
#include "provisioning/server/symmetric_key.h"

#include "daemon/base/error.h"
#include "daemon/base/file.h"
#include "provisioning/server/owner.h"

namespace imprint::server {

namespace {

std::filesystem::path path_of(const std::string& source)
{
    constexpr std::string_view prefix = "credential:";
    return source.starts_with(prefix) ? credential_path(source.substr(prefix.size())) : std::filesystem::path(source);
}

} // namespace

Secret load_symmetric_key(const std::string& source, const std::string& what)
{
    auto key = read_secret_file(path_of(source), symmetric_key_size);
    if (!key || key->size() != symmetric_key_size)
        throw Error(Reason::not_configured, source + " is no " + what);
    return *std::move(key);
}

void make_symmetric_key(const std::filesystem::path& path, const std::string& why)
{
    if (std::filesystem::exists(path))
        throw Error(Reason::storage_failed, path.string() + " exists: " + why);
    const AsOwnerOf owner(path.parent_path());
    write_file(path, random_secret(symmetric_key_size).view());
}

} // namespace imprint::server
