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
                             " WHERE chip = ? OR (kind = ? AND value = ?) OR key_digest = ?"};
    SQLite::Statement insert_owner{database, "INSERT INTO identities VALUES (?, ?, ?, ?)"};
    SQLite::Statement insert_record{database,
                                    "INSERT INTO records (chip, sequence, time, record, receipt)"
                                    " VALUES (?, ?, ?, ?, ?)"};

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

    // Whether the owner is known already, is new, or clashes with one that is known.
    Result<bool> is_known(const Owner& owner)
    {
        const Use use(owners);
        bind_owner(owners, owner);
        if (!owners.executeStep())
            return false;
        const Owner known = read_owner(owners);
        if (known == owner)
            return true;
        if (known.chip_identifier != owner.chip_identifier)
            return Refusal{Reason::identity_taken, "this identity or its key belongs to another chip"};
        if (known.identity != owner.identity)
            return Refusal{Reason::identity_taken, "this chip has another identity"};
        return Refusal{Reason::key_mismatch, "this chip has another identity key"};
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
        const auto known = is_known(entry.owner);
        if (!known)
            return known.refusal();
        insert(entry, *known);
        transaction.commit();
        return Added{true, entry.receipt};
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

} // namespace imprint::archive
