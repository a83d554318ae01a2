// SPDX-License-Identifier: Apache-2.0
#include "tests/support/postgres.h"

#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <csignal>
#include <array>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace imprint::test {

namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr auto account = "postgres"; // the servers refuse to run as root

Arguments program(const std::string& name, const Arguments& arguments)
{
    Arguments all;
    if (geteuid() == 0)
        all = {"setpriv", "--reuid", account, "--regid", account, "--clear-groups"};
    all.push_back("/usr/lib/postgresql/15/bin/" + name);
    all.insert(all.end(), arguments.begin(), arguments.end());
    return all;
}

std::string checked(const Arguments& arguments)
{
    const Finished done = run(arguments);
    if (done.status != 0)
        throw std::runtime_error(arguments.front() + ": " + done.out + done.err);
    return done.out.substr(0, done.out.find_last_not_of('\n') + 1);
}

// Made once for all servers of a test program, which copy it.
class Template {
public:
    Template()
    {
        Postgres::give_away(directory_.path());
        checked(
            program("initdb", {"-D", path(), "-U", account, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"}));
        std::ofstream(path() + "/postgresql.conf", std::ios::app)
            << "listen_addresses = ''\nshared_buffers = 16MB\nmax_wal_size = 128MB\nmax_connections = 50\n";
    }
    std::string path() const { return directory_.path() / "data"; }

private:
    TemporaryDirectory directory_;
};

} // namespace

void Postgres::give_away(const fs::path& directory)
{
    const passwd* user = geteuid() == 0 ? getpwnam(account) : nullptr;
    if (user != nullptr && chown(directory.c_str(), user->pw_uid, user->pw_gid) != 0)
        throw_errno("chown " + directory.string());
}

Postgres::Postgres()
{
    static const Template made;
    give_away(directory_.path());
    checked({"cp", "-a", made.path(), path()});
    start();
}

Postgres::Postgres(const Postgres* primary)
{
    give_away(directory_.path());
    checked(program("pg_basebackup",
                    {"-D", path(), "-d",
                     "host=" + primary->directory_.path().string() + " user=postgres application_name=standby", "-X",
                     "stream", "--checkpoint=fast", "--no-sync", "-R"}));
    start();
    primary->sql("ALTER SYSTEM SET synchronous_standby_names = 'standby'");
    primary->sql("SELECT pg_reload_conf()");
    primary->wait_for_log("is now a synchronous standby");
}

Postgres::~Postgres()
{
    if (process_)
        kill();
}

void Postgres::start()
{
    const auto log = directory_ / "log";
    log_start_ = fs::exists(log) ? fs::file_size(log) : 0;
    process_.emplace(program("postgres", {"-D", path(), "-k", directory_.path()}), Environment{}, log);
    wait_for_log("database system is ready to accept"); // connections, or read-only connections
}

void Postgres::kill()
{
    const auto pid = std::to_string(process_->pid());
    std::ifstream children("/proc/" + pid + "/task/" + pid + "/children");
    process_->signal(SIGSTOP); // starts no more of them
    for (pid_t child = 0; children >> child;)
        ::kill(child, SIGKILL);
    process_.reset();
}

void Postgres::promote() { sql("SELECT pg_promote()"); }

std::string Postgres::sql(const std::string& statements, const std::string& database) const
{
    return checked({"psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", directory_.path(), "-U", account, "-d", database,
                    "-c", statements});
}

void Postgres::wait_for_log(const std::string& text) const
{
    const auto log = directory_ / "log";
    const Fd watch(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (inotify_add_watch(watch.get(), log.c_str(), IN_MODIFY) < 0)
        throw_errno("inotify " + log.string());
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    for (;;) {
        std::ifstream stream(log);
        stream.seekg(static_cast<std::streamoff>(log_start_));
        const std::string content{std::istreambuf_iterator<char>(stream), {}};
        if (content.find(text) != std::string::npos)
            return;
        std::array<char, 4096> events{};
        while (read(watch.get(), events.data(), events.size()) > 0) { }
        pollfd one{watch.get(), POLLIN, 0};
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        if (left <= 0ms || poll(&one, 1, static_cast<int>(left.count())) == 0)
            throw std::runtime_error("\"" + text + "\" does not come: " + content);
    }
}

std::string Postgres::make_database(const std::string& name, const std::string& tablespace) const
{
    sql("CREATE ROLE " + name + " LOGIN");
    sql("CREATE DATABASE " + name + " OWNER " + name + " TABLESPACE " + tablespace);
    return url(name, {this});
}

std::string Postgres::url(const std::string& database, const std::vector<const Postgres*>& servers)
{
    std::string hosts;
    for (const auto* server : servers)
        hosts += (hosts.empty() ? "" : ",") + server->directory_.path().string();
    return "postgresql:///" + database + "?user=" + database + "&host=" + hosts;
}

} // namespace imprint::test
