// SPDX-License-Identifier: Apache-2.0
#include "backup/archive/sqlite_store.h"

#include "backup/archive/schema.h"
#include "backup/archive/sqlite_sha256.h"
#include "provisioning/server/database.h"

#include <sqlite3.h>

namespace imprint::archive {

namespace {

constexpr std::string_view select_entry =
    "SELECT r.chip, i.kind, i.value, i.key_digest, r.sequence, r.time, r.record, r.receipt, d.digest"
    " FROM records r JOIN identities i ON i.chip = r.chip LEFT JOIN digests d ON d.number = r.number ";
constexpr std::string_view select_published =
    "SELECT r.sequence, d.digest, r.record FROM records r JOIN digests d ON d.number = r.number ";

std::string entry_query(std::string_view rest) { return std::string(select_entry) += rest; }
std::string published_query(std::string_view rest) { return std::string(select_published) += rest; }

std::string replacement_query(std::string_view rest)
{
    return std::string("SELECT former, present, kind, value, time, statement FROM replacements ") += rest;
}

// A statement that was stepped keeps its read transaction, and with it the write-ahead log, until it is reset.
struct Use {
    SQLite::Statement& statement;
    explicit Use(SQLite::Statement& used)
        : statement(used)
    {
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use() { statement.tryReset(); }
};

Bytes blob(const SQLite::Column& column)
{
    const auto* data = static_cast<const std::uint8_t*>(column.getBlob());
    return {data, data + column.getBytes()};
}

void bind(SQLite::Statement& statement, int index, const Bytes& bytes)
{
    statement.bind(index, bytes.data(), static_cast<int>(bytes.size()));
}

Owner read_owner(SQLite::Statement& row)
{
    return {row.getColumn(0).getString(),
            {row.getColumn(1).getString(), row.getColumn(2).getString()},
            blob(row.getColumn(3))};
}

Entry read_entry(SQLite::Statement& row)
{
    return {read_owner(row),
            static_cast<std::uint64_t>(row.getColumn(4).getInt64()),
            pki::Time(std::chrono::seconds(row.getColumn(5).getInt64())),
            blob(row.getColumn(6)),
            blob(row.getColumn(7)),
            blob(row.getColumn(8))};
}

Published read_published(SQLite::Statement& row)
{
    return {static_cast<std::uint64_t>(row.getColumn(0).getInt64()), blob(row.getColumn(1)), blob(row.getColumn(2))};
}

Replacement read_replacement(SQLite::Statement& row)
{
    return {row.getColumn(0).getString(),
            row.getColumn(1).getString(),
            {row.getColumn(2).getString(), row.getColumn(3).getString()},
            pki::Time(std::chrono::seconds(row.getColumn(4).getInt64())),
            blob(row.getColumn(5))};
}

template <class Function>
auto translated(Function function)
{
    try {
        return function();
    } catch (const SQLite::Exception& e) {
        throw Error(Reason::storage_failed, std::string("the archive's database: ") + e.what());
    }
}

class SqliteStore : public Store {
public:
    explicit SqliteStore(const std::filesystem::path& path)
        : database_(server::open_database(path, migrations, add_sha256))
    {
        // What a predecessor wrote and was killed before it synced can be read already, but is not durable yet.
        database_.exec("PRAGMA wal_checkpoint(PASSIVE)");
    }

    std::optional<Entry> find(const std::string& chip_identifier, std::uint64_t sequence) override
    {
        return translated([&] { return find_entry(chip_identifier, sequence); });
    }

    std::optional<Published> read(const std::string& chip_identifier, std::optional<std::uint64_t> sequence) override
    {
        if (sequence && !in_range(*sequence))
            return std::nullopt;
        return translated([&] {
            SQLite::Statement& query = sequence ? read_ : newest_;
            query.bind(1, chip_identifier);
            if (sequence)
                query.bind(2, static_cast<std::int64_t>(*sequence));
            return one(query, read_published);
        });
    }

    void visit(const std::string& chip_identifier, const std::function<bool(const Entry&)>& visitor) override
    {
        translated([&] {
            SQLite::Statement all(database_, entry_query("WHERE r.chip = ?1 OR ?1 = '' ORDER BY r.chip, r.sequence"));
            all.bind(1, chip_identifier);
            while (all.executeStep() && visitor(read_entry(all))) { }
        });
    }

