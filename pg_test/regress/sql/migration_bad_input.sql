-- What cannot be migrated, and steps out of order: a clear error, and no trace.
-- trap_m01 trap_m03 trap_m16 trap_m21
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA bad;
SET search_path = bad, public;
CREATE TABLE no_key (id integer, created_at timestamptz);
CREATE TABLE two (a integer, b integer, created_at timestamptz, PRIMARY KEY (a, b));
CREATE TABLE texts (id character(8) PRIMARY KEY, created_at timestamptz);
CREATE TABLE no_time (id integer PRIMARY KEY, created_at timestamp);
CREATE TABLE times (id integer PRIMARY KEY, made timestamptz, changed timestamptz);
CREATE TABLE parts (id integer PRIMARY KEY, created_at timestamptz) PARTITION BY RANGE (id);
CREATE TABLE taken (id integer PRIMARY KEY, created_at timestamptz, id_new text);
CREATE TABLE good (id integer PRIMARY KEY, created_at timestamptz NOT NULL);
CREATE TABLE child (id integer PRIMARY KEY REFERENCES good, created_at timestamptz, other real);
CREATE VIEW looks AS SELECT * FROM good;
RESET client_min_messages;
SELECT key_migration_create('no_key');
SELECT key_migration_create('two');
SELECT key_migration_create('texts');
SELECT key_migration_create('no_time');
SELECT key_migration_create('times');
SELECT key_migration_create('parts');
SELECT key_migration_create('looks');
SELECT key_migration_create('taken');
SELECT key_migration_create('good', timestamp_column => 'no_such');
SELECT key_migration_create('good', timestamp_column => 'id');
SELECT key_migration_create('good', target => 'text');
SELECT key_migration_create('good', include_columns => '{nothing}');
SELECT key_migration_create('good', new_suffix => '');
SELECT key_migration_create('good', new_suffix => '_old');
SELECT key_migration_create(NULL);
SELECT key_migration_create('pg_class');
SELECT * FROM key_migration_statements('good');
SELECT * FROM key_migration_verify('good');
SELECT key_migration_phase('good');
CALL key_migration_advance('good');
CALL key_migration_rollback('good');
SELECT count(*) FROM keyspace_internal.key_migration;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT key_migration_create('good');
ROLLBACK;
BEGIN READ ONLY;
SELECT key_migration_create('good');
ROLLBACK;
-- A plan needs nothing of that.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT count(*) > 10 AS steps FROM key_migration_plan('good');
ROLLBACK;
SELECT key_migration_create('good');
SELECT key_migration_create('good');
SELECT key_migration_create('child');
SELECT key_migration_add_reference('good', 'child', '{other}');
SELECT key_migration_add_reference('good', 'child', '{no_such}');
SELECT key_migration_add_reference('good', 'child', '{}');
SELECT key_migration_set('good', batch_pages => 0);
SELECT key_migration_set('good', pause => '-1 s');
SELECT key_migration_set('good', lock_timeout => '0');
SELECT key_migration_set('good', retries => -1);
SELECT * FROM key_migration_verify('good');
SELECT * FROM key_migration_statements('good', through => 'cut over');
SELECT * FROM key_migration_statements('good', through => 'everything');
CALL key_migration_advance('good', through => NULL);
CALL key_migration_advance('good', max_pages => 0);
CALL key_migration_cutover('good');
CALL key_migration_finalize('good', confirm => NULL);
BEGIN;
CALL key_migration_advance('good');
ROLLBACK;
SELECT keyspace_internal.key_migration_key();
-- Whatever the default level of isolation is.
SET default_transaction_isolation = 'serializable';
CALL key_migration_advance('good', through => 'prepared');
RESET default_transaction_isolation;
-- A key once given stays; a client that writes all of a row it read before does not take it away.
INSERT INTO good VALUES (1, '2024-01-01 00:00:00+00');
UPDATE good SET id_new = NULL RETURNING uuidv7_to_id(id_new, 'bad.good');
UPDATE good SET id_new = 'ffffffff-ffff-4fff-bfff-ffffffffffff';
-- Numbers that do not fit into a key, and times that do not.
INSERT INTO good VALUES (-1, 'infinity');
SELECT uuidv7_to_timestamp(id_new) = 'epoch' AS first, uuidv7_to_id(id_new, 'bad.good') FROM good WHERE id = -1;
-- A trigger on a copy of the table binds columns that may be others.
CREATE TABLE copied (LIKE good);
DO $$ BEGIN
    EXECUTE regexp_replace((SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'good'::regclass AND tgname ~ 'insert'), 'ON bad.good', 'ON bad.copied');
