// SPDX-License-Identifier: Apache-2.0
// The database's schema, as migrations (provisioning/server/database.h): only ever append to the list.
#pragma once

#include <array>
#include <string_view>

namespace imprint::archive {

// The triggers keep the append-only promise against whoever opens the file with another program, too. Those before
// INSERT are for INSERT OR REPLACE, which deletes without asking the triggers before DELETE.
inline constexpr std::array<std::string_view, 1> migrations{R"sql(
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
)sql"};

} // namespace imprint::archive
