// SPDX-License-Identifier: Apache-2.0
#include "provisioning/authority/new_directory.h"

#include "daemon/base/error.h"
#include "daemon/base/file.h"

#include <cstdio>
#include <cstdlib>

namespace imprint::authority {

namespace fs = std::filesystem;

namespace {

void check_free(const fs::path& place)
{
    std::error_code error;
    const auto status = fs::symlink_status(place, error);
    if (!fs::exists(status) || (fs::is_directory(status) && fs::is_empty(place, error)))
        return;
    throw Error(Reason::invalid_argument, place.string() + " exists already, and nothing is overwritten");
}

} // namespace

NewDirectory::NewDirectory(fs::path place)
    : place_(fs::absolute(place).lexically_normal())
{
    if (!place_.has_filename())
        place_ = place_.parent_path();
    check_free(place_);
    const auto parent = place_.parent_path();
    std::error_code error;
    fs::create_directories(parent, error);
    std::string name = (parent / ("." + place_.filename().string() + "-XXXXXX")).string();
    if (mkdtemp(name.data()) == nullptr)
        throw_errno("cannot make a directory in " + parent.string());
    path_ = name;
}

NewDirectory::~NewDirectory()
{
    std::error_code error;
    if (!path_.empty())
        fs::remove_all(path_, error);
}

void NewDirectory::commit()
{
    // rename() takes the place of an empty directory, and refuses one with anything in it.
    if (std::rename(path_.c_str(), place_.c_str()) != 0)
        throw_errno("cannot make " + place_.string());
    path_.clear();
    sync_directory(place_);
}

} // namespace imprint::authority