END $$;
INSERT INTO copied VALUES (1, now());
-- Who is not the owner.
CREATE ROLE regress_keyspace_user;
GRANT USAGE ON SCHEMA bad TO regress_keyspace_user;
GRANT INSERT ON child, good TO regress_keyspace_user;
SET ROLE regress_keyspace_user;
SELECT key_migration_create('good');
CALL key_migration_advance('good');
SELECT key_migration_set('good', paused => true);
-- He writes without a privilege on what the triggers read.
INSERT INTO good VALUES (2, now());
INSERT INTO child VALUES (2);
RESET ROLE;
SELECT c.id_new = g.id_new AS fits FROM child c JOIN good g USING (id) WHERE id = 2;
-- Whoever has policies that hide rows from himself learns of it before he begins.
CREATE TABLE hidden (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL);
ALTER TABLE hidden OWNER TO regress_keyspace_user;
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SET ROLE regress_keyspace_user;
SELECT action, detail FROM key_migration_plan('hidden') WHERE step IS NULL AND action <> 'note';
RESET ROLE;
SELECT action, detail FROM key_migration_plan('hidden') WHERE step IS NULL AND action <> 'note';
-- No trace is left.
SET client_min_messages = warning;
CALL key_migration_rollback('good');
SELECT count(*) FROM keyspace_internal.key_migration;
SELECT attrelid::regclass, attname FROM pg_attribute WHERE attrelid IN ('good'::regclass, 'child'::regclass) AND attnum > 0 AND NOT attisdropped ORDER BY 1, attnum;
SELECT tgname FROM pg_trigger WHERE tgrelid IN ('good'::regclass, 'child'::regclass) AND NOT tgisinternal;
SET client_min_messages = warning;
-- An argument of type regclass can be any number: an error that says so, and no internal one.
\set VERBOSITY sqlstate
SELECT key_migration_plan(0);
SELECT key_migration_plan(4294967295::regclass);
SELECT key_migration_create(0);
SELECT key_migration_add_key(0, 'good');
SELECT key_migration_add_key('good', 0);
SELECT key_migration_add_reference(0, 'good', '{customer_id}');
SELECT key_migration_add_reference('good', 0, '{customer_id}');
SELECT key_migration_add_reference('good', 'good', '{customer_id}', 0);
SELECT key_migration_set(0);
SELECT key_migration_statements(0);
SELECT key_migration_phase(0);
SELECT key_migration_verify(0);
SELECT key_migration_usage(0);
CALL key_migration_advance(0);
CALL key_migration_cutover(0);
CALL key_migration_rollback(0);
CALL key_migration_finalize(0, confirm => 'good');
SELECT setup_interleaved_sequences(1, 2, sequences => '{0}');
SELECT setup_interleaved_sequences(1, 2, exclude => '{0}');
SELECT reset_interleaved_sequences('{0}');
SELECT guard_interleaved_sequences(tables => '{0}', dry_run => true);
SELECT unguard_interleaved_sequences(exclude => '{0}', dry_run => true);
\set VERBOSITY terse
SELECT key_migration_plan(0);
DROP SCHEMA bad CASCADE;
DROP ROLE regress_keyspace_user;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
