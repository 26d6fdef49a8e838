-- Rows that are nearly as long as a page: the plan warns of them, the backfill fills all others and names one, and once
-- they are shorter it goes on.
-- fault_c23
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA wide;
SET search_path = wide, public;
-- Rows of 1,016 bigints have 8,152 bytes, which cannot be moved out of line.
CREATE FUNCTION make() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE (SELECT format('CREATE TABLE o (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT ''2024-01-01 00:00:00+00'', %s)',
                           string_agg(format('n%s bigint', i), ', ' ORDER BY i)) FROM generate_series(1, 1014) AS i);
END $$;
CREATE FUNCTION add(first integer, last integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE (SELECT format('INSERT INTO wide.o SELECT i, ''2024-01-01 00:00:00+00'' %s FROM generate_series(%s, %s) AS i',
                           string_agg(', 1', ''), first, last) FROM generate_series(1, 1014) AS i);
END $$;
SELECT make();
CREATE TABLE c (no bigint PRIMARY KEY, o_id bigint NOT NULL REFERENCES o);
INSERT INTO o (id) SELECT i FROM generate_series(1, 200) AS i;
SELECT add(1001, 1003);
INSERT INTO c SELECT i, i FROM generate_series(1, 200) AS i;
INSERT INTO c SELECT i, i FROM generate_series(1001, 1003) AS i;
SELECT table_name, action, detail FROM key_migration_plan('o') WHERE detail LIKE '%too wide%';
CREATE PROCEDURE shorten(which bigint) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE (SELECT format('UPDATE wide.o SET %s WHERE id = %s', string_agg(format('n%s = NULL', i), ', '), which) FROM generate_series(1, 60) AS i);
END $$;
SELECT key_migration_create('o');
SELECT key_migration_set('o', batch_pages => 1);
CALL key_migration_advance('o', through => 'prepared');
\set VERBOSITY default
CALL key_migration_advance('o');
\set VERBOSITY terse
-- All others have theirs, in the table that refers to it, too.
SELECT id FROM o WHERE id_new IS NULL ORDER BY 1;
SELECT count(*) FROM c WHERE o_id_new IS NULL;
SELECT key_migration_phase('o');
SELECT table_name, percent FROM key_migration_progress WHERE migration = 'o'::regclass ORDER BY 1;
-- Inserts of such rows fail, as the plan says.
SELECT add(2000, 2000);
\echo :LAST_ERROR_SQLSTATE
CALL shorten(1001);
CALL shorten(1002);
CALL key_migration_advance('o', through => 'backfilled');
CALL shorten(1003);
SELECT statement FROM key_migration_statements('o') \gexec
SELECT key_migration_phase('o');
-- The same where a query does the work, so that triggers fire.
CALL key_migration_rollback('o');
DROP TABLE c, o;
SELECT make();
CREATE TABLE c (no bigint PRIMARY KEY, o_id bigint NOT NULL REFERENCES o);
INSERT INTO o (id) SELECT i FROM generate_series(1, 20) AS i;
SELECT add(1001, 1002);
INSERT INTO o (id) SELECT i FROM generate_series(21, 40) AS i;
INSERT INTO c SELECT i, i FROM generate_series(1, 40) AS i;
SELECT key_migration_create('o', fire_triggers => true);
CALL key_migration_advance('o', through => 'prepared');
CALL key_migration_advance('o');
SELECT id FROM o WHERE id_new IS NULL ORDER BY 1;
SELECT count(*) FROM c WHERE o_id_new IS NULL;
CALL shorten(1001);
DELETE FROM o WHERE id = 1002;
CALL key_migration_advance('o', through => 'backfilled');
SELECT key_migration_phase('o');
-- Rows that are too wide and whose first reference is NULL are reported, too, by their place.
CALL key_migration_rollback('o', confirm => 'o');
DROP TABLE c, o;
CREATE TABLE o (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
INSERT INTO o SELECT FROM generate_series(1, 10);
DO $$
BEGIN
    EXECUTE (SELECT format('CREATE TABLE c (first_id bigint REFERENCES o, second_id bigint NOT NULL REFERENCES o, %s)', string_agg(format('n%s bigint', i), ', ' ORDER BY i))
             FROM generate_series(1, 1014) AS i);
    INSERT INTO c (first_id, second_id) SELECT CASE WHEN i % 2 = 0 THEN i END, i FROM generate_series(1, 10) AS i;
    EXECUTE (SELECT format('INSERT INTO wide.c (first_id, second_id, %s) SELECT NULL, i, %s FROM generate_series(3, 4) AS i', string_agg('n' || i, ', '), string_agg('1', ', '))
             FROM generate_series(1, 1000) AS i);
END $$;
\set VERBOSITY default
SELECT key_migration_create('o');
CALL key_migration_advance('o', through => 'backfilled');
SELECT count(*) FROM c WHERE second_id_new IS NULL;
CALL key_migration_rollback('o');
SELECT key_migration_create('o', fire_triggers => true);
CALL key_migration_advance('o', through => 'backfilled');
SELECT count(*) FROM c WHERE second_id_new IS NULL;
SELECT key_migration_phase('o');
DO $$
BEGIN
    EXECUTE (SELECT format('UPDATE wide.c SET %s', string_agg(format('n%s = NULL', i), ', ')) FROM generate_series(1, 60) AS i);
END $$;
CALL key_migration_advance('o', through => 'backfilled');
SELECT count(*) FROM c WHERE second_id_new IS NULL;
\set VERBOSITY terse
-- A table that nothing refers to, and that refers to nothing.
CALL key_migration_rollback('o');
DROP TABLE c, o;
SELECT make();
INSERT INTO o (id) SELECT i FROM generate_series(1, 20) AS i;
SELECT add(1001, 1001);
INSERT INTO o (id) SELECT i FROM generate_series(21, 40) AS i;
SELECT key_migration_create('o');
\set VERBOSITY default
CALL key_migration_advance('o', through => 'backfilled');
\set VERBOSITY terse
SELECT id FROM o WHERE id_new IS NULL;
SELECT count(id_new) FROM o;
CALL shorten(1001);
SELECT statement FROM key_migration_statements('o') \gexec
SELECT key_migration_phase('o');
DROP SCHEMA wide CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
