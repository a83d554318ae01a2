// SPDX-License-Identifier: Apache-2.0
#include "backup/archive/postgres_store.h"

#include "backup/archive/postgres_connection.h"
#include "backup/archive/postgres_schema.h"

#include <thread>

namespace imprint::archive {

namespace {

// A transaction in the way of others is tried so often, and again once after the connection was lost: on another
// server of the URL, perhaps. Adding is safe to repeat, whatever became of it.
constexpr int max_conflicts = 10;
constexpr int max_losses = 1;
constexpr std::chrono::milliseconds first_pause{2};
constexpr auto serializable = "SERIALIZABLE";
constexpr int visit_rows = 64; // at a time, of at most 256 KiB each
constexpr std::chrono::hours migration_patience{24}; // all records may have to be read

const std::string select_entry =
    "SELECT r.chip, i.kind, i.value, i.key_digest, r.sequence, r.time, r.record, r.receipt, d.digest"
    " FROM records r JOIN identities i ON i.chip = r.chip LEFT JOIN digests d ON d.number = r.number ";
const std::string select_published =
    "SELECT r.sequence, d.digest, r.record FROM records r JOIN digests d ON d.number = r.number ";
const std::string select_replacement = "SELECT former, present, kind, value, time, statement FROM replacements ";

Owner read_owner(const Rows& rows, int row)
{
    return {rows.text(row, 0), {rows.text(row, 1), rows.text(row, 2)}, rows.bytes(row, 3)};
}

Entry read_entry(const Rows& rows, int row)
{
    return {read_owner(rows, row),
            static_cast<std::uint64_t>(rows.number(row, 4)),
            pki::Time(std::chrono::seconds(rows.number(row, 5))),
            rows.bytes(row, 6),
            rows.bytes(row, 7),
            rows.bytes(row, 8)};
}

Replacement read_replacement(const Rows& rows, int row)
{
    return {rows.text(row, 0),
            rows.text(row, 1),
            {rows.text(row, 2), rows.text(row, 3)},
            pki::Time(std::chrono::seconds(rows.number(row, 4))),
            rows.bytes(row, 5)};
}

std::int64_t seconds(pki::Time time) { return time.time_since_epoch().count(); }

Refusal not_taken(const PostgresError& error)
{
    return {Reason::record_invalid, std::string("the database does not take it: ") + error.what()};
}

class PostgresStore : public Store {
public:
    PostgresStore(const std::string& url, Opening opening)
        : connection_(url)
    {
        const auto version = connected([&] { return schema_version(); });
        if (opening == Opening::existing && version == 0)
            throw Error(Reason::not_configured, "there is no archive in this database yet");
        if (version < postgres_migrations.size())
            migrate();
    }

    std::optional<Entry> find(const std::string& chip_identifier, std::uint64_t sequence) override
    {
        return connected([&] { return find_entry(chip_identifier, sequence); });
    }

    std::optional<Published> read(const std::string& chip_identifier, std::optional<std::uint64_t> sequence) override
    {
        if (sequence && !in_range(*sequence))
            return std::nullopt;
        const Rows rows = connected([&] { return published(chip_identifier, sequence); });
        if (rows.size() == 0)
            return std::nullopt;
        return Published{static_cast<std::uint64_t>(rows.number(0, 0)), rows.bytes(0, 1), rows.bytes(0, 2)};
    }

    // In pieces: nothing that was there can change between them, and no transaction stays open for long.
    void visit(const std::string& chip_identifier, const std::function<bool(const Entry&)>& visitor) override
    {
        std::string chip = chip_identifier;
        std::int64_t sequence = 0;
        for (bool more = true; more;) {
            const Rows rows = connected([&] { return piece(chip_identifier, chip, sequence); });
            more = rows.size() == visit_rows;
            for (int row = 0; row < rows.size(); ++row) {
                const Entry entry = read_entry(rows, row);
                if (!visitor(entry))
                    return;
                chip = entry.owner.chip_identifier;
                sequence = static_cast<std::int64_t>(entry.sequence);
            }
        }
    }

    std::vector<Result<Added>> add_all(std::span<const Entry> entries) override
    {
        try {
            return transact([&] { return add_each(entries); });
        } catch (const PostgresError& error) {
            if (!error.is_of_values())
                throw;
            if (entries.size() == 1)
                return {not_taken(error)};
        }
        std::vector<Result<Added>> results; // one of them is at fault: it must not take the others with it
        for (const Entry& entry : entries)
            results.push_back(add(entry));
        return results;
    }

    std::optional<Replacement> replacement_by(const std::string& chip) override
    {
        return connected([&] { return one_replacement("WHERE present = $1", chip); });
    }

