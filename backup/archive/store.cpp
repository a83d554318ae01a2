// SPDX-License-Identifier: Apache-2.0
#include "backup/archive/store.h"

#include "backup/archive/schema.h"
#include "provisioning/server/database.h"

#include <limits>

namespace imprint::archive {

namespace {

constexpr std::string_view select_entry =
    "SELECT r.chip, i.kind, i.value, i.key_digest, r.sequence, r.time, r.record, r.receipt"
    " FROM records r JOIN identities i ON i.chip = r.chip ";

std::string entry_query(std::string_view rest) { return std::string(select_entry) += rest; }

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
    return {read_owner(row), static_cast<std::uint64_t>(row.getColumn(4).getInt64()),
            pki::Time(std::chrono::seconds(row.getColumn(5).getInt64())), blob(row.getColumn(6)),
            blob(row.getColumn(7))};
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

} // namespace

struct Store::Impl {
    SQLite::Database database;
    SQLite::Statement find{database, entry_query("WHERE r.chip = ? AND r.sequence = ?")};
    SQLite::Statement newest{database, entry_query("WHERE r.chip = ? ORDER BY r.sequence DESC LIMIT 1")};
    SQLite::Statement owners{database,
                             "SELECT chip, kind, value, key_digest FROM identities"
                             " WHERE chip = ?1 OR chip = ?5 OR (kind = ?2 AND value = ?3) OR key_digest = ?4"};
    SQLite::Statement related{database,
                              replacement_query("WHERE former IN (?1, ?4) OR present IN (?1, ?4)"
                                                " OR (kind = ?2 AND value = ?3)")};
    SQLite::Statement insert_owner{database, "INSERT INTO identities VALUES (?, ?, ?, ?)"};
    SQLite::Statement insert_record{database,
                                    "INSERT INTO records (chip, sequence, time, record, receipt)"
                                    " VALUES (?, ?, ?, ?, ?)"};
    SQLite::Statement insert_replacement{database,
                                         "INSERT INTO replacements (former, present, kind, value, time, statement)"
                                         " VALUES (?, ?, ?, ?, ?, ?)"};

    explicit Impl(const std::filesystem::path& path)
        : database(server::open_database(path, migrations))
    {
    }

    std::optional<Entry> one(SQLite::Statement& statement)
    {
        const Use use(statement);
        if (!statement.executeStep())
            return std::nullopt;
        return read_entry(statement);
    }

    std::optional<Entry> find_entry(const std::string& chip_identifier, std::uint64_t sequence)
    {
        if (sequence > std::numeric_limits<std::int64_t>::max())
            return std::nullopt;
        find.bind(1, chip_identifier);
        find.bind(2, static_cast<std::int64_t>(sequence));
        return one(find);
    }

    static void bind_owner(SQLite::Statement& statement, const Owner& owner)
    {
        statement.bind(1, owner.chip_identifier);
        statement.bind(2, owner.identity.kind);
        statement.bind(3, owner.identity.value);
        bind(statement, 4, owner.key_digest);
    }

    std::vector<Replacement> all(SQLite::Statement& statement)
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
        const Use use(owners);
        bind_owner(owners, owner);
        owners.bind(5, other_chip);
        while (owners.executeStep())
            out.owners.push_back(read_owner(owners));
        related.bind(1, owner.chip_identifier);
        related.bind(2, owner.identity.kind);
        related.bind(3, owner.identity.value);
        related.bind(4, other_chip);
        out.replacements = all(related);
        return out;
    }

    void insert(const Entry& entry, bool owner_known)
    {
        if (!owner_known) {
            const Use use(insert_owner);
            bind_owner(insert_owner, entry.owner);
            insert_owner.exec();
        }
        const Use use(insert_record);
        insert_record.bind(1, entry.owner.chip_identifier);
        insert_record.bind(2, static_cast<std::int64_t>(entry.sequence));
        insert_record.bind(3, static_cast<std::int64_t>(entry.time.time_since_epoch().count()));
        bind(insert_record, 4, entry.record);
        bind(insert_record, 5, entry.receipt);
        insert_record.exec();
    }

