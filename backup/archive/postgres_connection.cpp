// SPDX-License-Identifier: Apache-2.0
#include "backup/archive/postgres_connection.h"

#include <endian.h>
#include <poll.h>

#include <array>
#include <cstring>

namespace imprint::archive {

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto server_timeout = "10s";

constexpr std::string_view password_hint = ": a password in it could be read in the list of processes; use ~/.pgpass,"
                                           " PGPASSFILE, a service file or a client certificate";

std::string trimmed(const char* message)
{
    std::string text = message == nullptr ? "" : message;
    while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
        text.pop_back();
    return text;
}

Error failure(const std::string& detail) { return {Reason::storage_failed, "the archive's database: " + detail}; }

using Options = Owned<PQconninfoOption, PQconninfoFree>;

void check_url(const std::string& url)
{
    char* message = nullptr;
    const Options options(PQconninfoParse(url.c_str(), &message));
    const Owned<char, PQfreemem> owned(message);
    if (!options) // the message may hold the password
        throw Error(Reason::invalid_argument, "the database's address is no URL that PostgreSQL knows");
    for (const auto* option = options.get(); option->keyword != nullptr; ++option)
        if (option->dispchar[0] == '*' && option->val != nullptr)
            throw Error(Reason::invalid_argument,
                        "the database's URL has \"" + std::string(option->keyword) + '"' + std::string(password_hint));
}

// Of the whole session. Whoever set the server up may have traded durability for speed by default; a receipt says
// otherwise. The server's own remote_apply stays: it is more.
constexpr auto session = R"sql(
SELECT current_setting('fsync') = 'on',
  set_config('synchronous_commit',
    CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false),
  set_config('search_path', 'imprint_archive', false),
  set_config('statement_timeout', $1, false),
  set_config('idle_in_transaction_session_timeout', $1, false),
  set_config('client_min_messages', 'warning', false))sql";

} // namespace

Values& Values::operator<<(const std::string& text)
{
    values_.push_back(to_bytes(text));
    return *this;
}

Values& Values::operator<<(std::int64_t number)
{
    const std::uint64_t wire = htobe64(static_cast<std::uint64_t>(number));
    Bytes bytes(sizeof wire);
    std::memcpy(bytes.data(), &wire, sizeof wire);
    values_.push_back(std::move(bytes));
    return *this;
}

Values& Values::operator<<(BytesView bytes)
{
    values_.emplace_back(bytes.begin(), bytes.end());
    return *this;
}

BytesView Rows::value(int row, int column) const
{
    return {reinterpret_cast<const std::uint8_t*>(PQgetvalue(result_.get(), row, column)),
            static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
}

std::string Rows::text(int row, int column) const { return to_string(value(row, column)); }

std::int64_t Rows::number(int row, int column) const
{
    const BytesView wire = value(row, column);
    std::uint64_t number = 0;
    if (wire.size() != sizeof number)
        throw failure("the server's answer has another type than was asked for");
    std::memcpy(&number, wire.data(), sizeof number);
    return static_cast<std::int64_t>(be64toh(number));
}

Bytes Rows::bytes(int row, int column) const
{
    const BytesView view = value(row, column);
    return {view.begin(), view.end()};
}

PostgresConnection::PostgresConnection(std::string url)
    : url_(std::move(url))
{
    check_url(url_);
}

void PostgresConnection::notice(void* connection, const PGresult* result) noexcept
{
    const char* severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (severity != nullptr && std::strcmp(severity, "WARNING") == 0)
        try {
            static_cast<PostgresConnection*>(connection)->warning_ = trimmed(PQresultErrorMessage(result));
        } catch (const std::bad_alloc&) {
            std::terminate(); // a commit could be taken for durable that is not
        }
}

void PostgresConnection::connect()
{
    if (connection_ && PQstatus(connection_.get()) == CONNECTION_OK)
        return;
    disconnect();
    // What stands before dbname the URL may override.
    const std::array keywords{
        "connect_timeout", "tcp_user_timeout", "keepalives_idle",  "target_session_attrs",
        "client_encoding", "dbname",           "application_name", static_cast<const char*>(nullptr)};
    const std::array values{
        "5", "10000", "10", "read-write", "UTF8", url_.c_str(), "imprint-archive", static_cast<const char*>(nullptr)};
    connection_.reset(PQconnectdbParams(keywords.data(), values.data(), 1));
    if (PQstatus(connection_.get()) != CONNECTION_OK || PQsetnonblocking(connection_.get(), 1) != 0)
        lost(trimmed(PQerrorMessage(connection_.get())));
    PQsetNoticeReceiver(connection_.get(), notice, this);
    set_up_session();
}

void PostgresConnection::set_up_session()
{
    const Rows rows = execute(session, Values() << server_timeout);
    if (rows.bytes(0, 0) == Bytes{1})
        return;
    disconnect();
    throw failure("the server runs with fsync=off: nothing that it takes is durable");
}

void PostgresConnection::disconnect() noexcept
{
    connection_.reset();
    prepared_.clear();
}

void PostgresConnection::lost(const std::string& detail)
{
    disconnect();
    throw PostgresError("the archive's database: " + detail, {});
}

void PostgresConnection::wait(short events, Clock::time_point deadline)
{
    pollfd descriptor{PQsocket(connection_.get()), events, 0};
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
        if (left <= 0)
            lost("the server does not answer");
        const int ready = poll(&descriptor, 1, static_cast<int>(left));
        if (ready > 0)
            return;
        if (ready < 0 && errno != EINTR)
            lost(std::string("poll: ") + std::strerror(errno));
    }
}