    std::optional<Replacement> replacement_of(const std::string& chip) override
    {
        return connected([&] { return one_replacement("WHERE former = $1", chip); });
    }

    std::vector<Listed> list(std::uint64_t after, std::size_t limit) override
    {
        const Rows rows = connected([&] {
            return connection_.execute("SELECT r.number, r.chip, r.sequence, d.digest FROM records r"
                                       " JOIN digests d ON d.number = r.number"
                                       " WHERE r.number > $1 ORDER BY r.number LIMIT $2",
                                       page_of(after, limit));
        });
        std::vector<Listed> found;
        for (int row = 0; row < rows.size(); ++row)
            found.push_back({static_cast<std::uint64_t>(rows.number(row, 0)), rows.text(row, 1),
                             static_cast<std::uint64_t>(rows.number(row, 2)), rows.bytes(row, 3)});
        return found;
    }

    std::vector<ListedReplacement> list_replacements(std::uint64_t after, std::size_t limit) override
    {
        const Rows rows = connected([&] {
            return connection_.execute("SELECT former, present, kind, value, time, statement, number FROM replacements"
                                       " WHERE number > $1 ORDER BY number LIMIT $2",
                                       page_of(after, limit));
        });
        std::vector<ListedReplacement> found;
        for (int row = 0; row < rows.size(); ++row)
            found.push_back({static_cast<std::uint64_t>(rows.number(row, 6)), read_replacement(rows, row)});
        return found;
    }

    Result<bool> add_replacement(const Replacement& replacement) override
    {
        try {
            return transact([&] { return insert_once(replacement); });
        } catch (const PostgresError& error) {
            if (!error.is_of_values())
                throw;
            return not_taken(error);
        }
    }

private:
    PostgresConnection connection_;

    // Reads, which can be repeated: a connection that ended since it was last used is no reason to fail.
    template <class Function>
    std::invoke_result_t<Function&> connected(Function function)
    {
        for (int losses = 0;; ++losses)
            try {
                return function();
            } catch (const PostgresError& error) {
                if (!error.disconnected() || losses == max_losses)
                    throw;
            }
    }

    template <class Function>
    std::invoke_result_t<Function&> attempt(Function& function)
    {
        connection_.begin(serializable);
        auto result = function();
        connection_.commit();
        return result;
    }

    template <class Function>
    std::invoke_result_t<Function&> transact(Function function)
    {
        int conflicts = 0, losses = 0;
        for (auto pause = first_pause;; pause *= 2)
            try {
                return attempt(function);
            } catch (const PostgresError& error) {
                connection_.rollback();
                const bool again =
                    error.disconnected() ? losses++ < max_losses : error.is_conflict() && conflicts++ < max_conflicts;
                if (!again)
                    throw;
                std::this_thread::sleep_for(pause);
            } catch (...) {
                connection_.rollback();
                throw;
            }
    }

    static Values page_of(std::uint64_t after, std::size_t limit)
    {
        Values values;
        values << static_cast<std::int64_t>(in_range(after) ? after : ~0ULL >> 1U) << static_cast<std::int64_t>(limit);
        return values;
    }

    std::size_t schema_version()
    {
        if (connection_.execute("SELECT 1::bigint WHERE to_regclass('imprint_archive.version') IS NOT NULL").size() ==
            0)
            return 0;
        const auto version = static_cast<std::size_t>(connection_.execute("SELECT number FROM version").number(0, 0));
        if (version > postgres_migrations.size())
            throw Error(Reason::storage_failed, "the archive's database belongs to a newer version of this program");
        return version;
    }

    // One at a time; READ COMMITTED, so that whoever waited for the lock sees what was done meanwhile.
    void migrate()
    {
        connection_.begin("READ COMMITTED");
        try {
            connection_.execute("SELECT set_config('statement_timeout', '0', true)");
            connection_.execute("SELECT pg_advisory_xact_lock(hashtextextended('imprint_archive', 0))");
            connection_.script("CREATE SCHEMA IF NOT EXISTS imprint_archive;"
                               "CREATE TABLE IF NOT EXISTS version (number bigint NOT NULL)");
            const auto version = schema_version_now();
            for (auto next = version; next < postgres_migrations.size(); ++next)
                connection_.script(std::string(postgres_migrations.at(next)), migration_patience);
            connection_.execute("UPDATE version SET number = $1",
                                Values() << static_cast<std::int64_t>(postgres_migrations.size()));
            connection_.commit();
        } catch (...) {
            connection_.rollback();
            throw;
        }
    }

    std::size_t schema_version_now()
    {
        connection_.execute("INSERT INTO version SELECT 0 WHERE NOT EXISTS (SELECT FROM version)");
        return schema_version();
    }

