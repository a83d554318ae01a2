// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/store.h"

#include "provisioning/server/database.h"
#include "provisioning/station/store_sql.h"

#include <array>

namespace imprint::station {

namespace {

constexpr std::array<std::string_view, 12> migrations{R"(
CREATE TABLE chips (
  chip TEXT PRIMARY KEY,
  identity_kind TEXT NOT NULL,
  identity_value TEXT NOT NULL,
  identity_certificate BLOB NOT NULL,
  identity_spki BLOB NOT NULL UNIQUE,
  first_granted INTEGER NOT NULL,
  readmitted INTEGER NOT NULL DEFAULT 0,
  UNIQUE (identity_kind, identity_value)
) STRICT;
CREATE TRIGGER chips_keep_identity BEFORE UPDATE OF chip, identity_kind, identity_value, identity_spki ON chips
  BEGIN SELECT RAISE(ABORT, 'the identity of a chip is kept for ever'); END;
CREATE TRIGGER chips_stay BEFORE DELETE ON chips
  BEGIN SELECT RAISE(ABORT, 'the identity of a chip is kept for ever'); END;

CREATE TABLE quarantine (chip TEXT PRIMARY KEY, note TEXT NOT NULL) STRICT;

CREATE TABLE allow_list (chip TEXT PRIMARY KEY, note TEXT NOT NULL) STRICT;

CREATE TABLE identity_list (
  chip TEXT PRIMARY KEY,
  identity_kind TEXT NOT NULL,
  identity_value TEXT NOT NULL,
  UNIQUE (identity_kind, identity_value)
) STRICT;
CREATE TABLE serial_ranges (
  id INTEGER PRIMARY KEY,
  prefix TEXT NOT NULL,
  width INTEGER NOT NULL,
  next INTEGER NOT NULL,
  last INTEGER NOT NULL
) STRICT;

CREATE TABLE grants (
  serial TEXT PRIMARY KEY,
  chip TEXT NOT NULL REFERENCES chips (chip),
  sequence INTEGER NOT NULL,
  module_certificate BLOB NOT NULL,
  time INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'received', 'revoked'))
) STRICT;
CREATE INDEX grants_open ON grants (chip) WHERE state = 'open';
CREATE TABLE revoked (serial TEXT PRIMARY KEY REFERENCES grants (serial), time INTEGER NOT NULL) STRICT;
CREATE TABLE crl_number (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), number INTEGER NOT NULL) STRICT;
INSERT INTO crl_number VALUES (1, 0);

CREATE TABLE records (
  chip TEXT NOT NULL REFERENCES chips (chip),
  sequence INTEGER NOT NULL,
  content_digest BLOB NOT NULL,
  record BLOB NOT NULL,
  time INTEGER NOT NULL,
  PRIMARY KEY (chip, sequence)
) STRICT;
CREATE TABLE outbox (
  chip TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'conflict')),
  attempts INTEGER NOT NULL DEFAULT 0,
  next_attempt INTEGER NOT NULL DEFAULT 0,
  last_error TEXT NOT NULL DEFAULT '',
  receipt BLOB,
  PRIMARY KEY (chip, sequence),
  FOREIGN KEY (chip, sequence) REFERENCES records (chip, sequence)
) STRICT;
CREATE INDEX outbox_waiting ON outbox (next_attempt) WHERE state = 'waiting';

CREATE TABLE audit (
  id INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,
  event TEXT NOT NULL,
  chip TEXT NOT NULL,
  peer TEXT NOT NULL,
  reason TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_stays BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
)",
                                                     R"(
CREATE TABLE introductions (
  selector TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('tan', 'ticket')),
  verifier BLOB NOT NULL,
  chip TEXT NOT NULL,
  identity_kind TEXT NOT NULL,
  identity_value TEXT NOT NULL,
  issued INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  issuer TEXT NOT NULL,
  reason TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'used', 'revoked')),
  used_by TEXT NOT NULL DEFAULT '',
  used INTEGER NOT NULL DEFAULT 0,
  sequence INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX introductions_promised ON introductions (identity_kind, identity_value) WHERE state = 'open';
CREATE TRIGGER introductions_stay BEFORE DELETE ON introductions
  BEGIN SELECT RAISE(ABORT, 'what was given out once is remembered'); END;
CREATE TRIGGER introductions_burn_once BEFORE UPDATE ON introductions
  WHEN NEW.state = 'open' OR (OLD.state = 'used' AND NEW.used_by <> OLD.used_by)
  BEGIN SELECT RAISE(ABORT, 'an introduction is good for one chip'); END;
)",
                                                     R"(
