-- Rows that the backfill has missed: because somebody without our triggers moved them to pages that it had left behind,
-- because a copy was made of the table, or because their keys were removed. It is complete only once a look at all rows
-- finds none, and later steps return to it by themselves.
-- fault_c20 fault_c19
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA missed;
SET search_path = missed, public;
CREATE TABLE o (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00', n integer);
CREATE TABLE c (no bigint PRIMARY KEY, o_id bigint NOT NULL REFERENCES o, n integer);
CREATE TABLE log (no bigint PRIMARY KEY, o_id bigint);
INSERT INTO o (n) SELECT i FROM generate_series(1, 20000) AS i;
INSERT INTO c SELECT i, i FROM generate_series(1, 2000) AS i;
INSERT INTO log SELECT i, CASE WHEN i % 2 = 0 THEN 1000000 + i ELSE i END FROM generate_series(1, 2000) AS i;
VACUUM ANALYZE o, c, log;
-- Runs a statement without any of the triggers of a table, and leaves these as they were.
CREATE PROCEDURE behind_the_back(relation regclass, statement text) LANGUAGE plpgsql AS $$
DECLARE t record;
BEGIN
    CREATE TEMPORARY TABLE was AS SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = relation AND NOT tgisinternal;
    EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', relation);
    EXECUTE statement;
    FOR t IN SELECT * FROM was LOOP
        EXECUTE format('ALTER TABLE %s ENABLE %s TRIGGER %I', relation,
                       CASE t.tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END, t.tgname);
    END LOOP;
    DROP TABLE was;
END $$;
SELECT key_migration_create('o');
SELECT key_migration_add_reference('o', 'log', '{o_id}');
SELECT key_migration_set('o', batch_pages => 4);
CALL key_migration_advance('o', through => 'prepared');
CALL key_migration_advance('o', through => 'backfilled', max_pages => 64);
DELETE FROM c WHERE o_id < 3000;
DELETE FROM o WHERE id < 3000;
VACUUM o, c;
CALL behind_the_back('o', 'UPDATE o SET n = 1 WHERE id > 19000');
SELECT count(*) > 0 AS moved FROM o WHERE id > 19000 AND id_new IS NULL AND (ctid::text::point)[0] < 60;
SET client_min_messages = notice;
CALL key_migration_advance('o', through => 'backfilled');
SET client_min_messages = warning;
SELECT count(*) AS lacking FROM o WHERE id_new IS NULL;
-- Rows that refer to nothing lack no key.
SELECT count(*) AS orphans FROM log WHERE o_id_new IS NULL AND o_id > 1000000;
SELECT key_migration_phase('o');
INSERT INTO c SELECT i, i FROM generate_series(3001, 5000) AS i;
-- Many of them, in a table that was written to another file: all is passed over again.
ALTER TABLE o SET (fillfactor = 10);
VACUUM FULL o;
SELECT pg_relation_size('o') / current_setting('block_size')::integer > 1100 AS has_many_pages;
CALL behind_the_back('o', 'UPDATE o SET id_new = NULL WHERE id % 2 = 0');
CALL behind_the_back('c', 'UPDATE c SET o_id_new = NULL WHERE no % 100 = 0');
SELECT statement FROM key_migration_statements('o', through => 'indexed') WHERE phase = 'indexed' \gexec
SET client_min_messages = notice;
CALL key_migration_advance('o', through => 'validated');
SET client_min_messages = warning;
SELECT count(*) AS lacking FROM o WHERE id_new IS NULL;
SELECT phase, filled_rows > 20000 AS again FROM key_migration_progress WHERE table_name = 'o'::regclass;
-- Found by the comparison.
CALL behind_the_back('log', 'UPDATE log SET o_id_new = NULL WHERE no = 4999 OR no = 1999');
INSERT INTO log VALUES (4999, 4999);
CALL behind_the_back('log', 'UPDATE log SET o_id_new = NULL WHERE no = 4999');
SET client_min_messages = notice;
CALL key_migration_advance('o');
SET client_min_messages = warning;
SELECT key_migration_phase('o');
SELECT table_name, check_name, row_count FROM key_migration_verify('o') WHERE NOT ok;
-- A table that is written to another file since: by VACUUM FULL, or by a tool that puts a copy in its place. The cut-over
-- refuses, and a call is enough.
VACUUM FULL c;
SELECT key_migration_phase('o');
\set VERBOSITY default
CALL key_migration_cutover('o');
\set VERBOSITY terse
SET client_min_messages = notice;
CALL key_migration_advance('o');
SET client_min_messages = warning;
SELECT key_migration_phase('o');
-- A copy without keys.
ALTER TABLE c ALTER COLUMN o_id_new DROP NOT NULL;
CALL behind_the_back('c', 'UPDATE c SET o_id_new = NULL');
VACUUM FULL c;
CALL key_migration_cutover('o');
SELECT statement FROM key_migration_statements('o') \gexec
SELECT key_migration_phase('o');
SELECT count(*) AS lacking FROM c WHERE o_id_new IS NULL;
CALL key_migration_cutover('o');
CALL key_migration_rollback('o');
-- Rows whose parent was deleted where no foreign key was checked: no key can be computed, and the error says so.
CALL key_migration_rollback('o', confirm => 'o');
DROP TABLE log;
SELECT key_migration_create('o');
CALL key_migration_advance('o', through => 'backfilled');
SELECT statement FROM key_migration_statements('o', through => 'indexed') WHERE phase = 'indexed' \gexec
CALL behind_the_back('c', 'UPDATE c SET o_id_new = NULL WHERE no = 4000');
SET session_replication_role = replica;
DELETE FROM o WHERE id = 4000;
RESET session_replication_role;
\set VERBOSITY default
CALL key_migration_advance('o', through => 'validated');
\set VERBOSITY terse
DELETE FROM c WHERE no = 4000;
CALL key_migration_advance('o');
SELECT key_migration_phase('o');
DROP SCHEMA missed CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
