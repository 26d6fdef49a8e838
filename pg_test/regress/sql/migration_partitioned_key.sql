-- The key of a table that is partitioned by other columns: from the plan to the end, with partitions that come and go.
-- trap_m11
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA pkey;
SET search_path = pkey, public;
-- By range, with partitions by list below, a default partition, and one with columns in another order that has a dropped one.
CREATE TABLE event (
    id bigserial,
    day date NOT NULL,
    kind text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00',
    parent bigint,
    parent_day date,
    parent_kind text,
    note text,
    PRIMARY KEY (id, day, kind)
) PARTITION BY RANGE (day);
CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM ('2024-02-01') TO ('2024-03-01') PARTITION BY LIST (kind);
CREATE TABLE event_2_a PARTITION OF event_2 FOR VALUES IN ('a');
CREATE TABLE event_2_rest PARTITION OF event_2 DEFAULT;
CREATE TABLE odd (note text, gone integer, parent_kind text, parent_day date, parent bigint, created_at timestamptz NOT NULL, kind text NOT NULL, id bigint NOT NULL, day date NOT NULL);
ALTER TABLE odd DROP COLUMN gone;
ALTER TABLE event ATTACH PARTITION odd FOR VALUES FROM ('2024-03-01') TO ('2024-04-01');
CREATE TABLE event_rest PARTITION OF event DEFAULT;
ALTER TABLE event ADD CONSTRAINT event_parent FOREIGN KEY (parent, parent_day, parent_kind) REFERENCES event ON UPDATE CASCADE ON DELETE SET NULL;
CREATE INDEX event_parent_idx ON event (parent) WHERE parent IS NOT NULL;
CREATE TABLE comment (
    no integer PRIMARY KEY,
    event_id bigint NOT NULL,
    event_day date NOT NULL,
    event_kind text NOT NULL,
    CONSTRAINT of_event FOREIGN KEY (event_id, event_day, event_kind) REFERENCES event (id, day, kind) ON UPDATE CASCADE ON DELETE CASCADE
);
-- A part of it can be NULL, and then it refers to nothing. This one is partitioned, too.
CREATE TABLE mark (
    no integer NOT NULL,
    event_kind text,
    event_day date,
    event_id bigint,
    FOREIGN KEY (event_id, event_day, event_kind) REFERENCES event ON UPDATE CASCADE
) PARTITION BY HASH (no);
CREATE TABLE mark_0 PARTITION OF mark FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE mark_1 PARTITION OF mark FOR VALUES WITH (MODULUS 2, REMAINDER 1);
-- Its primary key contains the reference.
CREATE TABLE visit (
    event_id bigint NOT NULL,
    event_day date NOT NULL,
    event_kind text NOT NULL,
    no integer NOT NULL,
    PRIMARY KEY (event_id, no),
    FOREIGN KEY (event_id, event_day, event_kind) REFERENCES event ON UPDATE CASCADE
) PARTITION BY RANGE (no);
CREATE TABLE visit_0 PARTITION OF visit FOR VALUES FROM (0) TO (100);
CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM (100) TO (200) PARTITION BY HASH (no);
CREATE TABLE visit_1_0 PARTITION OF visit_1 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
INSERT INTO event (day, kind, created_at, note)
SELECT '2024-01-01'::date + i % 120, CASE i % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'b' ELSE 'c' END, '2024-01-01'::timestamptz + i * interval '1 minute', i::text FROM generate_series(1, 300) AS i;
UPDATE event AS e SET (parent, parent_day, parent_kind) = (SELECT p.id, p.day, p.kind FROM event AS p WHERE p.id = e.id - 7) WHERE e.id > 100;
INSERT INTO comment SELECT i, e.id, e.day, e.kind FROM generate_series(1, 600) AS i JOIN event AS e ON e.id = i % 300 + 1;
INSERT INTO mark SELECT i, CASE WHEN i % 5 > 0 THEN e.kind END, e.day, e.id FROM generate_series(1, 200) AS i JOIN event AS e ON e.id = i % 300 + 1;
INSERT INTO visit SELECT e.id, e.day, e.kind, i FROM generate_series(1, 199) AS i JOIN event AS e ON e.id = i % 300 + 1;
-- The same id once more, in another partition and at the same time: another row, with the same key.
INSERT INTO event (id, day, kind, created_at, note) SELECT id, day + 60, kind, created_at, 'twin' FROM event WHERE id = 5;
INSERT INTO comment SELECT 1000, id, day, kind FROM event WHERE id = 5 AND note = 'twin';
CREATE TABLE before AS SELECT * FROM event;
-- Rows with another key than the row that they refer to, and rows without.
SET check_function_bodies = off;
CREATE FUNCTION differences(OUT comments bigint, OUT marks bigint, OUT parents bigint, OUT without bigint, OUT moved bigint) LANGUAGE sql AS $$
SELECT (SELECT count(*) FROM comment AS c LEFT JOIN event AS e ON (e.id, e.day, e.kind) = (c.event_id, c.event_day, c.event_kind) WHERE c.event_id_new IS DISTINCT FROM e.id_new),
       (SELECT count(*) FROM mark AS m LEFT JOIN event AS e ON (e.id, e.day, e.kind) = (m.event_id, m.event_day, m.event_kind) WHERE m.event_id_new IS DISTINCT FROM e.id_new),
       (SELECT count(*) FROM event AS m LEFT JOIN event AS e ON (e.id, e.day, e.kind) = (m.parent, m.parent_day, m.parent_kind) WHERE m.parent_new IS DISTINCT FROM e.id_new),
       (SELECT count(*) FROM event WHERE id_new IS NULL),
       (SELECT count(*) FROM event AS e JOIN before AS b USING (id, day, kind) WHERE e.id_new <> key_migration_uuid(b.created_at, b.id, 'pkey.event'))