    std::vector<Result<Added>> add_all(std::span<const Entry> entries) override
    {
        return translated([&] {
            SQLite::Transaction transaction(database_, SQLite::TransactionBehavior::IMMEDIATE);
            std::vector<Result<Added>> results;
            for (const Entry& entry : entries)
                results.push_back(add_alone(entry));
            transaction.commit();
            return results;
        });
    }

    std::optional<Replacement> replacement_by(const std::string& chip_identifier) override
    {
        return translated([&] { return one_replacement("WHERE present = ?", chip_identifier); });
    }

    std::optional<Replacement> replacement_of(const std::string& chip_identifier) override
    {
        return translated([&] { return one_replacement("WHERE former = ?", chip_identifier); });
    }

    std::vector<Listed> list(std::uint64_t after, std::size_t limit) override
    {
        return translated([&] {
            SQLite::Statement page(
                database_,
                "SELECT r.number, r.chip, r.sequence, d.digest FROM records r JOIN digests d ON d.number = r.number"
                " WHERE r.number > ? ORDER BY r.number LIMIT ?");
            bind_page(page, after, limit);
            std::vector<Listed> found;
            while (page.executeStep())
                found.push_back({static_cast<std::uint64_t>(page.getColumn(0).getInt64()),
                                 page.getColumn(1).getString(),
                                 static_cast<std::uint64_t>(page.getColumn(2).getInt64()), blob(page.getColumn(3))});
            return found;
        });
    }

    std::vector<ListedReplacement> list_replacements(std::uint64_t after, std::size_t limit) override
    {
        return translated([&] {
            SQLite::Statement page(database_,
                                   "SELECT former, present, kind, value, time, statement, number FROM replacements"
                                   " WHERE number > ? ORDER BY number LIMIT ?");
            bind_page(page, after, limit);
            std::vector<ListedReplacement> found;
            while (page.executeStep())
                found.push_back({static_cast<std::uint64_t>(page.getColumn(6).getInt64()), read_replacement(page)});
            return found;
        });
    }

    Result<bool> add_replacement(const Replacement& replacement) override
    {
        return translated([&] { return insert_once(replacement); });
    }

private:
    SQLite::Database database_;
    SQLite::Statement find_{database_, entry_query("WHERE r.chip = ? AND r.sequence = ?")};
    SQLite::Statement read_{database_, published_query("WHERE r.chip = ? AND r.sequence = ?")};
    SQLite::Statement newest_{database_, published_query("WHERE r.chip = ? ORDER BY r.sequence DESC LIMIT 1")};
    SQLite::Statement owners_{database_,
                              "SELECT chip, kind, value, key_digest FROM identities"
                              " WHERE chip = ?1 OR chip = ?5 OR (kind = ?2 AND value = ?3) OR key_digest = ?4"};
    SQLite::Statement related_{database_,
                               replacement_query("WHERE former IN (?1, ?4) OR present IN (?1, ?4)"
                                                 " OR (kind = ?2 AND value = ?3)")};
    SQLite::Statement insert_owner_{database_, "INSERT INTO identities VALUES (?, ?, ?, ?)"};
    SQLite::Statement insert_record_{database_,
                                     "INSERT INTO records (chip, sequence, time, record, receipt)"
                                     " VALUES (?, ?, ?, ?, ?)"};
    SQLite::Statement insert_replacement_{database_,
                                          "INSERT INTO replacements (former, present, kind, value, time, statement)"
                                          " VALUES (?, ?, ?, ?, ?, ?)"};

    template <class T>
    static std::optional<T> one(SQLite::Statement& statement, T (*read)(SQLite::Statement&))
    {
        const Use use(statement);
        if (!statement.executeStep())
            return std::nullopt;
        return read(statement);
    }

    std::optional<Entry> find_entry(const std::string& chip_identifier, std::uint64_t sequence)
    {
        if (!in_range(sequence))
            return std::nullopt;
        find_.bind(1, chip_identifier);
        find_.bind(2, static_cast<std::int64_t>(sequence));
        return one(find_, read_entry);
    }

    static void bind_page(SQLite::Statement& statement, std::uint64_t after, std::size_t limit)
    {
        statement.bind(1, static_cast<std::int64_t>(in_range(after) ? after : ~0ULL >> 1U));
        statement.bind(2, static_cast<std::int64_t>(limit));
    }