    static std::optional<Entry> one(const Rows& rows)
    {
        if (rows.size() == 0)
            return std::nullopt;
        return read_entry(rows, 0);
    }

    std::optional<Entry> find_entry(const std::string& chip_identifier, std::uint64_t sequence)
    {
        if (!in_range(sequence))
            return std::nullopt;
        return one(connection_.execute(select_entry + "WHERE r.chip = $1 AND r.sequence = $2",
                                       Values() << chip_identifier << static_cast<std::int64_t>(sequence)));
    }

    Rows published(const std::string& chip, std::optional<std::uint64_t> sequence)
    {
        if (!sequence)
            return connection_.execute(select_published + "WHERE r.chip = $1 ORDER BY r.sequence DESC LIMIT 1",
                                       Values() << chip);
        return connection_.execute(select_published + "WHERE r.chip = $1 AND r.sequence = $2",
                                   Values() << chip << static_cast<std::int64_t>(*sequence));
    }

    Rows piece(const std::string& only, const std::string& chip, std::int64_t sequence)
    {
        static const std::string order = " ORDER BY r.chip, r.sequence LIMIT " + std::to_string(visit_rows);
        if (only.empty())
            return connection_.execute(select_entry + "WHERE (r.chip, r.sequence) > ($1, $2)" + order,
                                       Values() << chip << sequence);
        return connection_.execute(select_entry + "WHERE r.chip = $1 AND r.sequence > $2" + order,
                                   Values() << only << sequence);
    }

    std::optional<Replacement> one_replacement(const std::string& condition, const std::string& chip)
    {
        const Rows rows = connection_.execute(select_replacement + condition, Values() << chip);
        if (rows.size() == 0)
            return std::nullopt;
        return read_replacement(rows, 0);
    }

    // What bears on this owner, and on another chip of the same identity.
    Known known(const Owner& owner, const std::string& other_chip)
    {
        Known out;
        const Rows owners =
            connection_.execute("SELECT chip, kind, value, key_digest FROM identities"
                                " WHERE chip IN ($1, $5) OR (kind = $2 AND value = $3) OR key_digest = $4",
                                Values() << owner.chip_identifier << owner.identity.kind << owner.identity.value
                                         << owner.key_digest << other_chip);
        for (int row = 0; row < owners.size(); ++row)
            out.owners.push_back(read_owner(owners, row));
        const Rows related = connection_.execute(
            select_replacement + "WHERE former IN ($1, $4) OR present IN ($1, $4) OR (kind = $2 AND value = $3)",
            Values() << owner.chip_identifier << owner.identity.kind << owner.identity.value << other_chip);
        for (int row = 0; row < related.size(); ++row)
            out.replacements.push_back(read_replacement(related, row));
        return out;
    }

    void insert(const Entry& entry, bool owner_known)
    {
        const Owner& owner = entry.owner;
        if (!owner_known)
            connection_.execute("INSERT INTO identities (chip, kind, value, key_digest) VALUES ($1, $2, $3, $4)",
                                Values() << owner.chip_identifier << owner.identity.kind << owner.identity.value
                                         << owner.key_digest);
        connection_.execute("INSERT INTO records (chip, sequence, time, record, receipt) VALUES ($1, $2, $3, $4, $5)",
                            Values() << owner.chip_identifier << static_cast<std::int64_t>(entry.sequence)
                                     << seconds(entry.time) << entry.record << entry.receipt);
    }

    Result<Added> add_one(const Entry& entry)
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

    std::vector<Result<Added>> add_each(std::span<const Entry> entries)
    {
        std::vector<Result<Added>> results;
        for (const Entry& entry : entries)
            results.push_back(add_one(entry));
        leave_a_mark();
        return results;
    }

    // A commit waits for the disk and the standby only if it wrote something. What is found here already may have been
    // written by a commit whose wait was cut short; an acknowledgement of it has to wait, too.
    void leave_a_mark() { connection_.execute("SELECT pg_logical_emit_message(true, 'imprint_archive', '')"); }

    Result<bool> insert_once(const Replacement& replacement)
    {
        const Owner former{replacement.former, replacement.identity, {}};
        const auto there = judge_replacement(replacement, known(former, replacement.present));
        leave_a_mark();
        if (!there)
            return there.refusal();
        if (*there)
            return false;
        connection_.execute(
            "INSERT INTO replacements (former, present, kind, value, time, statement) VALUES ($1, $2, $3, $4, $5, $6)",
            Values() << replacement.former << replacement.present << replacement.identity.kind
                     << replacement.identity.value << seconds(replacement.time) << replacement.statement);
        return true;
    }
};

} // namespace

std::unique_ptr<Store> open_postgres(const std::string& url, Opening opening)
{
    return std::make_unique<PostgresStore>(url, opening);
}

} // namespace imprint::archive