$$;
SELECT action, table_name, detail FROM key_migration_plan('event') WHERE step IS NULL AND detail !~ 'locks at once|of disk|statements up to' ORDER BY detail COLLATE "C";
-- Since version 18, each partition is also analyzed by itself.
SELECT row_number() OVER (ORDER BY p.step) AS step, p.phase, p.table_name, p.action, p.lock FROM key_migration_plan('event') AS p JOIN pg_class AS c ON c.oid = p.table_name
WHERE p.step IS NOT NULL AND (p.action <> 'collect statistics on the new columns' OR NOT c.relispartition) ORDER BY p.step;
SELECT statement FROM key_migration_plan('event') WHERE phase = 'indexed' OR action LIKE 'add foreign key%' ORDER BY step;
SELECT key_migration_create('event');
CALL key_migration_advance('event', through => 'prepared');
SELECT tgname, tgrelid::regclass, encode(tgargs, 'escape') LIKE '%with %' AS with_companions FROM pg_trigger WHERE tgname LIKE '%key\_migration\_update%' AND tgparentid = 0 ORDER BY 2, 1;
-- Writers before the backfill, in each partition.
INSERT INTO event (day, kind, note) SELECT '2024-01-15'::date + 30 * i, 'a', 'new' FROM generate_series(0, 4) AS i;
INSERT INTO odd (id, day, kind, created_at) VALUES (1000, '2024-03-05', 'z', '2024-05-05 00:00:00+00');
INSERT INTO event (id, day, kind, parent, parent_day, parent_kind) VALUES (1001, '2024-03-06', 'z', 1001, '2024-03-06', 'z'), (1002, '2024-02-06', 'z', 1001, '2024-03-06', 'z');
SELECT count(*) FROM event WHERE parent_new = id_new;
INSERT INTO comment VALUES (2000, 1000, '2024-03-05', 'z'), (2001, 1, '2024-01-02', 'b');
INSERT INTO mark VALUES (2000, 'z', '2024-03-05', 1000), (2001, NULL, '2024-03-05', 1000), (2002, 'z', NULL, NULL), (2003, NULL, NULL, 77777);
SELECT no, event_id_new IS NULL AS is_null FROM mark WHERE no >= 2000 ORDER BY no;
-- The rest of a reference comes later, or changes: it is another row then.
UPDATE mark SET event_kind = 'z' WHERE no = 2001;
UPDATE comment SET event_day = event_day + 60 WHERE event_id = 5 AND no < 1000;
SELECT count(DISTINCT event_id_new) FROM comment WHERE event_id = 5;
UPDATE comment SET event_id = 6, event_day = '2024-01-07', event_kind = 'a' WHERE no = 2001;
SELECT count(*) AS wrong FROM comment AS c JOIN event AS e ON (e.id, e.day, e.kind) = (c.event_id, c.event_day, c.event_kind) WHERE c.event_id_new <> e.id_new;
-- References to nothing.
INSERT INTO comment VALUES (3000, 77777, '2024-03-05', 'z');
INSERT INTO comment VALUES (3000, 1000, '2024-03-06', 'z');
-- A row that moves keeps its key, and others follow it.
SELECT id_new FROM event WHERE id = 1000 \gset
UPDATE event SET day = '2024-02-07', created_at = '2025-01-01 00:00:00+00' WHERE id = 1000;
SELECT tableoid::regclass, id_new = :'id_new' AS is_same FROM event WHERE id = 1000;
SELECT no, event_day, event_id_new = :'id_new' AS is_same FROM comment WHERE event_id = 1000;
-- So does one whose id changes, and one that gets both; a copy has a key of its own.
UPDATE event SET id = 1010, kind = 'a' WHERE id = 1000;
SELECT tableoid::regclass, id_new = :'id_new' AS is_same FROM event WHERE id = 1010;
INSERT INTO event (id, day, kind, created_at, id_new) SELECT 1011, '2024-03-07', kind, '2024-01-07 00:00:00+00', id_new FROM event WHERE id = 1010;
SELECT id_new = key_migration_uuid(created_at, id, 'pkey.event') AS is_derived FROM event WHERE id = 1011;
UPDATE event SET id_new = '00000000-0000-7000-8000-000000000000' WHERE id = 1011;
-- Also if a trigger runs queries in between; a copy within the command that updates the row is still a copy.
CREATE FUNCTION looks() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM count(*) FROM pkey.comment; RETURN OLD; END';
CREATE TRIGGER looks BEFORE DELETE ON event FOR EACH ROW EXECUTE FUNCTION looks();
UPDATE event SET day = '2024-03-08' WHERE id = 1010;
SELECT tableoid::regclass, id_new = :'id_new' AS is_same FROM event WHERE id = 1010;
DROP FUNCTION looks CASCADE;
UPDATE event SET day = '2024-02-07' WHERE id = 1010;
SELECT tableoid::regclass, id_new = :'id_new' AS is_same FROM event WHERE id = 1010;
WITH u AS (UPDATE event SET note = 'x' WHERE id = 1010 RETURNING id_new)
INSERT INTO event (id, day, kind, created_at, id_new) SELECT 1012, '2024-03-07', 'a', '2024-01-07 00:00:00+00', id_new FROM u;
SELECT id_new = key_migration_uuid(created_at, id, 'pkey.event') AS is_derived FROM event WHERE id = 1012;
-- A partition that comes now, with rows: PostgreSQL asks for the columns.
CREATE TABLE late (LIKE event_1 INCLUDING DEFAULTS);
ALTER TABLE late DROP COLUMN id_new, DROP COLUMN parent_new;
INSERT INTO late (id, day, kind, note) SELECT 5000 + i, '2030-06-01', 'b', 'late' FROM generate_series(1, 20) AS i;
ALTER TABLE event ATTACH PARTITION late FOR VALUES FROM ('2030-01-01') TO ('2031-01-01');
ALTER TABLE late ADD COLUMN id_new uuid, ADD COLUMN parent_new uuid;
ALTER TABLE event ATTACH PARTITION late FOR VALUES FROM ('2030-01-01') TO ('2031-01-01');
CREATE TABLE gone PARTITION OF event FOR VALUES FROM ('2031-01-01') TO ('2032-01-01');
INSERT INTO event (id, day, kind) SELECT 6000 + i, '2031-06-01', 'b' FROM generate_series(1, 20) AS i;
CALL key_migration_advance('event', through => 'backfilled', max_pages => 1);
SELECT statement FROM key_migration_statements('event', 'backfilled') \gexec
SELECT key_migration_phase('event'), * FROM differences();
SELECT table_name, percent FROM key_migration_progress ORDER BY table_name::text COLLATE "C";
SELECT statement FROM key_migration_statements('event', 'indexed') \gexec
SELECT key_migration_phase('event');
SELECT indexrelid::regclass AS index, indisvalid, indisunique FROM pg_index WHERE indexrelid::regclass::text LIKE '%\_new' ORDER BY indexrelid::regclass::text COLLATE "C";
-- One that comes after its table has the indexes, and one that goes, with keys.
CREATE TABLE event_5 PARTITION OF event FOR VALUES FROM ('2032-01-01') TO ('2033-01-01');
INSERT INTO event (id, day, kind) VALUES (7000, '2032-06-01', 'q');
ALTER TABLE event DETACH PARTITION gone;
-- It keeps its foreign key, and so is a table of its own that refers to the key.
CALL key_migration_advance('event', through => 'validated');
ALTER TABLE gone DROP CONSTRAINT event_parent;
CALL key_migration_advance('event', through => 'validated');
SELECT conrelid::regclass AS table_name, conname, confrelid::regclass AS refers_to, convalidated FROM pg_constraint
WHERE contype = 'f' AND conname LIKE '%\_new' AND confrelid = 'event'::regclass ORDER BY conrelid::regclass::text COLLATE "C", conname;
SELECT attrelid::regclass AS table_name, attname, attnotnull FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid AND relkind IN ('r', 'p')
WHERE attname LIKE '%\_new' AND attrelid <> 'gone'::regclass ORDER BY attrelid::regclass::text COLLATE "C", 2;
CALL key_migration_advance('event', through => 'verified');
SELECT key_migration_phase('event'), * FROM differences();
SELECT table_name, column_name, check_name, ok, row_count FROM key_migration_verify('event') WHERE check_name IN ('orphans', 'equal keys', 'rows changed since') ORDER BY table_name::text COLLATE "C", 2, 3;
-- One that comes after the comparison.
CREATE TABLE event_6 PARTITION OF event FOR VALUES FROM ('2033-01-01') TO ('2034-01-01');
SELECT key_migration_phase('event');
CALL key_migration_advance('event', through => 'verified');
\set VERBOSITY default
CALL key_migration_cutover('event', way => 'view');
\set VERBOSITY terse
CALL key_migration_cutover('event');
-- Keys lead, in each partition.
INSERT INTO event (day, kind) SELECT '2024-01-15'::date + 30 * i, 'k' FROM generate_series(0, 4) AS i;
SELECT count(*) AS new, count(id) AS keys, count(id_old) AS old_ids FROM event WHERE kind = 'k';
INSERT INTO comment (no, event_id, event_day, event_kind) SELECT 4000 + row_number() OVER (ORDER BY day), id, day, kind FROM event WHERE kind = 'k';
SELECT count(*) AS written, count(*) FILTER (WHERE c.event_id_old IS DISTINCT FROM e.id_old) AS other_ids FROM comment AS c JOIN event AS e ON (e.id, e.day, e.kind) = (c.event_id, c.event_day, c.event_kind) WHERE c.no > 4000;
INSERT INTO comment (no, event_id, event_day, event_kind) SELECT 4100, id, day + 1, kind FROM event WHERE kind = 'k' LIMIT 1;
INSERT INTO event (id, day, kind, parent, parent_day, parent_kind) VALUES ('01900000-0000-7000-8000-000000000001', '2024-03-09', 's', '01900000-0000-7000-8000-000000000001', '2024-03-09', 's');
SELECT parent_old = id_old AS is_itself FROM event WHERE kind = 's';
UPDATE event SET day = '2024-02-09', parent_day = '2024-02-09' WHERE kind = 's';
SELECT tableoid::regclass, id, parent = id AND parent_day = day AND parent_old = id_old AS is_itself FROM event WHERE kind = 's';
INSERT INTO event (id, day, kind) SELECT id, day, kind FROM event WHERE kind = 's' ON CONFLICT (id, day, kind) DO UPDATE SET note = 'again' RETURNING note;
-- Which constraint is violated.
INSERT INTO event (id, day, kind) SELECT id, day, kind FROM event WHERE kind = 's';
INSERT INTO odd (id, day, kind, created_at, id_old) SELECT id, day, kind, created_at, 90000 FROM odd LIMIT 1;
CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM (200) TO (300);
INSERT INTO visit (event_id, event_day, event_kind, no) SELECT id, day, kind, 250 FROM event WHERE kind = 's';
INSERT INTO visit (event_id, event_day, event_kind, no) SELECT id, day, kind, 250 FROM event WHERE kind = 's';
CREATE TABLE event_7 PARTITION OF event FOR VALUES FROM ('2034-01-01') TO ('2035-01-01');
INSERT INTO event (day, kind) VALUES ('2034-06-01', 'r');
-- Back, with rows of both directions, and again.
SELECT id FROM event WHERE kind = 'r' \gset
CALL key_migration_rollback('event');
SELECT key_migration_phase('event'), comments, marks, parents, without FROM differences();
-- A key that clients may know stays when its row moves.
UPDATE event SET day = '2024-01-20' WHERE kind = 'r';
SELECT tableoid::regclass, id_new = :'id' AS is_same FROM event WHERE kind = 'r';
SELECT indexrelid::regclass AS index, indisprimary FROM pg_index WHERE indrelid IN ('event'::regclass, 'event_7'::regclass, 'odd'::regclass) ORDER BY indexrelid::regclass::text COLLATE "C";
SELECT statement FROM key_migration_statements('event') \gexec
CALL key_migration_cutover('event');
-- A detached partition still uses the sequence, and old ids that refer to nothing would be lost.
\set VERBOSITY default
CALL key_migration_finalize('event', confirm => 'event');
ALTER TABLE gone ALTER id DROP DEFAULT;
CALL key_migration_finalize('event', confirm => 'event');
UPDATE mark SET event_id_old = NULL WHERE event_id IS NULL;
CALL key_migration_finalize('event', confirm => 'event');
\set VERBOSITY terse
-- The tables are as if they had been created so.
SELECT count(*) AS rows, count(*) FILTER (WHERE e.id IS NULL) AS lost FROM comment AS c LEFT JOIN event AS e ON (e.id, e.day, e.kind) = (c.event_id, c.event_day, c.event_kind);
SELECT conrelid::regclass AS table_name, conname, pg_get_constraintdef(oid) AS definition, convalidated, conislocal, coninhcount, conparentid <> 0 AS belongs FROM pg_constraint
WHERE (conrelid IN ('event'::regclass, 'event_1'::regclass, 'event_2'::regclass, 'event_2_a'::regclass, 'odd'::regclass, 'event_7'::regclass)
    OR conrelid IN (SELECT relid FROM pg_partition_tree('visit'))) AND contype = 'p' ORDER BY conrelid::regclass::text COLLATE "C";
