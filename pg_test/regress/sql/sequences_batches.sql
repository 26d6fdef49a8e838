-- One sequence a transaction.
-- trap_s18 trap_s20 trap_s35
\set SHOW_CONTEXT never
CREATE SCHEMA batch;
SET search_path = batch, public;
CREATE TABLE a (id serial PRIMARY KEY);
CREATE TABLE b (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
INSERT INTO a SELECT FROM generate_series(1, 3);
CREATE SEQUENCE full_up AS smallint;
SELECT setval('full_up', 32767);
CREATE SEQUENCE own_step INCREMENT 50;
-- What fails is a warning, and the others are set up.
CALL setup_interleaved_sequences_in_batches(2, schemas => '{batch}');
SELECT sequence, in_order, findings, next_value FROM interleaved_sequences WHERE sequence::text !~ '\.' ORDER BY sequence::text;
SELECT node, nodes, state, sequences, altered, failed, current_sequence, tries, finished_at >= started_at AS in_time
FROM interleaved_setup_progress;
-- Again: what is in order takes no transaction, and nothing is written.
DROP SEQUENCE full_up;
SELECT xmin AS progress_row FROM keyspace_internal.interleaved_setup \gset
CALL setup_interleaved_sequences_in_batches(2, schemas => '{batch}');
SELECT xmin = :'progress_row' AS same_row FROM keyspace_internal.interleaved_setup;
-- New ones alone.
CREATE SEQUENCE later;
CALL setup_interleaved_sequences_in_batches(2, schemas => '{batch}', feeds => '{"later": ["a.id"]}');
SELECT nextval('later');
SELECT action, count(*) FROM setup_interleaved_sequences(2, schemas => '{batch}') GROUP BY action ORDER BY action;
-- Whatever the default level of isolation is.
CREATE SEQUENCE isolated;
SET default_transaction_isolation = 'repeatable read';
CALL setup_interleaved_sequences_in_batches(2, sequences => '{isolated}');
RESET default_transaction_isolation;
-- A user's event trigger that refuses is a failure of that sequence.
CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity = 'batch.refused') THEN
        RAISE 'not on a Friday';
    END IF;
END $$;
CREATE EVENT TRIGGER regress_keyspace_trigger ON ddl_command_end WHEN TAG IN ('ALTER SEQUENCE') EXECUTE FUNCTION refuse();
CREATE SEQUENCE refused;
CREATE SEQUENCE taken;
CALL setup_interleaved_sequences_in_batches(2, sequences => '{refused, taken}');
SELECT sequence, in_order FROM interleaved_sequences WHERE sequence IN ('refused'::regclass, 'taken'::regclass);
DROP EVENT TRIGGER regress_keyspace_trigger;
-- fault_b23_skipped_in_batches: the warning is the one of the form in one transaction, and it is not counted as unchanged.
CREATE SEQUENCE pooled INCREMENT 50;
CREATE SEQUENCE drawn;
CREATE FUNCTION draws() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('batch.drawn') $$;
CALL setup_interleaved_sequences_in_batches(2, sequences => '{pooled, drawn, taken}');
SELECT sequence, action FROM setup_interleaved_sequences(2, sequences => '{pooled, drawn, taken}');
DROP FUNCTION draws;
DROP SEQUENCE pooled, drawn;
-- A reset forgets the set-up with the node: nothing is left to be called again.
BEGIN;
SELECT count(*) AS told FROM interleaved_setup_progress;
SELECT count(*) > 0 AS reset FROM reset_interleaved_sequences();
SELECT count(*) AS told FROM interleaved_setup_progress;
ROLLBACK;
-- Who is not the owner of the database.
CREATE ROLE regress_keyspace_user;
GRANT USAGE, CREATE ON SCHEMA batch TO regress_keyspace_user;
SET ROLE regress_keyspace_user;
CREATE SEQUENCE mine;
CALL setup_interleaved_sequences_in_batches(2, sequences => '{mine}');
\echo :LAST_ERROR_SQLSTATE
SELECT action FROM setup_interleaved_sequences(2, sequences => '{mine}');
RESET ROLE;
-- No lock of the set-up is left.
SELECT count(*) FROM pg_locks WHERE classid = 'keyspace_internal.interleaved_setup'::regclass;
SET client_min_messages = warning;
DROP SCHEMA batch CASCADE;
DROP ROLE regress_keyspace_user;
