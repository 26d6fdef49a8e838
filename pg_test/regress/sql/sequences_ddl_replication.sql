-- trap_s15: where DDL is replicated, what alters sequences stays on this node. The tools are not here: stand-ins have
-- their names, and their settings are names that nobody has claimed.
SET client_min_messages = warning;
CREATE SCHEMA ddl;
SET search_path = ddl, public;
CREATE FUNCTION setting(name text) RETURNS text LANGUAGE sql AS $$ SELECT coalesce(nullif(current_setting(name, true), ''), 'none') $$;
CREATE TABLE seen (n serial, spock text, pgactive text, bdr_skip text, bdr text);
CREATE FUNCTION see() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ddl.seen (spock, pgactive, bdr_skip, bdr)
    SELECT ddl.setting('spock.enable_ddl_replication'), ddl.setting('pgactive.skip_ddl_replication'),
           ddl.setting('bdr.skip_ddl_replication'), ddl.setting('bdr.ddl_replication');
END $$;
SELECT count(*) FROM setup_interleaved_sequences(2, sequences => '{seen_n_seq}');
CREATE EVENT TRIGGER regress_keyspace_ddl ON ddl_command_end WHEN TAG IN ('ALTER SEQUENCE') EXECUTE FUNCTION see();
CREATE SEQUENCE s;
CREATE SEQUENCE t;
-- Without the settings nothing is set.
SELECT action FROM setup_interleaved_sequences(2, sequences => '{s}');
SELECT action FROM reset_interleaved_sequences('{s}');
SELECT DISTINCT spock, pgactive, bdr_skip, bdr FROM seen;
TRUNCATE seen;
-- fault_a01_settings_of_what_is_not_installed: they are left alone.
SET spock.enable_ddl_replication = on;
SET bdr.ddl_replication = 'all';
SELECT action FROM setup_interleaved_sequences(2, sequences => '{s}');
SELECT count(*) FROM check_interleaved_sequences() WHERE finding LIKE 'DDL%';
SELECT action FROM reset_interleaved_sequences('{s}');
SELECT DISTINCT spock, pgactive, bdr_skip, bdr FROM seen;
TRUNCATE seen;
CREATE EXTENSION spock;
CREATE EXTENSION pgactive;
CREATE EXTENSION bdr;
-- Each is set while sequences are altered, and is afterwards what it was.
SET spock.enable_ddl_replication = on;
SET pgactive.skip_ddl_replication = off;
SET bdr.skip_ddl_replication = false;
SET bdr.ddl_replication = 'all';
SELECT action FROM setup_interleaved_sequences(2, sequences => '{s}');
SELECT DISTINCT spock, pgactive, bdr_skip, bdr FROM seen;
SELECT setting('spock.enable_ddl_replication'), setting('pgactive.skip_ddl_replication'),
       setting('bdr.skip_ddl_replication'), setting('bdr.ddl_replication');
TRUNCATE seen;
CALL setup_interleaved_sequences_in_batches(2, sequences => '{t}');
SELECT count(*) FROM reset_interleaved_sequences('{s, t}');
SELECT count(*), spock, pgactive, bdr_skip, bdr FROM seen GROUP BY 2, 3, 4, 5;
TRUNCATE seen;
-- One's own ALTER goes wherever it went.
ALTER SEQUENCE s INCREMENT 1;
SELECT spock, pgactive, bdr_skip, bdr FROM seen;
TRUNCATE seen;
-- An error takes them back, too.
\set SHOW_CONTEXT never
CREATE FUNCTION fail() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE EVENT TRIGGER regress_keyspace_fail ON ddl_command_end WHEN TAG IN ('ALTER SEQUENCE') EXECUTE FUNCTION fail();
SELECT action FROM setup_interleaved_sequences(2, sequences => '{s}');
SELECT setting('spock.enable_ddl_replication'), setting('pgactive.skip_ddl_replication');
BEGIN;
SAVEPOINT a;
SELECT action FROM setup_interleaved_sequences(2, sequences => '{s}');
ROLLBACK TO a;
SELECT setting('spock.enable_ddl_replication'), setting('pgactive.skip_ddl_replication');
COMMIT;
DROP EVENT TRIGGER regress_keyspace_fail;
-- What is local already is left as it is written.
SET spock.enable_ddl_replication = 'no';
SET pgactive.skip_ddl_replication = '1';
SET bdr.skip_ddl_replication = 'true';
SET bdr.ddl_replication = 'OFF';
SELECT action FROM setup_interleaved_sequences(2, sequences => '{s}');
SELECT spock, pgactive, bdr_skip, bdr FROM seen;
-- New sequences: what sees commands sees nothing to carry.
SET spock.enable_ddl_replication = on;
TRUNCATE seen;
SELECT interleave_new_sequences(true);
CREATE SEQUENCE fresh;
SELECT count(*) FROM seen;
SELECT increment_by FROM pg_sequences WHERE schemaname = 'ddl' AND sequencename = 'fresh';
SELECT interleave_new_sequences(false);
DROP EVENT TRIGGER regress_keyspace_ddl;
-- The check tells of it.
BEGIN;
SET LOCAL spock.enable_ddl_replication = on;
SELECT severity, finding, detail FROM check_interleaved_sequences() WHERE finding LIKE 'DDL%';
ROLLBACK;
DROP EXTENSION spock, pgactive, bdr;
DROP SCHEMA ddl CASCADE;