    static void bind_owner(SQLite::Statement& statement, const Owner& owner)
    {
        statement.bind(1, owner.chip_identifier);
        statement.bind(2, owner.identity.kind);
        statement.bind(3, owner.identity.value);
        bind(statement, 4, owner.key_digest);
    }

    static std::vector<Replacement> all(SQLite::Statement& statement)
    {
        const Use use(statement);
        std::vector<Replacement> found;
        while (statement.executeStep())
            found.push_back(read_replacement(statement));
        return found;
    }

    // What bears on this owner, and on another chip of the same identity.
    Known known(const Owner& owner, const std::string& other_chip)
    {
        Known out;
        const Use use(owners_);
        bind_owner(owners_, owner);
        owners_.bind(5, other_chip);
        while (owners_.executeStep())
            out.owners.push_back(read_owner(owners_));
        related_.bind(1, owner.chip_identifier);
        related_.bind(2, owner.identity.kind);
        related_.bind(3, owner.identity.value);
        related_.bind(4, other_chip);
        out.replacements = all(related_);
        return out;
    }

    void insert(const Entry& entry, bool owner_known)
    {
        if (!owner_known) {
            const Use use(insert_owner_);
            bind_owner(insert_owner_, entry.owner);
            insert_owner_.exec();
        }
        const Use use(insert_record_);
        insert_record_.bind(1, entry.owner.chip_identifier);
        insert_record_.bind(2, static_cast<std::int64_t>(entry.sequence));
        insert_record_.bind(3, static_cast<std::int64_t>(entry.time.time_since_epoch().count()));
        bind(insert_record_, 4, entry.record);
        bind(insert_record_, 5, entry.receipt);
        insert_record_.exec();
    }

    Result<Added> add_checked(const Entry& entry)
    {
        if (!in_range(entry.sequence))
            return Refusal{Reason::record_invalid, "its sequence is out of range"};
        if (auto stored = find_entry(entry.owner.chip_identifier, entry.sequence))
            return known_already(*std::move(stored), entry);
        const auto owner_known = judge_owner(entry.owner, known(entry.owner, entry.owner.chip_identifier));
        if (!owner_known)
            return owner_known.refusal();
        insert(entry, *owner_known);
        return Added{true, entry.receipt};
    }

    // In a transaction with others, which go on without it when it is refused.
    Result<Added> add_alone(const Entry& entry)
    {
        database_.exec("SAVEPOINT entry"); // ends with the transaction when that is rolled back
        try {
            auto added = add_checked(entry);
            database_.exec("RELEASE entry");
            return added;
        } catch (const SQLite::Exception& e) {
            if (e.getErrorCode() != SQLITE_CONSTRAINT)
                throw;
            database_.exec("ROLLBACK TO entry; RELEASE entry");
            return Refusal{Reason::record_invalid, std::string("the database does not take it: ") + e.what()};
        }
    }

    std::optional<Replacement> one_replacement(std::string_view condition, const std::string& chip_identifier)
    {
        SQLite::Statement query(database_, replacement_query(condition));
        query.bind(1, chip_identifier);
        if (!query.executeStep())
            return std::nullopt;
        return read_replacement(query);
    }

    Result<bool> insert_once(const Replacement& replacement)
    {
        SQLite::Transaction transaction(database_, SQLite::TransactionBehavior::IMMEDIATE);
        const Owner former{replacement.former, replacement.identity, {}};
        const auto there = judge_replacement(replacement, known(former, replacement.present));
        if (!there)
            return there.refusal();
        if (*there)
            return false;
        const Use use(insert_replacement_);
        insert_replacement_.bind(1, replacement.former);
        insert_replacement_.bind(2, replacement.present);
        insert_replacement_.bind(3, replacement.identity.kind);
        insert_replacement_.bind(4, replacement.identity.value);
        insert_replacement_.bind(5, static_cast<std::int64_t>(replacement.time.time_since_epoch().count()));
        bind(insert_replacement_, 6, replacement.statement);
        insert_replacement_.exec();
        transaction.commit();
        return true;
    }
};

} // namespace

std::unique_ptr<Store> open_sqlite(const std::filesystem::path& path, Opening opening)
{
    if (opening == Opening::existing && !std::filesystem::exists(path))
        throw Error(Reason::not_configured, path.string() + " does not exist");
    return translated([&] { return std::make_unique<SqliteStore>(path); });
}

} // namespace imprint::archive