    Result<Added> add(const Entry& entry)
    {
        if (entry.sequence > std::numeric_limits<std::int64_t>::max())
            return Refusal{Reason::record_invalid, "its sequence is out of range"};
        SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
        if (auto stored = find_entry(entry.owner.chip_identifier, entry.sequence)) {
            if (stored->record != entry.record)
                return Refusal{Reason::sequence_taken, "another record has this chip and sequence"};
            return Added{false, std::move(stored->receipt)};
        }
        const auto owner_known = judge_owner(entry.owner, known(entry.owner, entry.owner.chip_identifier));
        if (!owner_known)
            return owner_known.refusal();
        insert(entry, *owner_known);
        transaction.commit();
        return Added{true, entry.receipt};
    }

    std::optional<Replacement> one_replacement(std::string_view condition, const std::string& chip_identifier)
    {
        SQLite::Statement query(database, replacement_query(condition));
        query.bind(1, chip_identifier);
        if (!query.executeStep())
            return std::nullopt;
        return read_replacement(query);
    }

    Result<bool> add_replacement(const Replacement& replacement)
    {
        SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
        const Owner former{replacement.former, replacement.identity, {}};
        const auto there = judge_replacement(replacement, known(former, replacement.present));
        if (!there)
            return there.refusal();
        if (*there)
            return false;
        const Use use(insert_replacement);
        insert_replacement.bind(1, replacement.former);
        insert_replacement.bind(2, replacement.present);
        insert_replacement.bind(3, replacement.identity.kind);
        insert_replacement.bind(4, replacement.identity.value);
        insert_replacement.bind(5, static_cast<std::int64_t>(replacement.time.time_since_epoch().count()));
        bind(insert_replacement, 6, replacement.statement);
        insert_replacement.exec();
        transaction.commit();
        return true;
    }
};

Store::Store(const std::filesystem::path& path)
    : impl_(translated([&] { return std::make_unique<Impl>(path); }))
{
}

Store::~Store() = default;

std::optional<Entry> Store::find(const std::string& chip_identifier, std::uint64_t sequence)
{
    return translated([&] { return impl_->find_entry(chip_identifier, sequence); });
}

std::optional<Entry> Store::newest(const std::string& chip_identifier)
{
    return translated([&] {
        impl_->newest.bind(1, chip_identifier);
        return impl_->one(impl_->newest);
    });
}

void Store::visit(const std::string& chip_identifier, const std::function<bool(const Entry&)>& visitor)
{
    translated([&] {
        SQLite::Statement all(impl_->database, entry_query("WHERE r.chip = ?1 OR ?1 = '' ORDER BY r.chip, r.sequence"));
        all.bind(1, chip_identifier);
        while (all.executeStep() && visitor(read_entry(all))) { }
    });
}

Result<Added> Store::add(const Entry& entry)
{
    return translated([&] { return impl_->add(entry); });
}

std::optional<Replacement> Store::replacement_by(const std::string& chip_identifier)
{
    return translated([&] { return impl_->one_replacement("WHERE present = ?", chip_identifier); });
}

std::optional<Replacement> Store::replacement_of(const std::string& chip_identifier)
{
    return translated([&] { return impl_->one_replacement("WHERE former = ?", chip_identifier); });
}

void Store::visit_replacements(const std::function<bool(const Replacement&)>& visitor)
{
    translated([&] {
        SQLite::Statement every(impl_->database, replacement_query("ORDER BY time, former"));
        while (every.executeStep() && visitor(read_replacement(every))) { }
    });
}

Result<bool> Store::add_replacement(const Replacement& replacement)
{
    return translated([&] { return impl_->add_replacement(replacement); });
}

} // namespace imprint::archive