// The answer to what was just sent, the last one where there are several; the first error wins.
Rows PostgresConnection::receive(std::chrono::seconds patience)
{
    const auto deadline = Clock::now() + patience;
    PGconn* connection = connection_.get();
    for (int unsent = 0; (unsent = PQflush(connection)) != 0;) {
        if (unsent < 0)
            lost(trimmed(PQerrorMessage(connection)));
        wait(POLLIN | POLLOUT, deadline);
        if (PQconsumeInput(connection) == 0)
            lost(trimmed(PQerrorMessage(connection)));
    }
    Rows answer(nullptr);
    for (;;) {
        while (PQisBusy(connection) != 0) {
            wait(POLLIN, deadline);
            if (PQconsumeInput(connection) == 0)
                lost(trimmed(PQerrorMessage(connection)));
        }
        Rows next(PQgetResult(connection));
        if (next.result() == nullptr)
            return checked(std::move(answer));
        if (PQresultStatus(answer.result()) != PGRES_FATAL_ERROR || answer.result() == nullptr)
            answer = std::move(next);
    }
}

Rows PostgresConnection::checked(Rows rows)
{
    const auto status = PQresultStatus(rows.result());
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return rows;
    const char* state = PQresultErrorField(rows.result(), PG_DIAG_SQLSTATE);
    const std::string detail =
        trimmed(rows.result() == nullptr ? PQerrorMessage(connection_.get()) : PQresultErrorMessage(rows.result()));
    if (PQstatus(connection_.get()) != CONNECTION_OK || state == nullptr)
        lost(detail);
    throw PostgresError("the archive's database: " + detail, state);
}

std::string PostgresConnection::prepare(const std::string& sql)
{
    if (const auto found = prepared_.find(sql); found != prepared_.end())
        return found->second;
    const std::string name = "s" + std::to_string(prepared_.size());
    if (PQsendPrepare(connection_.get(), name.c_str(), sql.c_str(), 0, nullptr) == 0)
        lost(trimmed(PQerrorMessage(connection_.get())));
    receive();
    return prepared_[sql] = name;
}

Rows PostgresConnection::execute(const std::string& sql, const Values& values)
{
    connect();
    const std::string name = prepare(sql);
    std::vector<const char*> data;
    std::vector<int> sizes;
    for (const Bytes& value : values.all()) {
        data.push_back(value.empty() ? "" : reinterpret_cast<const char*>(value.data())); // a null pointer is NULL
        sizes.push_back(static_cast<int>(value.size()));
    }
    const std::vector<int> formats(sizes.size(), 1);
    if (PQsendQueryPrepared(connection_.get(), name.c_str(), static_cast<int>(data.size()), data.data(), sizes.data(),
                            formats.data(), 1) == 0)
        lost(trimmed(PQerrorMessage(connection_.get())));
    return receive();
}

void PostgresConnection::script(const std::string& sql, std::chrono::seconds patience)
{
    connect();
    if (PQsendQuery(connection_.get(), sql.c_str()) == 0)
        lost(trimmed(PQerrorMessage(connection_.get())));
    receive(patience);
}

void PostgresConnection::begin(const std::string& isolation) { script("BEGIN ISOLATION LEVEL " + isolation); }

void PostgresConnection::commit()
{
    warning_.clear();
    if (PQsendQuery(connection_.get(), "COMMIT") == 0) // without a connection there is nothing to commit
        lost(trimmed(PQerrorMessage(connection_.get())));
    const Rows rows = receive();
    if (std::strcmp(PQcmdStatus(const_cast<PGresult*>(rows.result())), "COMMIT") != 0)
        throw failure("the transaction was rolled back");
    // The server gave up waiting for its standby: committed there, but not on the standby, and called a success.
    if (!warning_.empty())
        throw failure(warning_);
}

void PostgresConnection::rollback() noexcept
{
    if (!connection_ || PQtransactionStatus(connection_.get()) == PQTRANS_IDLE)
        return;
    try {
        script("ROLLBACK");
    } catch (const std::exception&) {
        disconnect();
    }
}

} // namespace imprint::archive
