// SPDX-License-Identifier: Apache-2.0
// A session with a PostgreSQL server: every wait has a deadline, every commit is durable or an Error.
#pragma once

#include "daemon/base/bytes.h"
#include "daemon/base/error.h"
#include "daemon/base/owned.h"

#include <libpq-fe.h>

#include <chrono>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace imprint::archive {

// What the server said no to, with its SQLSTATE; without one the connection is gone.
class PostgresError : public Error {
public:
    PostgresError(const std::string& detail, std::string state)
        : Error(Reason::storage_failed, detail)
        , state_(std::move(state))
    {
    }
    bool disconnected() const { return state_.empty(); }
    // Two transactions were in each other's way: the same one again may well get through. A duplicate key is one, too:
    // what this transaction looked for was not there, and then somebody else put it there.
    bool is_conflict() const { return state_ == "40001" || state_ == "40P01" || state_ == "23505"; }
    // The values themselves are at fault (classes "data exception" and "integrity constraint violation").
    bool is_of_values() const { return state_.starts_with("22") || state_.starts_with("23"); }

private:
    std::string state_;
};

// Parameters of a statement, in binary.
class Values {
public:
    Values& operator<<(const std::string& text);
    Values& operator<<(std::int64_t number);
    Values& operator<<(BytesView bytes);
    std::span<const Bytes> all() const { return values_; }

private:
    std::vector<Bytes> values_;
};

class Rows {
public:
    explicit Rows(PGresult* result)
        : result_(result)
    {
    }
    int size() const { return PQntuples(result_.get()); }
    std::string text(int row, int column) const;
    std::int64_t number(int row, int column) const;
    Bytes bytes(int row, int column) const;
    const PGresult* result() const { return result_.get(); }

private:
    BytesView value(int row, int column) const;
    Owned<PGresult, PQclear> result_;
};

// Connects when it is used, and anew after a failure. Throws PostgresError.
class PostgresConnection {
public:
    // `url` as libpq has it (several hosts, service=, passfile=, sslmode= and so on). Error(invalid_argument) for one
    // that is none or holds a password, which everybody could read in the list of processes.
    explicit PostgresConnection(std::string url);

    // A statement with parameters ($1, $2...), prepared at its first use.
    Rows execute(const std::string& sql, const Values& values = {});
    // Several statements without parameters, in one transaction.
    void script(const std::string& sql, std::chrono::seconds patience = usual_patience);

    void begin(const std::string& isolation);
    // Durable when it returns, on the synchronous standby too where the server has one. An Error leaves the outcome
    // unknown.
    void commit();
    void rollback() noexcept; // or disconnects
    void disconnect() noexcept;

private:
    // The server gives up first, and says so; ours is for a server that has gone silent.
    static constexpr std::chrono::seconds usual_patience{15};

    void connect();
    void set_up_session();
    void wait(short events, std::chrono::steady_clock::time_point deadline);
    Rows receive(std::chrono::seconds patience = usual_patience);
    Rows checked(Rows rows);
    [[noreturn]] void lost(const std::string& detail);
    std::string prepare(const std::string& sql);
    static void notice(void* connection, const PGresult* result) noexcept;

    std::string url_;
    Owned<PGconn, PQfinish> connection_;
    std::map<std::string, std::string> prepared_; // statement to its name in this session
    std::string warning_; // the last one from the server
};

} // namespace imprint::archive
