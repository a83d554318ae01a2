// SPDX-License-Identifier: Apache-2.0
// The database's schema, as migrations (provisioning/server/database.h): only ever append to the list.
#pragma once

#include <array>
#include <string_view>

namespace imprint::archive {

// The triggers keep the append-only promise against whoever opens the file with another program, too. Those before
// INSERT are for INSERT OR REPLACE, which deletes without asking the triggers before DELETE.
inline constexpr std::array<std::string_view, 4> migrations{R"sql(
CREATE TABLE identities (
  chip TEXT PRIMARY KEY NOT NULL CHECK (length(chip) = 64),
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  key_digest BLOB UNIQUE NOT NULL CHECK (length(key_digest) = 32),
  UNIQUE (kind, value)
) STRICT, WITHOUT ROWID;

CREATE TABLE records (
  number INTEGER PRIMARY KEY,
  chip TEXT NOT NULL REFERENCES identities (chip),
  sequence INTEGER NOT NULL CHECK (sequence > 0 AND sequence % 2 = 1),
  time INTEGER NOT NULL, -- of acceptance, seconds since 1970; the receipt has it, too
  record BLOB NOT NULL,
  receipt BLOB NOT NULL,
  UNIQUE (chip, sequence)
) STRICT;

CREATE TRIGGER identities_stay BEFORE UPDATE ON identities
  BEGIN SELECT RAISE(ABORT, 'the archive is append-only'); END;
CREATE TRIGGER identities_last BEFORE DELETE ON identities
  BEGIN SELECT RAISE(ABORT, 'the archive is append-only'); END;
CREATE TRIGGER identities_once BEFORE INSERT ON identities
  WHEN EXISTS (SELECT 1 FROM identities WHERE chip = NEW.chip OR (kind = NEW.kind AND value = NEW.value)
               OR key_digest = NEW.key_digest)
  BEGIN SELECT RAISE(ABORT, 'one identity, one chip'); END;

CREATE TRIGGER records_stay BEFORE UPDATE ON records
  BEGIN SELECT RAISE(ABORT, 'the archive is append-only'); END;
CREATE TRIGGER records_last BEFORE DELETE ON records
  BEGIN SELECT RAISE(ABORT, 'the archive is append-only'); END;
CREATE TRIGGER records_once BEFORE INSERT ON records
  WHEN EXISTS (SELECT 1 FROM records WHERE number = NEW.number OR (chip = NEW.chip AND sequence = NEW.sequence))
  BEGIN SELECT RAISE(ABORT, 'one record, one sequence'); END;
)sql",
                                                            R"sql(
-- A device may go on with another chip; then the identity stands here for each of its chips.
CREATE TABLE replacements (
  former TEXT PRIMARY KEY NOT NULL CHECK (length(former) = 64),
  present TEXT UNIQUE NOT NULL CHECK (length(present) = 64 AND present <> former),
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  time INTEGER NOT NULL, -- of acceptance, seconds since 1970
  statement BLOB NOT NULL
) STRICT;
CREATE INDEX replacements_identity ON replacements (kind, value);

CREATE TABLE new_identities (
  chip TEXT PRIMARY KEY NOT NULL CHECK (length(chip) = 64),
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  key_digest BLOB UNIQUE NOT NULL CHECK (length(key_digest) = 32)
) STRICT, WITHOUT ROWID;
INSERT INTO new_identities SELECT chip, kind, value, key_digest FROM identities;
DROP TABLE identities;
ALTER TABLE new_identities RENAME TO identities;
CREATE INDEX identities_value ON identities (kind, value);

CREATE TRIGGER identities_stay BEFORE UPDATE ON identities
  BEGIN SELECT RAISE(ABORT, 'the archive is append-only'); END;
CREATE TRIGGER identities_last BEFORE DELETE ON identities
  BEGIN SELECT RAISE(ABORT, 'the archive is append-only'); END;
CREATE TRIGGER identities_once BEFORE INSERT ON identities
  WHEN EXISTS (SELECT 1 FROM identities WHERE chip = NEW.chip OR key_digest = NEW.key_digest)
    OR EXISTS (SELECT 1 FROM identities i WHERE i.kind = NEW.kind AND i.value = NEW.value
               AND NOT EXISTS (SELECT 1 FROM replacements WHERE former = i.chip))
    OR EXISTS (SELECT 1 FROM replacements WHERE former = NEW.chip)
    OR EXISTS (SELECT 1 FROM replacements r WHERE r.kind = NEW.kind AND r.value = NEW.value AND r.present <> NEW.chip
               AND NOT EXISTS (SELECT 1 FROM replacements WHERE former = r.present))
  BEGIN SELECT RAISE(ABORT, 'one identity, one chip'); END;

CREATE TRIGGER replacements_stay BEFORE UPDATE ON replacements
  BEGIN SELECT RAISE(ABORT, 'the archive is append-only'); END;
CREATE TRIGGER replacements_last BEFORE DELETE ON replacements
  BEGIN SELECT RAISE(ABORT, 'the archive is append-only'); END;
CREATE TRIGGER replacements_once BEFORE INSERT ON replacements
  WHEN EXISTS (SELECT 1 FROM replacements
               WHERE former IN (NEW.former, NEW.present) OR present = NEW.present)
    OR EXISTS (SELECT 1 FROM identities WHERE chip = NEW.present)
  BEGIN SELECT RAISE(ABORT, 'a chip is replaced once, by a new one'); END;
)sql",
                                                            R"sql(
