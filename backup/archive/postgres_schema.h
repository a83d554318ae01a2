// SPDX-License-Identifier: Apache-2.0
// The schema on PostgreSQL, as migrations: only ever append to the list. What it promises is what schema.h does.
#pragma once

#include <array>
#include <string_view>

namespace imprint::archive {

// ENABLE ALWAYS: the triggers fire for session_replication_role = replica, too. Records are encrypted; compressing them
// is of no use (STORAGE EXTERNAL).
inline constexpr std::array<std::string_view, 3> postgres_migrations{R"sql(
CREATE TABLE identities (
  chip text COLLATE "C" PRIMARY KEY CHECK (length(chip) = 64),
  kind text NOT NULL,
  value text NOT NULL,
  key_digest bytea UNIQUE NOT NULL CHECK (length(key_digest) = 32)
);
CREATE INDEX identities_value ON identities (kind, value);

CREATE TABLE records (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  chip text COLLATE "C" NOT NULL REFERENCES identities (chip),
  sequence bigint NOT NULL CHECK (sequence > 0 AND sequence % 2 = 1),
  time bigint NOT NULL, -- of acceptance, seconds since 1970; the receipt has it, too
  record bytea NOT NULL,
  receipt bytea NOT NULL,
  UNIQUE (chip, sequence)
);
ALTER TABLE records ALTER record SET STORAGE EXTERNAL;

CREATE TABLE replacements (
  former text COLLATE "C" PRIMARY KEY CHECK (length(former) = 64),
  present text COLLATE "C" UNIQUE NOT NULL CHECK (length(present) = 64 AND present <> former),
  kind text NOT NULL,
  value text NOT NULL,
  time bigint NOT NULL, -- of acceptance, seconds since 1970
  statement bytea NOT NULL
);
CREATE INDEX replacements_identity ON replacements (kind, value);

CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql SET search_path = imprint_archive AS $$
BEGIN
  RAISE EXCEPTION 'the archive is append-only' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER identities_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON identities EXECUTE FUNCTION stay();
CREATE TRIGGER records_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON records EXECUTE FUNCTION stay();
CREATE TRIGGER replacements_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON replacements EXECUTE FUNCTION stay();

CREATE FUNCTION identities_once() RETURNS trigger LANGUAGE plpgsql SET search_path = imprint_archive AS $$
BEGIN
  IF EXISTS (SELECT FROM identities i WHERE i.kind = NEW.kind AND i.value = NEW.value
             AND NOT EXISTS (SELECT FROM replacements WHERE former = i.chip))
    OR EXISTS (SELECT FROM replacements WHERE former = NEW.chip)
    OR EXISTS (SELECT FROM replacements r WHERE r.kind = NEW.kind AND r.value = NEW.value AND r.present <> NEW.chip
               AND NOT EXISTS (SELECT FROM replacements WHERE former = r.present)) THEN
    RAISE EXCEPTION 'one identity, one chip' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER identities_once BEFORE INSERT ON identities FOR EACH ROW EXECUTE FUNCTION identities_once();

CREATE FUNCTION replacements_once() RETURNS trigger LANGUAGE plpgsql SET search_path = imprint_archive AS $$
BEGIN
  IF EXISTS (SELECT FROM replacements WHERE former = NEW.present OR present = NEW.present)
    OR EXISTS (SELECT FROM identities WHERE chip = NEW.present) THEN
    RAISE EXCEPTION 'a chip is replaced once, by a new one' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER replacements_once BEFORE INSERT ON replacements FOR EACH ROW EXECUTE FUNCTION replacements_once();

ALTER TABLE identities ENABLE ALWAYS TRIGGER identities_stay, ENABLE ALWAYS TRIGGER identities_once;
ALTER TABLE records ENABLE ALWAYS TRIGGER records_stay;
ALTER TABLE replacements ENABLE ALWAYS TRIGGER replacements_stay, ENABLE ALWAYS TRIGGER replacements_once;
)sql",
                                                                     R"sql(
ALTER TABLE replacements ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY UNIQUE;
)sql",
                                                                     R"sql(
CREATE TABLE digests (
  number bigint PRIMARY KEY REFERENCES records (number),
  digest bytea NOT NULL CHECK (length(digest) = 32) -- SHA-256 over the record
);
CREATE FUNCTION records_digest() RETURNS trigger LANGUAGE plpgsql SET search_path = imprint_archive AS $$
BEGIN
  INSERT INTO digests VALUES (NEW.number, sha256(NEW.record));
  RETURN NULL;
END $$;
-- Before the others' digests are made: it waits for every record that is on its way, and lets none come meanwhile.
-- Where records are replicated, their digests are, too: it does not fire there.
CREATE TRIGGER records_digest AFTER INSERT ON records FOR EACH ROW EXECUTE FUNCTION records_digest();
INSERT INTO digests SELECT number, sha256(record) FROM records;
CREATE TRIGGER digests_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON digests EXECUTE FUNCTION stay();
ALTER TABLE digests ENABLE ALWAYS TRIGGER digests_stay;
)sql"};

} // namespace imprint::archive
