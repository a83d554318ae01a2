// SPDX-License-Identifier: Apache-2.0
#include "provisioning/server/service_key.h"

#include "daemon/base/error.h"
#include "daemon/base/file.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace imprint::server {

namespace {

constexpr std::size_t max_key = 64 * 1024;

pid_t spawn(std::vector<std::string> arguments, const Fd& output)
{
    std::vector<char*> pointers;
    for (auto& argument : arguments)
        pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, output.get(), STDOUT_FILENO);
    pid_t pid = -1;
    const int fault = posix_spawnp(&pid, pointers.front(), &actions, nullptr, pointers.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (fault != 0)
        throw Error(Reason::not_configured, "cannot run " + arguments.front() + ": " + std::strerror(fault));
    return pid;
}

// Over a pipe, so that it is on no disk meanwhile. systemd-creds says itself what is wrong, on standard error.
Secret decrypted(const std::filesystem::path& credential, const std::string& name)
{
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0)
        throw_errno("cannot make a pipe");
    Fd reading(ends[0]), writing(ends[1]);
    const pid_t pid = spawn({"systemd-creds", "decrypt", "--name=" + name, credential.string(), "-"}, writing);
    writing = Fd();
    Secret secret(max_key); // what exceeds it is left unread, and then the program fails
    secret.resize(read_until_end(reading.get(), {secret.data(), secret.size()}, "what systemd-creds has decrypted"));
    reading = Fd();
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (status != 0)
        throw Error(Reason::not_configured,
                    credential.string() + " cannot be decrypted; only root can, on the machine that it was made for");
    return secret;
}

} // namespace

pki::Key load_service_key(const std::string& service, const std::filesystem::path& file, const std::string& uri,
                          const std::optional<Secret>& passphrase)
{
    if (!uri.empty())
        return pki::load_key(uri, passphrase);
    const auto name = file.filename().string();
    const auto credential = std::filesystem::path("/etc/credstore.encrypted") / (service + "." + name);
    std::error_code none;
    if (std::filesystem::exists(file, none) || !std::filesystem::exists(credential, none))
        return pki::load_key(file.string(), passphrase);
    return pki::decode_key(decrypted(credential, name), credential.string(), passphrase);
}

} // namespace imprint::server
