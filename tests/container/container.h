// SPDX-License-Identifier: Apache-2.0
// A whole Debian with the packages under test, booted by systemd-nspawn: real systemd, real bus, real polkit.
#pragma once

#include "tests/container/control_group.h"
#include "tests/support/notify_socket.h"

namespace imprint::test {

class Container {
public:
    // A directory of this machine that the container sees.
    struct Bind {
        std::filesystem::path outside;
        std::string inside;
    };

    // `environment`: of its systemd; `layer`: of kept_layer(). Boots the root file system, as it was made from the
    // packages: what is changed in it is gone with it. Throws std::runtime_error where this machine cannot do that.
    explicit Container(const std::vector<Bind>& binds = {}, const Environment& environment = {},
                       const std::filesystem::path& layer = {});
    ~Container();
    Container(const Container&) = delete;
    Container& operator=(const Container&) = delete;

    // A command in it. Everything ends with the container.
    Finished run(const Arguments& command, const std::string& input = {}, const std::string& user = "root",
                 std::chrono::seconds limit = std::chrono::seconds(60)) const;
    // The same, in the background; its standard error goes to `log`, on this machine.
    Process start(const Arguments& command, const std::string& user = "root",
                  const std::filesystem::path& log = {}) const;
    // The program of this machine that runs a command in it, for a terminal.
    Arguments inside(const Arguments& command, const std::string& user = "root") const;
    // What a shell script prints. Throws std::runtime_error if it fails.
    std::string must(const std::string& script) const;

    // For a command of systemd-run, which would put in variables of its own.
    static std::string unexpanded(const std::string& text);

    // A path in it, for this machine's programs.
    std::filesystem::path operator/(const std::string& inside) const;
    void write(const std::string& path, const std::string& text, mode_t mode = 0644) const; // with its directories
    std::string read(const std::string& path) const; // empty if it is not there
    void save(const std::filesystem::path& layer) const; // what was changed in it so far

private:
    void boot(const std::vector<Bind>& binds, const Environment& environment, const std::filesystem::path& layer);
    std::filesystem::path overlay() const;
    void wait_until_booted();

    TemporaryDirectory directory_;
    NotifySocket notifications_;
    ControlGroup group_;
    std::optional<Process> nspawn_;
    std::string leader_; // its first process
};

} // namespace imprint::test
