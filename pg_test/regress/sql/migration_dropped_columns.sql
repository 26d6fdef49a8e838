-- Columns that are dropped in mid-migration: no trigger stays behind that blocks, and the way back is open. And an old id
-- that is removed after the cut-over.
-- fault_c07 fault_c13
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA dropped;
SET search_path = dropped, public;
CREATE FUNCTION make() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DROP TABLE IF EXISTS o, c, log;
    CREATE TABLE o (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00', n integer);
    CREATE TABLE c (no bigserial PRIMARY KEY, o_id bigint REFERENCES o, n integer);
    CREATE TABLE log (no bigserial PRIMARY KEY, o_id bigint);
    INSERT INTO o (n) SELECT i FROM generate_series(1, 20) AS i;
    INSERT INTO c (o_id) SELECT i FROM generate_series(1, 20) AS i;
    INSERT INTO log (o_id) SELECT i FROM generate_series(1, 20) AS i;
    PERFORM key_migration_create('o');
    PERFORM key_migration_add_reference('o', 'log', '{o_id}');
END $$;
-- What is left of a migration.
CREATE VIEW remains AS
    SELECT tgrelid::regclass::text AS relation, tgname::text AS name FROM pg_trigger
    WHERE NOT tgisinternal AND tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'dropped'::regnamespace)
    UNION ALL
    SELECT attrelid::regclass::text, attname FROM pg_attribute
    WHERE attname LIKE '%\_new' AND NOT attisdropped AND attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'dropped'::regnamespace AND relkind = 'r');
SELECT make();
SELECT statement FROM key_migration_statements('o') \gexec
-- A column that refers to the key.
ALTER TABLE c DROP COLUMN o_id CASCADE;
INSERT INTO c (n) VALUES (1);
UPDATE c SET n = 2 WHERE no = 1;
SET session_replication_role = replica;
INSERT INTO c (n) VALUES (1);
UPDATE c SET n = 3 WHERE no = 1;
RESET session_replication_role;
INSERT INTO o (n) VALUES (1);
CALL key_migration_rollback('o');
SELECT * FROM remains;
-- The key itself, by which references were found.
SELECT make();
CALL key_migration_advance('o', through => 'backfilled');
ALTER TABLE o DROP COLUMN id CASCADE;
INSERT INTO o (n) VALUES (1);
UPDATE o SET n = 2;
INSERT INTO c (o_id) VALUES (21);
UPDATE c SET o_id = 22 WHERE no = 1;
INSERT INTO log (o_id) VALUES (21);
-- The view shows it, and all others.
SELECT DISTINCT migration, phase FROM key_migration_progress WHERE migration = 'o'::regclass;
\set VERBOSITY default
CALL key_migration_advance('o');
\set VERBOSITY terse
CALL key_migration_rollback('o');
SELECT * FROM remains;
-- The column of keys of the table itself, and of one that refers to it: they come back.
SELECT make();
CALL key_migration_advance('o', through => 'backfilled');
ALTER TABLE o DROP COLUMN id_new;
ALTER TABLE log DROP COLUMN o_id_new CASCADE;
INSERT INTO o (n) VALUES (1);
INSERT INTO c (o_id) VALUES (21);
INSERT INTO log (o_id) VALUES (21);
SELECT key_migration_phase('o');
SELECT statement FROM key_migration_statements('o') \gexec
SELECT key_migration_phase('o');
-- After the cut-over, an old id that is removed removes the reference; before it, a key is computed again.
UPDATE c SET o_id_new = NULL WHERE no = 2 RETURNING o_id, o_id_new IS NULL AS is_null;
CALL key_migration_cutover('o');
UPDATE c SET o_id_old = NULL WHERE no = 2 RETURNING o_id, o_id_old;
UPDATE c SET o_id = NULL WHERE no = 3 RETURNING o_id, o_id_old;
UPDATE log SET o_id_old = NULL WHERE no = 4 RETURNING o_id, o_id_old;
-- Both at once: the key decides.
UPDATE c SET o_id_old = NULL, o_id = (SELECT id FROM o WHERE id_old = 9) WHERE no = 5 RETURNING o_id_old;
-- A reference that must not be NULL says so.
ALTER TABLE log ALTER COLUMN o_id SET NOT NULL;
\echo :LAST_ERROR_SQLSTATE
DELETE FROM log WHERE o_id IS NULL;
ALTER TABLE log ALTER COLUMN o_id SET NOT NULL;
UPDATE log SET o_id_old = NULL WHERE no = 6;
\echo :LAST_ERROR_SQLSTATE
SELECT o_id_old FROM log WHERE no = 6;
SELECT table_name, check_name FROM key_migration_verify('o') WHERE NOT ok;
CALL key_migration_finalize('o', confirm => 'o');
SELECT key_migration_phase('o');
-- The old ids are dropped after the cut-over, as a tool does that compares the tables with a model.
SELECT make();
CREATE TABLE line (o_id bigint REFERENCES o, pos integer, PRIMARY KEY (o_id, pos));
INSERT INTO line SELECT i, 1 FROM generate_series(1, 20) AS i;
ALTER TABLE log ALTER COLUMN o_id SET NOT NULL;
COMMENT ON COLUMN c.o_id IS 'the order';
\set ECHO none
SELECT statement FROM key_migration_statements('o') \gexec
\set ECHO all
CALL key_migration_cutover('o');
ALTER TABLE o DROP COLUMN id_old CASCADE;
INSERT INTO o (n) VALUES (7);
SELECT key_migration_phase('o');
SELECT DISTINCT migration, phase FROM key_migration_progress WHERE migration = 'o'::regclass;
\set VERBOSITY default
CALL key_migration_rollback('o');
CALL key_migration_finalize('o', confirm => 'o');
-- Nothing would fill the old id in a primary key.
CALL key_migration_finalize('o', confirm => 'o', keep_old_ids => true);
\set VERBOSITY terse
ALTER TABLE line DROP CONSTRAINT line_pkey, ADD CONSTRAINT line_pkey PRIMARY KEY USING INDEX line_pkey_new;
CALL key_migration_finalize('o', confirm => 'o', keep_old_ids => true);
SELECT key_migration_phase('o');
SELECT * FROM remains;
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid IN ('o'::regclass, 'c'::regclass, 'log'::regclass, 'line'::regclass) AND contype <> 'n' ORDER BY 1, 2;
SELECT attrelid::regclass, attname, col_description(attrelid, attnum) FROM pg_attribute
WHERE attrelid IN ('o'::regclass, 'c'::regclass) AND attname LIKE '%id' ORDER BY 1, 2;
INSERT INTO o (n) VALUES (80);
INSERT INTO c (o_id) SELECT id FROM o WHERE n = 80;
INSERT INTO line (o_id, pos) SELECT id, 1 FROM o WHERE n = 80;
INSERT INTO log (o_id) SELECT id FROM o WHERE n = 80;
UPDATE log SET o_id = o_id;
-- The next one begins from these keys.
SELECT count(*) > 0 AS has_steps FROM key_migration_plan('c', without_timestamp => true) WHERE step IS NOT NULL;
DROP SCHEMA dropped CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
