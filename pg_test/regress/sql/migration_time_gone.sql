-- A time that is dropped, renamed or changed in the midst of a migration: writes go on, it can be taken back, and it can be finished.
-- fault_c06_a_time_that_is_gone
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CALL keyspace_test.forget_node();
CREATE SCHEMA gone;
SET search_path = gone, public;
CREATE TABLE root (id bigserial PRIMARY KEY, made timestamptz NOT NULL DEFAULT now(), note text);
CREATE TABLE leaf (id bigserial PRIMARY KEY, root_id bigint NOT NULL REFERENCES root);
INSERT INTO root (made) SELECT '2024-01-01'::timestamptz + i * interval '1 hour' FROM generate_series(1, 100) AS i;
INSERT INTO leaf (root_id) SELECT id FROM root;
CREATE FUNCTION writes() RETURNS TABLE (inserted bigint, leaves bigint) LANGUAGE plpgsql AS $$
DECLARE r bigint;
BEGIN
    INSERT INTO root (note) VALUES ('now') RETURNING id INTO r;
    INSERT INTO leaf (root_id) VALUES (r), (1), (50);
    UPDATE root SET note = 'changed' WHERE id IN (2, r);
    UPDATE leaf SET root_id = 3 WHERE root_id = 2;
    RETURN QUERY SELECT count(*), (SELECT count(*) FROM leaf) FROM root;
END $$;
-- Renamed.
SELECT key_migration_create('root');
CALL key_migration_advance('root', through => 'prepared');
ALTER TABLE root RENAME made TO "Made At";
SELECT * FROM writes();
CALL key_migration_advance('root', through => 'backfilled');
SELECT count(*) = count(*) FILTER (WHERE id_new = key_migration_uuid("Made At", id, 'gone.root')) AS same FROM root WHERE id <> 2;
ALTER TABLE root RENAME "Made At" TO made;
CALL key_migration_rollback('root');

-- Dropped while only some rows have keys: nothing is closed, and no hint leads to itself.
SELECT key_migration_create('root');
CALL key_migration_advance('root', through => 'prepared');
SELECT * FROM writes();
ALTER TABLE root DROP COLUMN made;
SELECT * FROM writes();
SELECT action, detail FROM key_migration_plan('root') WHERE step IS NULL AND detail ~ 'timestamp';
SELECT uuidv7_to_timestamp(id_new) AS at FROM root WHERE id = 103;
-- Referring rows that derived their key from the time take that of the row.
SELECT count(*) FROM leaf WHERE uuidv7_to_timestamp(root_id_new) = '2024-01-01 01:00:00+00';
SELECT statement FROM key_migration_statements('root') \gexec
SELECT table_name, check_name, ok, row_count > 0 AS some FROM key_migration_verify('root') WHERE check_name <> 'digest' ORDER BY 1, 2;
CALL key_migration_cutover('root');
INSERT INTO root (note) VALUES ('cut over');
CALL key_migration_rollback('root');
INSERT INTO root (note) VALUES ('back');
CALL key_migration_cutover('root', way => 'view');
CALL key_migration_rollback('root');
CALL key_migration_cutover('root');
CALL key_migration_finalize('root', confirm => 'root');
SELECT count(*), (SELECT count(*) FROM leaf JOIN root ON root.id = root_id) AS leaves FROM root;
DROP TABLE root, leaf;

-- It can be taken back at any time.
CREATE TABLE root (id bigserial PRIMARY KEY, made timestamptz NOT NULL DEFAULT now(), note text);
CREATE TABLE leaf (id bigserial PRIMARY KEY, root_id bigint NOT NULL REFERENCES root);
INSERT INTO root (made) SELECT '2024-01-01'::timestamptz + i * interval '1 hour' FROM generate_series(1, 100) AS i;
INSERT INTO leaf (root_id) SELECT id FROM root;
SELECT key_migration_create('root');
ALTER TABLE root DROP COLUMN made;
SELECT action, detail FROM key_migration_plan('root') WHERE step IS NULL AND detail ~ 'timestamp';
CALL key_migration_advance('root', through => 'prepared');
SELECT * FROM writes();
CALL key_migration_rollback('root');
SELECT count(*) FROM pg_trigger WHERE tgrelid IN ('root'::regclass, 'leaf'::regclass) AND NOT tgisinternal;
SELECT * FROM writes();

