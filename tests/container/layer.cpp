// SPDX-License-Identifier: Apache-2.0
#include "tests/container/layer.h"

#include "tests/container/container.h"
#include "tests/support/built_packages.h"

#include <fcntl.h>
#include <stdexcept>
#include <sys/file.h>
#include <unistd.h>

namespace imprint::test {

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

const fs::path root = IMPRINT_TEST_IMAGES "/container";
constexpr std::size_t max_key = 1 << 20;

// Made by tests/support/root, which knows when it is up to date.
std::string make_package_layers()
{
    if (::geteuid() != 0)
        throw std::runtime_error("only root can boot a container: run this as root");
    Arguments make{IMPRINT_SOURCE "/tests/support/root", root.string(), IMPRINT_SOURCE "/tests/support/root.packages"};
    for (const auto& package : built_packages())
        make.push_back(package.string());
    const auto made = run(make, {}, {}, 20min);
    if (made.status != 0)
        throw std::runtime_error("the container's root file system cannot be made: " + made.out + made.err);
    return made.out.substr(0, made.out.find('\n'));
}

// Tests run in parallel; one makes, the others wait.
Fd lock(const fs::path& path)
{
    Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd || ::flock(fd.get(), LOCK_EX) != 0)
        throw_errno("cannot lock " + path.string());
    return fd;
}

} // namespace

std::string package_layers()
{
    static const std::string layers = make_package_layers();
    return layers;
}

fs::path kept_layer(const std::string& name, const Bytes& contents, const std::function<void(const Container&)>& make)
{
    package_layers();
    auto key = read_file(root.string() + ".key", max_key).value();
    key.insert(key.end(), contents.begin(), contents.end());

    const auto directory = root.parent_path() / name;
    const auto key_file = directory.string() + ".key";
    const auto locked = lock(directory.string() + ".lock");
    if (read_file(key_file, max_key) == key)
        return directory;
    const auto fresh = directory.string() + ".new";
    fs::remove_all(fresh);
    fs::remove(key_file);
    {
        const Container container;
        make(container);
        container.save(fresh);
    }
    fs::remove_all(directory);
    fs::rename(fresh, directory);
    write_file(key_file, key, 0600); // last: what was interrupted counts for nothing
    return directory;
}

} // namespace imprint::test