-- Replacements are listed in the order in which they came.
CREATE TABLE new_replacements (
  number INTEGER PRIMARY KEY,
  former TEXT UNIQUE NOT NULL CHECK (length(former) = 64),
  present TEXT UNIQUE NOT NULL CHECK (length(present) = 64 AND present <> former),
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  time INTEGER NOT NULL, -- of acceptance, seconds since 1970
  statement BLOB NOT NULL
) STRICT;
INSERT INTO new_replacements (former, present, kind, value, time, statement)
  SELECT former, present, kind, value, time, statement FROM replacements ORDER BY rowid;
DROP TRIGGER identities_once; -- which names the table
DROP TABLE replacements;
ALTER TABLE new_replacements RENAME TO replacements;
CREATE INDEX replacements_identity ON replacements (kind, value);

CREATE TRIGGER identities_once BEFORE INSERT ON identities
  WHEN EXISTS (SELECT 1 FROM identities WHERE chip = NEW.chip OR key_digest = NEW.key_digest)
    OR EXISTS (SELECT 1 FROM identities i WHERE i.kind = NEW.kind AND i.value = NEW.value
               AND NOT EXISTS (SELECT 1 FROM replacements WHERE former = i.chip))
    OR EXISTS (SELECT 1 FROM replacements WHERE former = NEW.chip)
    OR EXISTS (SELECT 1 FROM replacements r WHERE r.kind = NEW.kind AND r.value = NEW.value AND r.present <> NEW.chip
               AND NOT EXISTS (SELECT 1 FROM replacements WHERE former = r.present))
  BEGIN SELECT RAISE(ABORT, 'one identity, one chip'); END;

CREATE TRIGGER replacements_stay BEFORE UPDATE ON replacements
  BEGIN SELECT RAISE(ABORT, 'the archive is append-only'); END;
CREATE TRIGGER replacements_last BEFORE DELETE ON replacements
  BEGIN SELECT RAISE(ABORT, 'the archive is append-only'); END;
CREATE TRIGGER replacements_once BEFORE INSERT ON replacements
  WHEN EXISTS (SELECT 1 FROM replacements WHERE number = NEW.number)
    OR EXISTS (SELECT 1 FROM replacements
               WHERE former IN (NEW.former, NEW.present) OR present = NEW.present)
    OR EXISTS (SELECT 1 FROM identities WHERE chip = NEW.present)
  BEGIN SELECT RAISE(ABORT, 'a chip is replaced once, by a new one'); END;
)sql",
                                                            R"sql(
-- What ETags and lists tell of a record. In a table of its own, because nothing writes to a record's row again, and
-- because what stands behind a record in its row cannot be had without reading it. sha256(): sqlite_sha256.h.
CREATE TABLE digests (
  number INTEGER PRIMARY KEY REFERENCES records (number),
  digest BLOB NOT NULL CHECK (length(digest) = 32) -- SHA-256 over the record
) STRICT;
INSERT INTO digests SELECT number, sha256(record) FROM records;

-- Whatever program adds a record: one without the function cannot.
CREATE TRIGGER records_digest AFTER INSERT ON records
  BEGIN INSERT INTO digests VALUES (NEW.number, sha256(NEW.record)); END;
CREATE TRIGGER digests_stay BEFORE UPDATE ON digests
  BEGIN SELECT RAISE(ABORT, 'the archive is append-only'); END;
CREATE TRIGGER digests_last BEFORE DELETE ON digests
  BEGIN SELECT RAISE(ABORT, 'the archive is append-only'); END;
CREATE TRIGGER digests_once BEFORE INSERT ON digests
  WHEN EXISTS (SELECT 1 FROM digests WHERE number = NEW.number)
  BEGIN SELECT RAISE(ABORT, 'one record, one digest'); END;
)sql"};

} // namespace imprint::archive