-- Of another type: with and without a zone.
ALTER TABLE root ADD made timestamptz NOT NULL DEFAULT '2024-04-04 00:00:00+00';
SELECT key_migration_create('root');
CALL key_migration_advance('root', through => 'prepared');
ALTER TABLE root ALTER made TYPE timestamp USING made AT TIME ZONE 'UTC';
SELECT * FROM writes();
SELECT detail FROM key_migration_plan('root') WHERE detail ~ 'take their time';
ALTER TABLE root ALTER made DROP DEFAULT, ALTER made TYPE text USING made::text, ALTER made SET DEFAULT 'x';
SELECT * FROM writes();
SELECT detail FROM key_migration_plan('root') WHERE detail ~ 'take their time';
ALTER TABLE root ALTER made DROP DEFAULT, ALTER made TYPE timestamptz USING '2024-05-05 00:00:00+00', ALTER made SET DEFAULT '2024-06-06 00:00:00+00';
SELECT * FROM writes();
SELECT detail FROM key_migration_plan('root') WHERE detail ~ 'take their time';
SELECT uuidv7_to_timestamp(max(id_new::text)::uuid) AS at FROM root;
CALL key_migration_rollback('root');
SELECT key_migration_create('root', timestamp_expression => 'made + interval ''1 hour'' * 0 + make_interval(secs => id)');
SELECT key_migration_create('root', timestamp_expression => '(made AT TIME ZONE ''UTC'') + make_interval(secs => id)', time_zone => 'UTC');
CALL key_migration_advance('root', through => 'prepared');
SELECT * FROM writes();
ALTER TABLE root ALTER made DROP DEFAULT, ALTER made TYPE text USING 'x', ALTER made SET DEFAULT 'x';
SELECT * FROM writes();
SELECT detail FROM key_migration_plan('root') WHERE detail ~ 'timestamp expression|cannot be computed';
ALTER TABLE root DROP made;
SELECT * FROM writes();
SELECT detail FROM key_migration_plan('root') WHERE detail ~ 'timestamp expression|cannot be computed';
CALL key_migration_advance('root', through => 'backfilled');
SELECT count(*), count(id_new) FROM root;
CALL key_migration_rollback('root');

-- The row with the time: its column, its index, its table.
CREATE TABLE parent (id integer PRIMARY KEY, at timestamptz, day date);
INSERT INTO parent SELECT i, '2024-07-07', '2024-08-08' FROM generate_series(1, 10) AS i;
ALTER TABLE root ADD parent_id integer DEFAULT 5 REFERENCES parent;
SELECT key_migration_create('root', 'at', timestamp_reference => 'parent_id');
CALL key_migration_advance('root', through => 'prepared');
SELECT * FROM writes();
ALTER TABLE parent DROP at;
SELECT * FROM writes();
SELECT detail FROM key_migration_plan('root') WHERE detail ~ 'no longer';
CALL key_migration_rollback('root');
SELECT key_migration_create('root', 'day', timestamp_reference => 'parent_id');
CALL key_migration_advance('root', through => 'prepared');
SELECT * FROM writes();
ALTER TABLE parent DROP CONSTRAINT parent_pkey CASCADE;
SELECT * FROM writes();
SELECT detail FROM key_migration_plan('root') WHERE detail ~ 'no longer';
DROP TABLE parent CASCADE;
SELECT * FROM writes();
SELECT detail FROM key_migration_plan('root') WHERE detail ~ 'no longer';
ALTER TABLE root DROP parent_id;
SELECT * FROM writes();
SELECT detail FROM key_migration_plan('root') WHERE detail ~ 'no longer';
CALL key_migration_advance('root', through => 'backfilled');
SELECT uuidv7_to_timestamp(id_new) AS at, count(*) > 0 AS some FROM root GROUP BY 1 ORDER BY 1;
CALL key_migration_rollback('root');

RESET TimeZone;
DROP SCHEMA gone CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