CREATE TABLE central_keys (
  id INTEGER PRIMARY KEY,
  spki BLOB NOT NULL UNIQUE,
  name TEXT NOT NULL,
  cross_certificate BLOB NOT NULL
) STRICT;
CREATE TABLE central_number (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), number INTEGER NOT NULL) STRICT;
INSERT INTO central_number VALUES (1, 0);
)",
                                                     R"(
CREATE TABLE operators (
  fingerprint TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  may_introduce INTEGER NOT NULL,
  may_issue_tan INTEGER NOT NULL,
  added INTEGER NOT NULL,
  revoked INTEGER
) STRICT;
CREATE TRIGGER operators_stay_revoked BEFORE UPDATE ON operators WHEN OLD.revoked IS NOT NULL
  BEGIN SELECT RAISE(ABORT, 'a revoked operator stays revoked'); END;
CREATE TRIGGER operators_stay BEFORE DELETE ON operators
  BEGIN SELECT RAISE(ABORT, 'a revoked operator stays revoked'); END;
)",
                                                     R"(
CREATE TABLE database_id (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), id TEXT NOT NULL) STRICT;
INSERT INTO database_id VALUES (1, lower(hex(randomblob(16))));
ALTER TABLE audit ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN origin_database TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN origin_id INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX audit_once ON audit (origin, origin_database, origin_id) WHERE origin <> '';
CREATE TABLE conflicts (
  id INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,
  origin TEXT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  reason TEXT NOT NULL,
  detail TEXT NOT NULL,
  digest BLOB NOT NULL,
  content BLOB NOT NULL,
  settled INTEGER NOT NULL DEFAULT 0,
  UNIQUE (origin, digest)
) STRICT;
CREATE TRIGGER conflicts_stay BEFORE DELETE ON conflicts
  BEGIN SELECT RAISE(ABORT, 'a conflict is never lost'); END;
)",
                                                     R"(
ALTER TABLE chips ADD COLUMN identity_issuers BLOB NOT NULL DEFAULT x'';
)",
                                                     R"(
-- A device may go on with another chip; then its identity stands here for each of its chips.
CREATE TABLE new_chips (
  chip TEXT PRIMARY KEY,
  identity_kind TEXT NOT NULL,
  identity_value TEXT NOT NULL,
  identity_certificate BLOB NOT NULL,
  identity_spki BLOB NOT NULL UNIQUE,
  first_granted INTEGER NOT NULL,
  readmitted INTEGER NOT NULL DEFAULT 0,
  identity_issuers BLOB NOT NULL,
  replaced_by TEXT CHECK (replaced_by <> chip)
) STRICT;
INSERT INTO new_chips SELECT chip, identity_kind, identity_value, identity_certificate, identity_spki, first_granted,
  readmitted, identity_issuers, NULL FROM chips;
DROP TABLE chips;
ALTER TABLE new_chips RENAME TO chips;
CREATE UNIQUE INDEX chips_identity ON chips (identity_kind, identity_value) WHERE replaced_by IS NULL;
CREATE INDEX chips_former ON chips (identity_kind, identity_value) WHERE replaced_by IS NOT NULL;
CREATE TRIGGER chips_keep_identity BEFORE UPDATE OF chip, identity_kind, identity_value, identity_spki ON chips
  BEGIN SELECT RAISE(ABORT, 'the identity of a chip is kept for ever'); END;
CREATE TRIGGER chips_stay_replaced BEFORE UPDATE OF replaced_by ON chips WHEN OLD.replaced_by IS NOT NULL
  BEGIN SELECT RAISE(ABORT, 'a chip is replaced once'); END;
CREATE TRIGGER chips_stay BEFORE DELETE ON chips
  BEGIN SELECT RAISE(ABORT, 'the identity of a chip is kept for ever'); END;

CREATE TABLE replacements (
  former TEXT PRIMARY KEY,
  present TEXT NOT NULL UNIQUE,
  identity_kind TEXT NOT NULL,
  identity_value TEXT NOT NULL,
  time INTEGER NOT NULL,
  reason TEXT NOT NULL,
  statement BLOB NOT NULL,
  place INTEGER NOT NULL, -- in the outbox: behind its rows up to this one
  state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'conflict')),
  attempts INTEGER NOT NULL DEFAULT 0,
  next_attempt INTEGER NOT NULL DEFAULT 0,
  last_error TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX replacements_waiting ON replacements (next_attempt) WHERE state = 'waiting';
CREATE TRIGGER replacements_unchanged
  BEFORE UPDATE OF former, present, identity_kind, identity_value, time, reason, statement, place ON replacements
  BEGIN SELECT RAISE(ABORT, 'a replacement is for good'); END;
CREATE TRIGGER replacements_stay BEFORE DELETE ON replacements
  BEGIN SELECT RAISE(ABORT, 'a replacement is for good'); END;