SELECT i.indexrelid::regclass AS index, i.indisprimary, i.indisvalid, h.inhparent::regclass AS of, regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING', '') AS definition
FROM pg_index AS i LEFT JOIN pg_inherits AS h ON h.inhrelid = i.indexrelid WHERE i.indrelid IN (SELECT relid FROM pg_partition_tree('event')) ORDER BY i.indexrelid::regclass::text COLLATE "C";
SELECT conrelid::regclass AS table_name, conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 AND connamespace = 'pkey'::regnamespace ORDER BY conrelid::regclass::text COLLATE "C", conname;
SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull FROM pg_attribute WHERE attrelid = 'odd'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname;
SELECT count(*) AS left FROM pg_trigger WHERE tgname LIKE '%key\_migration%';
-- A partition gets its part of it, and loses it with the constraint; the dependencies are those of a primary key.
CREATE TABLE event_8 PARTITION OF event FOR VALUES FROM ('2035-01-01') TO ('2036-01-01');
SELECT conname, conparentid <> 0 AS belongs FROM pg_constraint WHERE conrelid = 'event_8'::regclass AND contype = 'p';
ALTER TABLE odd DROP CONSTRAINT odd_pkey;
DROP INDEX event_pkey;
ALTER TABLE event DROP CONSTRAINT event_pkey CASCADE;
SELECT count(*) FROM pg_index WHERE indrelid IN (SELECT relid FROM pg_partition_tree('event')) AND indisunique;
SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'pkey'::regnamespace;
-- The usual case: no foreign keys, an identity, the time from the partition key, by an expression, and old ids that are kept.
CREATE TABLE log (at timestamptz NOT NULL, id bigint GENERATED BY DEFAULT AS IDENTITY, text text, PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2024-01-01 00:00:00+00') TO ('2024-02-01 00:00:00+00');
CREATE TABLE log_2 (text text, id bigint NOT NULL, at timestamptz NOT NULL);
ALTER TABLE log ATTACH PARTITION log_2 FOR VALUES FROM ('2024-02-01 00:00:00+00') TO ('2024-03-01 00:00:00+00');
COMMENT ON CONSTRAINT log_pkey ON log IS 'of the log';
COMMENT ON INDEX log_1_pkey IS 'of January';
ALTER TABLE log_1 REPLICA IDENTITY USING INDEX log_1_pkey;
INSERT INTO log (at, text) SELECT '2024-01-01 00:00:00+00'::timestamptz + i * interval '1 hour', i::text FROM generate_series(0, 1000) AS i;
SELECT key_migration_create('log', timestamp_expression => 'at', target => 'ulid', move_primary_key => true);
CALL key_migration_advance('log', through => 'prepared');
INSERT INTO log (at, text) VALUES ('2024-01-05', 'a'), ('2024-02-05', 'b');
SELECT statement FROM key_migration_statements('log') \gexec
SELECT tableoid::regclass, count(*) FILTER (WHERE id_new IS DISTINCT FROM key_migration_ulid(at, id, 'pkey.log')) AS other FROM log GROUP BY 1 ORDER BY 1;
CALL key_migration_cutover('log');
INSERT INTO log (at, text) VALUES ('2024-02-05', 'new');
SELECT id_old IS NOT NULL AS has_old_id FROM log WHERE text = 'new';
CALL key_migration_finalize('log', confirm => 'log', keep_old_ids => true);
SELECT conrelid::regclass AS table_name, conname, pg_get_constraintdef(oid) AS definition, obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE contype = 'p' AND conrelid IN (SELECT relid FROM pg_partition_tree('log')) ORDER BY conname;
SELECT c.relname, c.relreplident, i.indisreplident, obj_description(i.indexrelid, 'pg_class') FROM pg_class AS c JOIN pg_index AS i ON i.indrelid = c.oid WHERE c.oid IN (SELECT relid FROM pg_partition_tree('log')) ORDER BY c.relname;
INSERT INTO log (at, text) VALUES ('2024-02-06', 'newer');
SELECT id_old IS NULL AS has_no_old_id, count(*) FROM log GROUP BY 1 ORDER BY 1;
-- Rows by texts: the key of one that is given away is not given twice.
CREATE TABLE page (slug text, year integer, PRIMARY KEY (slug, year)) PARTITION BY LIST (year);
CREATE TABLE page_1 PARTITION OF page FOR VALUES IN (1);
CREATE TABLE page_2 PARTITION OF page FOR VALUES IN (2);
INSERT INTO page SELECT 'p' || i, i % 2 + 1 FROM generate_series(1, 50) AS i;
SELECT key_migration_create('page', without_timestamp => true);
SELECT statement FROM key_migration_statements('page') \gexec
UPDATE page SET slug = 'q2' WHERE slug = 'p2';
INSERT INTO page VALUES ('p2', 1), ('p2', 2);
SELECT year, count(*), count(DISTINCT id) FROM (SELECT year, slug_new AS id FROM page) AS p GROUP BY year ORDER BY year;
CALL key_migration_rollback('page');
SELECT attname FROM pg_attribute WHERE attrelid = 'page'::regclass AND attnum > 0 AND NOT attisdropped;
-- A column whose value is looked up in another one must have its type, and triggers name the primary key.
CREATE ROLE pkey_other;
CREATE TABLE lot (id bigserial, day date, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00', due date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE lot_1 PARTITION OF lot DEFAULT;
CREATE TABLE bid (lot bigint, lot_day date, FOREIGN KEY (lot, lot_day) REFERENCES lot);
INSERT INTO lot (day) VALUES ('2024-01-01');
INSERT INTO bid SELECT id, day FROM lot;
SELECT key_migration_create('lot');
CALL key_migration_advance('lot', through => 'prepared');
\set VERBOSITY default
ALTER TABLE bid ALTER lot_day TYPE timestamp;
INSERT INTO bid SELECT id, day FROM lot;
CALL key_migration_advance('lot', through => 'backfilled');
ALTER TABLE bid ALTER lot_day TYPE date;
ALTER TABLE bid OWNER TO pkey_other;
INSERT INTO bid SELECT id, day FROM lot;
ALTER TABLE bid OWNER TO CURRENT_USER;
DO $$BEGIN
    EXECUTE (SELECT replace(replace(pg_get_triggerdef(oid), '"~key_migration', '"a_key_migration'), 'with 2:2', 'with 2:4')
             FROM pg_trigger WHERE tgrelid = 'bid'::regclass AND tgname LIKE '~key\_migration\_insert%');
END$$;
INSERT INTO bid SELECT id, day FROM lot;
\set VERBOSITY terse
SELECT format('DROP TRIGGER %I ON bid', tgname) FROM pg_trigger WHERE tgrelid = 'bid'::regclass AND tgname LIKE 'a\_key%' \gexec
INSERT INTO bid SELECT id, day FROM lot;
SELECT count(*), count(DISTINCT lot_new) FROM bid;
CALL key_migration_rollback('lot');
-- The function that makes the primary key is for the owner, and for such indexes only.
CREATE UNIQUE INDEX page_slug ON page (slug, year) WHERE slug <> '';
SELECT keyspace_internal.key_migration_add_primary_key(NULL);
SELECT keyspace_internal.key_migration_add_primary_key('page');
SELECT keyspace_internal.key_migration_add_primary_key('page_1_pkey');
\set VERBOSITY default
SELECT keyspace_internal.key_migration_add_primary_key('page_slug');
ALTER TABLE page DROP CONSTRAINT page_pkey;
SELECT keyspace_internal.key_migration_add_primary_key('page_slug');
DROP INDEX page_slug;
CREATE UNIQUE INDEX page_slug ON page (slug, year);
ALTER TABLE page ALTER slug DROP NOT NULL;
SELECT keyspace_internal.key_migration_add_primary_key('page_slug');
\set VERBOSITY terse
ALTER TABLE page ALTER slug SET NOT NULL;
DROP INDEX page_slug;
CREATE UNIQUE INDEX page_slug ON page (slug DESC, year);
SELECT keyspace_internal.key_migration_add_primary_key('page_slug');
DROP INDEX page_slug;
CREATE UNIQUE INDEX page_slug ON page (slug, year) NULLS NOT DISTINCT;
SELECT keyspace_internal.key_migration_add_primary_key('page_slug');
DROP INDEX page_slug;
CREATE UNIQUE INDEX page_slug ON page (slug, year);
GRANT USAGE ON SCHEMA pkey, keyspace_internal TO pkey_other;
SET ROLE pkey_other;
SELECT keyspace_internal.key_migration_add_primary_key('page_slug');
RESET ROLE;
SELECT keyspace_internal.key_migration_add_primary_key('page_slug');
SELECT conrelid::regclass AS table_name, conname, conparentid <> 0 AS belongs FROM pg_constraint WHERE contype = 'p' AND conrelid IN (SELECT relid FROM pg_partition_tree('page')) ORDER BY conname;
DROP SCHEMA pkey CASCADE;
DROP OWNED BY pkey_other;
DROP ROLE pkey_other;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
