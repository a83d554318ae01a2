// SPDX-License-Identifier: Apache-2.0
// Real PostgreSQL servers of the test's own, on Unix sockets: one alone, or a primary with a synchronous standby.
#pragma once

#include "tests/support/process.h"

namespace imprint::test {

class Postgres {
public:
    // A server that nobody uses yet, running.
    Postgres();
    // A standby of this primary, running; the primary's commits wait for it from now on.
    explicit Postgres(const Postgres* primary);
    ~Postgres();
    Postgres(const Postgres&) = delete;
    Postgres& operator=(const Postgres&) = delete;

    void start();
    void kill(); // SIGKILL for all of its processes at once
    void promote(); // the standby becomes a primary, on which commits wait for nobody
    // Until the server's log has this text, since it was started last.
    void wait_for_log(const std::string& text) const;
    // To its own user, who is not root.
    static void give_away(const std::filesystem::path& directory);

    // As superuser; what psql prints. Throws std::runtime_error.
    std::string sql(const std::string& statements, const std::string& database = "postgres") const;
    // A new database and its URL; its owner is no superuser.
    std::string make_database(const std::string& name, const std::string& tablespace = "pg_default") const;
    static std::string url(const std::string& database, const std::vector<const Postgres*>& servers);

private:
    std::string path() const { return directory_.path() / "data"; }

    TemporaryDirectory directory_; // with the socket
    std::optional<Process> process_;
    std::uintmax_t log_start_ = 0; // where the log of this start begins
};

} // namespace imprint::test