CREATE TABLE identity_ranges (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  prefix TEXT NOT NULL,
  width INTEGER NOT NULL,
  first INTEGER NOT NULL,
  next INTEGER NOT NULL,
  last INTEGER NOT NULL
) STRICT;
INSERT INTO identity_ranges SELECT id, 'serial', prefix, width, next, next, last FROM serial_ranges;
DROP TABLE serial_ranges;

CREATE TABLE identity_requests (
  id INTEGER PRIMARY KEY,
  chip TEXT NOT NULL UNIQUE,
  identity_kind TEXT NOT NULL,
  identity_value TEXT NOT NULL,
  time INTEGER NOT NULL
) STRICT;
)",
                                                     R"(
CREATE TABLE proofs (
  chip TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  proof BLOB NOT NULL,
  PRIMARY KEY (chip, sequence),
  FOREIGN KEY (chip, sequence) REFERENCES records (chip, sequence)
) STRICT;
CREATE TRIGGER proofs_unchanged BEFORE UPDATE ON proofs BEGIN SELECT RAISE(ABORT, 'a proof is kept as it is'); END;
CREATE TRIGGER proofs_stay BEFORE DELETE ON proofs BEGIN SELECT RAISE(ABORT, 'a proof is kept as it is'); END;
)",
                                                     R"(
-- Certificates of a package's pairs share the fate of their grant.
CREATE TABLE key_certificates (serial TEXT PRIMARY KEY, granted TEXT NOT NULL REFERENCES grants (serial)) STRICT;
CREATE INDEX key_certificates_granted ON key_certificates (granted);
)",
                                                     R"(
CREATE TABLE pool (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  sealed BLOB NOT NULL,
  chip TEXT,
  sequence INTEGER,
  serial TEXT REFERENCES grants (serial),
  CHECK ((chip IS NULL) = (sequence IS NULL) AND (chip IS NOT NULL OR serial IS NULL))
) STRICT;
CREATE INDEX pool_free ON pool (kind) WHERE chip IS NULL;
CREATE INDEX pool_taken ON pool (chip, sequence) WHERE chip IS NOT NULL;
CREATE INDEX pool_granted ON pool (serial) WHERE serial IS NOT NULL;
CREATE TRIGGER pool_taken_once BEFORE UPDATE ON pool
  WHEN NEW.chip IS NULL OR OLD.serial IS NOT NULL OR
    (OLD.chip IS NOT NULL AND (NEW.chip <> OLD.chip OR NEW.sequence <> OLD.sequence))
  BEGIN SELECT RAISE(ABORT, 'a pair is for one chip, once'); END;
)",
                                                     R"(
-- A certificate is revoked by the station that made it; what others revoke is published beside.
ALTER TABLE grants ADD COLUMN origin TEXT NOT NULL DEFAULT '';
CREATE INDEX grants_of_others ON grants (origin) WHERE origin <> '';
CREATE TABLE revocation_lists (station TEXT PRIMARY KEY, number INTEGER NOT NULL, pem BLOB NOT NULL) STRICT;
)",
                                                     R"(
-- Old entries may leave for a file, and only so.
CREATE TABLE audit_leaving (id INTEGER PRIMARY KEY) STRICT;
DROP TRIGGER audit_stays;
CREATE TRIGGER audit_stays BEFORE DELETE ON audit
  WHEN NOT EXISTS (SELECT 1 FROM audit_leaving WHERE audit_leaving.id = OLD.id)
  BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TABLE audit_synchronized (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), id INTEGER NOT NULL) STRICT;
INSERT INTO audit_synchronized VALUES (1, 0);
)"};

} // namespace

std::int64_t seconds(pki::Time time) { return time.time_since_epoch().count(); }

pki::Time from_seconds(std::int64_t seconds) { return pki::Time(std::chrono::seconds(seconds)); }

Store::Store(const std::filesystem::path& path)
    : database_(server::open_database(path, migrations))
{
    database_.exec("PRAGMA secure_delete = ON"); // for the pool
}

AuditEntry read_audit_entry(SQLite::Statement& row)
{
    return {from_seconds(row.getColumn(0)), row.getColumn(1), row.getColumn(2), row.getColumn(3), row.getColumn(4),
            row.getColumn(5), row.getColumn(6)};
}

void Store::audit(const AuditEntry& entry)
{
    SQLite::Statement insert(database_,
                             "INSERT INTO audit (time, event, chip, peer, reason, detail) VALUES (?, ?, ?, ?, ?, ?)");
    SQLite::bind(insert, seconds(entry.time), entry.event, entry.chip, entry.peer, entry.reason, entry.detail);
    insert.exec();
}

std::vector<AuditEntry> Store::audit_log()
{
    SQLite::Statement query(database_, "SELECT time, event, chip, peer, reason, detail, origin FROM audit ORDER BY id");
    return sql::rows(query, read_audit_entry);
}

} // namespace imprint::station
