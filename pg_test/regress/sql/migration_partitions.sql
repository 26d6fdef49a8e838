-- Partitioned tables that refer to a key: from the plan to the end, with partitions that come and go.
-- trap_m11
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA parts;
CREATE SCHEMA parts_else;
SET search_path = parts, public;
CREATE TABLE person (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
INSERT INTO person (created_at) SELECT '2024-01-01'::timestamptz + i * interval '1 minute' FROM generate_series(1, 50) AS i;
-- By range, with partitions by list and by hash below, a default partition, a partition of another schema, and one with
-- columns in another order that has a dropped one.
CREATE TABLE visit (
    at timestamptz NOT NULL,
    kind text NOT NULL,
    no integer NOT NULL,
    person_id bigint NOT NULL REFERENCES person ON DELETE CASCADE,
    guest bigint CONSTRAINT of_guest REFERENCES person ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
    note text,
    PRIMARY KEY (at, kind, no),
    CONSTRAINT visit_once UNIQUE (person_id, at, kind, no),
    CONSTRAINT not_alone CHECK (guest IS NULL OR guest <> person_id),
    CONSTRAINT one_of CHECK (guest IS NULL OR note IS NULL OR note <> 'alone')
) PARTITION BY RANGE (at);
CREATE TABLE visit_2024 PARTITION OF visit FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE visit_2025 PARTITION OF visit FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY LIST (kind);
CREATE TABLE visit_2025_a PARTITION OF visit_2025 FOR VALUES IN ('a');
CREATE TABLE parts_else.rest PARTITION OF visit_2025 DEFAULT;
CREATE TABLE odd (person_id bigint NOT NULL, gone integer, note text, kind text NOT NULL, guest bigint, no integer NOT NULL, at timestamptz NOT NULL,
    CONSTRAINT not_alone CHECK (guest IS NULL OR guest <> person_id), CONSTRAINT one_of CHECK (guest IS NULL OR note IS NULL OR note <> 'alone'));
ALTER TABLE odd DROP COLUMN gone;
ALTER TABLE visit ATTACH PARTITION odd FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE visit_2027 PARTITION OF visit FOR VALUES FROM ('2027-01-01') TO ('2028-01-01') PARTITION BY HASH (no);
CREATE TABLE visit_2027_0 PARTITION OF visit_2027 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE visit_2027_1 PARTITION OF visit_2027 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE visit_rest PARTITION OF visit DEFAULT;
CREATE INDEX visit_person ON visit (person_id, at DESC);
CREATE INDEX visit_guest ON visit (guest) INCLUDE (note) WHERE guest IS NOT NULL;
-- Of one partition alone.
CREATE INDEX only_odd ON odd (guest, note);
ALTER TABLE visit_2024 ADD CONSTRAINT own CHECK (guest IS NULL OR person_id IS NOT NULL);
CREATE ROLE parts_reader;
GRANT SELECT (person_id) ON odd TO parts_reader;
INSERT INTO visit (at, kind, no, person_id, guest)
SELECT '2024-06-01'::timestamptz + (i % 5) * interval '1 year', CASE i % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'b' ELSE 'c' END, i, i % 50 + 1, CASE WHEN i % 4 > 0 THEN (i + 7) % 50 + 1 END
FROM generate_series(1, 600) AS i;
CREATE TABLE before AS TABLE visit;
-- What is as it was, and what every row of every partition has.
SET check_function_bodies = off;
CREATE FUNCTION differences(OUT lost bigint, OUT other_keys bigint) LANGUAGE sql AS $$
SELECT (SELECT count(*) FROM before AS b LEFT JOIN visit AS v USING (at, kind, no) WHERE (v.person_id, v.guest) IS DISTINCT FROM (b.person_id, b.guest)),
       (SELECT count(*) FROM visit AS v LEFT JOIN person AS p ON p.id = v.person_id LEFT JOIN person AS g ON g.id = v.guest
        WHERE (v.person_id_new, v.guest_new) IS DISTINCT FROM (p.id_new, g.id_new))
$$;
SELECT action, table_name, detail FROM key_migration_plan('person') WHERE step IS NULL AND action <> 'note' ORDER BY detail COLLATE "C";
SELECT action, substring(detail FROM '^the cut-over locks.*: \d+ locks at once') AS detail FROM key_migration_plan('person') WHERE detail LIKE '%locks at once%';
-- Since version 18, each partition is also analyzed by itself.
SELECT row_number() OVER (ORDER BY p.step) AS step, p.phase, p.table_name, p.action, p.lock FROM key_migration_plan('person') AS p JOIN pg_class AS c ON c.oid = p.table_name
WHERE p.step IS NOT NULL AND (p.action <> 'collect statistics on the new columns' OR NOT c.relispartition) ORDER BY p.step;
SELECT statement FROM key_migration_plan('person') WHERE phase = 'indexed' OR action LIKE 'add foreign key%' ORDER BY step;
SELECT key_migration_create('person');
CALL key_migration_advance('person', through => 'prepared');
-- Each partition has each trigger, which fires as on the table.
SELECT tgname, tgenabled, count(*), count(*) FILTER (WHERE tgparentid <> 0) AS clones FROM pg_trigger WHERE tgrelid <> 'person'::regclass AND tgname LIKE '%key\_migration%' GROUP BY 1, 2 ORDER BY tgname COLLATE "C";
-- A trigger that is disabled on one partition is put right.
ALTER TABLE odd DISABLE TRIGGER "~key_migration_insert_4";
SELECT phase, table_name, action FROM key_migration_plan('person') WHERE NOT done AND phase = 'prepared';
CALL key_migration_advance('person', through => 'prepared');
SELECT count(*) FROM key_migration_plan('person') WHERE NOT done AND phase = 'prepared';
-- Writers before the backfill: into each partition, from one to another, with rows that refer to later ones.
INSERT INTO visit (at, kind, no, person_id, guest) SELECT '2024-02-01'::timestamptz + (i % 5) * interval '1 year', 'a', 1000 + i, i, i + 1 FROM generate_series(1, 20) AS i;
UPDATE visit SET at = at + interval '1 year' WHERE no BETWEEN 1001 AND 1010;
UPDATE visit SET person_id = person_id + 2 WHERE no BETWEEN 1006 AND 1015 AND guest <> person_id + 2;
UPDATE visit SET guest = NULL WHERE no = 1003;
BEGIN;
INSERT INTO visit (at, kind, no, person_id, guest) VALUES ('2026-03-01', 'x', 2000, 1, 99);
INSERT INTO person (id) VALUES (99);
COMMIT;
SELECT count(*) AS written, count(*) FILTER (WHERE person_id_new IS NULL OR (guest_new IS NULL) <> (guest IS NULL)) AS without_keys FROM visit WHERE no > 1000;
DELETE FROM before WHERE no > 600;
-- A partition that comes now, with rows: PostgreSQL asks for the columns.
CREATE TABLE late (LIKE visit_2024 INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
ALTER TABLE late DROP COLUMN person_id_new, DROP COLUMN guest_new, DROP CONSTRAINT own;
INSERT INTO late (at, kind, no, person_id, guest) SELECT '2030-06-01', 'b', 3000 + i, i, i + 1 FROM generate_series(1, 20) AS i;
ALTER TABLE visit ATTACH PARTITION late FOR VALUES FROM ('2030-01-01') TO ('2031-01-01');
ALTER TABLE late ADD COLUMN person_id_new uuid, ADD COLUMN guest_new uuid;
ALTER TABLE visit ATTACH PARTITION late FOR VALUES FROM ('2030-01-01') TO ('2031-01-01');
SELECT count(*) AS without_keys FROM late WHERE person_id_new IS NULL;
SELECT table_name, percent, filled_rows FROM key_migration_progress ORDER BY table_name::text COLLATE "C";
CALL key_migration_advance('person', through => 'backfilled', max_pages => 1);
SELECT statement FROM key_migration_statements('person', 'backfilled') \gexec
SELECT key_migration_phase('person'), differences();
SELECT table_name, percent, filled_rows FROM key_migration_progress ORDER BY table_name::text COLLATE "C";
-- One that comes after the backfill, and one that goes.
CREATE TABLE visit_2031 PARTITION OF visit FOR VALUES FROM ('2031-01-01') TO ('2032-01-01');
INSERT INTO visit SELECT '2031-06-01', kind, no, person_id, guest FROM late WHERE no <= 3005;
ALTER TABLE visit DETACH PARTITION visit_2024;
SELECT key_migration_phase('person');
\set VERBOSITY default
CALL key_migration_advance('person', through => 'backfilled');
\set VERBOSITY terse
-- While it is away, nothing fills its columns.
INSERT INTO visit_2024 (at, kind, no, person_id) VALUES ('2024-08-01', 'away', 3500, 5);
ALTER TABLE visit ATTACH PARTITION visit_2024 FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
SELECT statement FROM key_migration_statements('person', 'backfilled') \gexec
SELECT key_migration_phase('person'), differences();
SELECT statement FROM key_migration_statements('person', 'indexed') \gexec
SELECT key_migration_phase('person');
SELECT indexrelid::regclass AS index, indisvalid FROM pg_index WHERE indexrelid::regclass::text LIKE '%\_new' AND indrelid <> 'person'::regclass ORDER BY indexrelid::regclass::text COLLATE "C";
-- One that comes after its table has the indexes.
CREATE TABLE visit_2032 PARTITION OF visit FOR VALUES FROM ('2032-01-01') TO ('2033-01-01');
SELECT phase, table_name, action FROM key_migration_plan('person') WHERE NOT done AND phase < 'prepared' ORDER BY step;
CALL key_migration_advance('person', through => 'indexed');
CALL key_migration_advance('person', through => 'validated');
SELECT conrelid::regclass AS table_name, conname, convalidated, conparentid <> 0 AS belongs FROM pg_constraint
WHERE contype = 'f' AND conrelid <> 'person'::regclass AND conname LIKE '%\_new' ORDER BY conrelid::regclass::text COLLATE "C", conname;
SELECT attrelid::regclass AS table_name, attname, attnotnull FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid AND relkind IN ('r', 'p') WHERE attname IN ('person_id_new', 'guest_new') ORDER BY attrelid::regclass::text COLLATE "C", 2;
CALL key_migration_advance('person', through => 'verified');
SELECT key_migration_phase('person'), differences();
SELECT table_name, column_name, check_name, ok FROM key_migration_verify('person') WHERE check_name = 'other than referenced' ORDER BY table_name::text COLLATE "C", 2;
-- One that comes after the comparison.
CREATE TABLE visit_2033 PARTITION OF visit FOR VALUES FROM ('2033-01-01') TO ('2034-01-01');
INSERT INTO visit (at, kind, no, person_id) VALUES ('2033-06-01', 'z', 4000, 4);
SELECT key_migration_phase('person');
CALL key_migration_cutover('person');
CALL key_migration_advance('person', through => 'verified');
SELECT key_migration_phase('person');
-- One that was away after the comparison.
ALTER TABLE visit DETACH PARTITION visit_2033;
SELECT key_migration_phase('person');
ALTER TABLE visit ATTACH PARTITION visit_2033 FOR VALUES FROM ('2033-01-01') TO ('2034-01-01');
SELECT table_name, action, detail FROM key_migration_plan('person') WHERE NOT done AND phase IN ('backfilled', 'verified') ORDER BY step;
CALL key_migration_advance('person', through => 'verified');
SELECT key_migration_phase('person');
\set VERBOSITY default
CALL key_migration_cutover('person', way => 'view');
\set VERBOSITY terse
CALL key_migration_cutover('person');
-- Keys lead, in each partition.
SELECT count(*) AS rows, count(*) FILTER (WHERE p.id_old IS DISTINCT FROM v.person_id_old OR g.id_old IS DISTINCT FROM v.guest_old) AS other_ids
FROM visit AS v JOIN person AS p ON p.id = v.person_id LEFT JOIN person AS g ON g.id = v.guest;
INSERT INTO visit (at, kind, no, person_id, guest)
SELECT '2024-03-01'::timestamptz + (i % 10) * interval '1 year', 'a', 5000 + i, p.id, g.id FROM generate_series(1, 20) AS i JOIN person AS p ON p.id_old = i JOIN person AS g ON g.id_old = i + 1;
UPDATE visit SET at = at + interval '1 year', person_id = guest, guest = NULL WHERE no BETWEEN 5001 AND 5010;
SELECT count(*) AS written, count(*) FILTER (WHERE p.id_old IS DISTINCT FROM v.person_id_old OR g.id_old IS DISTINCT FROM v.guest_old) AS other_ids
FROM visit AS v JOIN person AS p ON p.id = v.person_id LEFT JOIN person AS g ON g.id = v.guest WHERE no > 5000;
INSERT INTO visit (at, kind, no, person_id) SELECT at, kind, no, person_id FROM visit WHERE no = 5020 ON CONFLICT (person_id, at, kind, no) DO UPDATE SET note = 'again' RETURNING note;
INSERT INTO visit (at, kind, no, person_id) VALUES ('2025-03-01', 'a', 6000, '00000000-0000-7000-8000-000000000000');
SELECT has_column_privilege('parts_reader', 'odd', 'person_id', 'SELECT') AS may_read;
SELECT conrelid::regclass AS table_name, conname FROM pg_constraint WHERE contype = 'f' AND conrelid IN ('visit'::regclass, 'odd'::regclass, 'parts_else.rest'::regclass) ORDER BY 1, 2;
-- A partition that comes, and one that goes and comes again.
CREATE TABLE visit_2040 PARTITION OF visit FOR VALUES FROM ('2040-01-01') TO ('2041-01-01');
INSERT INTO visit (at, kind, no, person_id) SELECT '2040-06-01', 'z', 7000, id FROM person WHERE id_old = 7;
SELECT person_id_old FROM visit_2040;
ALTER TABLE visit DETACH PARTITION visit_2033;
\set VERBOSITY default
CALL key_migration_finalize('person', confirm => 'person');
\set VERBOSITY terse
ALTER TABLE visit ATTACH PARTITION visit_2033 FOR VALUES FROM ('2033-01-01') TO ('2034-01-01');
-- Back, with rows of both directions.
CALL key_migration_rollback('person');
SELECT key_migration_phase('person'), differences();
SELECT conrelid::regclass AS table_name, conname FROM pg_constraint WHERE contype = 'f' AND conrelid IN ('visit'::regclass, 'odd'::regclass) ORDER BY 1, 2;
SELECT statement FROM key_migration_statements('person') \gexec
SELECT key_migration_phase('person'), differences();
CALL key_migration_cutover('person');
\set VERBOSITY default
CALL key_migration_finalize('person', confirm => 'person');
\set VERBOSITY terse
SELECT count(*) AS rows, count(*) FILTER (WHERE p.id IS NULL) AS lost FROM visit AS v LEFT JOIN person AS p ON p.id = v.person_id;
SELECT count(*) AS other_ids FROM before AS b JOIN visit AS v USING (at, kind, no) JOIN person AS p ON p.id = v.person_id
WHERE p.created_at <> '2024-01-01'::timestamptz + b.person_id * interval '1 minute';
-- The tables are as if they had been created so.
SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull FROM pg_attribute WHERE attrelid = 'odd'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname;
SELECT conrelid::regclass AS table_name, conname, pg_get_constraintdef(oid) AS definition, convalidated, conparentid <> 0 AS belongs FROM pg_constraint
WHERE conrelid IN ('visit'::regclass, 'odd'::regclass, 'visit_2024'::regclass, 'parts_else.rest'::regclass) AND contype IN ('c', 'f', 'p', 'u') ORDER BY conrelid::regclass::text COLLATE "C", conname;
SELECT i.indexrelid::regclass AS index, i.indisvalid, h.inhparent::regclass AS of, regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING', '') AS definition
FROM pg_index AS i LEFT JOIN pg_inherits AS h ON h.inhrelid = i.indexrelid WHERE i.indrelid IN ('visit'::regclass, 'odd'::regclass, 'visit_2024'::regclass, 'visit_2025'::regclass, 'visit_2032'::regclass)
ORDER BY i.indexrelid::regclass::text COLLATE "C";
SELECT count(*) AS left FROM pg_trigger WHERE tgname LIKE '%key\_migration%';
SELECT relation::regclass FROM keyspace_internal.key_migration_table;
DELETE FROM person WHERE id IN (SELECT guest FROM odd WHERE guest IS NOT NULL LIMIT 1);
DROP SCHEMA parts, parts_else CASCADE;
DROP ROLE parts_reader;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
