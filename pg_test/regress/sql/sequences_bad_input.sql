-- Bad input gets one clear error with its SQLSTATE, and changes nothing.
-- trap_s04 trap_s31 trap_s32 trap_s35
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA bad;
SET search_path = bad, public;
CREATE TABLE item (id serial PRIMARY KEY);
-- Each statement's SQLSTATE follows it.
SELECT setup_interleaved_sequences(0);
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(3, 2);
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(-1, 2);
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(1, 1);
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(1, 65536);
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, gap => -1);
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, lock_timeout => '0');
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, lock_timeout => '-1 s');
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, lock_timeout => '100 days');
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, dry_run => NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, schemas => '{bad, nowhere}');
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, schemas => ARRAY[NULL]::name[]);
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, sequences => '{item}');
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, sequences => '{no_such_seq}');
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, exclude => '{item}');
\echo :LAST_ERROR_SQLSTATE
-- Arguments that contradict each other.
SELECT setup_interleaved_sequences(2, sequences => '{item_id_seq}', exclude => '{item_id_seq}');
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, sequences => '{item_id_seq}', schemas => '{public}');
\echo :LAST_ERROR_SQLSTATE
-- Feeds that mean nothing.
SELECT setup_interleaved_sequences(2, feeds => '[]');
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, feeds => '{"item_id_seq": "item.id"}');
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, feeds => '{"item_id_seq": [1]}');
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, feeds => '{"item_id_seq": ["id"]}');
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, feeds => '{"item_id_seq": ["a.b.c.d"]}');
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, feeds => '{"item_id_seq": ["item.x y"]}');
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, feeds => '{"item_id_seq": ["item.nothing"]}');
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, feeds => '{"item_id_seq": ["nothing.id"]}');
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, feeds => '{"nothing": ["item.id"]}');
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, feeds => '{"item": ["item.id"]}');
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, feeds => '{"item_id_seq": ["item_id_seq.last_value"]}');
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, schemas => '{}');
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, sequences => '{}');
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, peers => ARRAY['{}'::jsonb]);
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, blocks => NULL);
\echo :LAST_ERROR_SQLSTATE
-- A gap beyond the type.
SELECT setup_interleaved_sequences(2, schemas => '{bad}', gap => 2147483647);
\echo :LAST_ERROR_SQLSTATE
-- The other functions.
SELECT reset_interleaved_sequences('{item}');
\echo :LAST_ERROR_SQLSTATE
SELECT reset_interleaved_sequences(dry_run => NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT reset_interleaved_sequences(lock_timeout => '-1 s');
\echo :LAST_ERROR_SQLSTATE
SELECT check_interleaved_sequences(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT check_interleaved_sequences(ARRAY['{}'::jsonb]);
\echo :LAST_ERROR_SQLSTATE
CALL setup_interleaved_sequences_in_batches(3, 2);
\echo :LAST_ERROR_SQLSTATE
CALL setup_interleaved_sequences_in_batches(2, retries => -1);
\echo :LAST_ERROR_SQLSTATE
CALL setup_interleaved_sequences_in_batches(2, retries => NULL);
\echo :LAST_ERROR_SQLSTATE
CALL setup_interleaved_sequences_in_batches(2, schemas => '{nowhere}');
\echo :LAST_ERROR_SQLSTATE
BEGIN;
CALL setup_interleaved_sequences_in_batches(2, schemas => '{bad}');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
-- A snapshot that hides what others have committed since.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT setup_interleaved_sequences(2, schemas => '{bad}');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT setup_interleaved_sequences(2, schemas => '{bad}');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
-- Read-only: only a dry run.
BEGIN READ ONLY;
SELECT action FROM setup_interleaved_sequences(2, schemas => '{bad}', dry_run => true);
SELECT setup_interleaved_sequences(2, schemas => '{bad}');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
-- No privilege: not the owner of the sequence, or not the owner of the database.
CREATE ROLE regress_keyspace_user;
GRANT USAGE, CREATE ON SCHEMA bad TO regress_keyspace_user;
GRANT SELECT ON item TO regress_keyspace_user;
SET ROLE regress_keyspace_user;
SELECT action, detail FROM setup_interleaved_sequences(2, sequences => '{item_id_seq}', dry_run => true);
SELECT setup_interleaved_sequences(2, sequences => '{item_id_seq}');
\echo :LAST_ERROR_SQLSTATE
SELECT reset_interleaved_sequences('{item_id_seq}');
CALL setup_interleaved_sequences_in_batches(2, sequences => '{item_id_seq}');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
BEGIN;
CALL keyspace_test.forget_node();
SET LOCAL ROLE regress_keyspace_user;
CREATE SEQUENCE mine;
SELECT setup_interleaved_sequences(2, sequences => '{mine}');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
-- A column that must not be read: in a dry run a row of the result.
CREATE TABLE closed (id bigint PRIMARY KEY);
CREATE SEQUENCE theirs;
ALTER TABLE closed ALTER id SET DEFAULT nextval('theirs');
ALTER SEQUENCE theirs OWNER TO regress_keyspace_user;
SET ROLE regress_keyspace_user;
SELECT action, detail FROM setup_interleaved_sequences(2, sequences => '{theirs}', dry_run => true);
SELECT setup_interleaved_sequences(2, sequences => '{theirs}');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
-- A set-up within a set-up.
CREATE FUNCTION set_up_again() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM public.setup_interleaved_sequences(2, schemas => '{bad}'); END $$;
CREATE EVENT TRIGGER regress_keyspace_trigger ON ddl_command_end WHEN TAG IN ('ALTER SEQUENCE') EXECUTE FUNCTION set_up_again();
\set VERBOSITY terse
SELECT setup_interleaved_sequences(2, sequences => '{item_id_seq}');
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY default
DROP EVENT TRIGGER regress_keyspace_trigger;
-- Nothing has changed.
SELECT increment_by, last_value FROM pg_sequences WHERE schemaname = 'bad';
DROP SCHEMA bad CASCADE;
DROP ROLE regress_keyspace_user;
