-- Names in a database of another encoding are those of the same letters.
-- trap_k16
SET client_min_messages = warning;
SELECT current_database() AS first \gset
CREATE DATABASE keyspace_sequences_latin1 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0;
\c keyspace_sequences_latin1
SET client_min_messages = warning;
SET client_encoding = 'UTF8';
CREATE EXTENSION pg_keyspace;
CREATE TABLE "café" ("numéro" serial PRIMARY KEY, other int);
INSERT INTO "café" (other) VALUES (1), (2);
SELECT sequence, action, in_use, restart, detail, fed_columns, ddl FROM setup_interleaved_sequences(2, dry_run => true);
SELECT sequence, action, in_use, restart FROM setup_interleaved_sequences(2, feeds => '{"\"café_numéro_seq\"": ["\"café\".other"]}');
SELECT sequence, in_order, fed_columns FROM interleaved_sequences;
INSERT INTO "café" VALUES (10);
SELECT finding, detail FROM check_interleaved_sequences();
SELECT * FROM guard_interleaved_sequences('{public}', '{"\"café\""}');
INSERT INTO "café" VALUES (11);
SELECT * FROM unguard_interleaved_sequences('{public}', '{"\"café\""}');
SELECT sequence, action, restart FROM reset_interleaved_sequences();
-- Messages show such letters, also those of PostgreSQL that are caught, and those in hints.
-- fault_b25_names_in_any_encoding
SELECT setup_interleaved_sequences(2, sequences => '{"\"café\""}');
SELECT setup_interleaved_sequences(2, schemas => '{"é"}');
-- New sequences, too; also where a name is no text at all.
SELECT count(*) FROM setup_interleaved_sequences(2);
SELECT interleave_new_sequences(true);
CREATE TABLE "thé" ("numéro" serial PRIMARY KEY);
SET client_min_messages = notice;
CREATE SEQUENCE "à part" INCREMENT 50;
SET client_min_messages = warning;
SELECT sequence, increment FROM interleaved_sequences WHERE sequence::text LIKE '%th%';
CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE 'pas touché' USING DETAIL = 'Détail.', HINT = 'Été.'; END $$;
CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN tag IN ('ALTER SEQUENCE') EXECUTE FUNCTION refuse();
ALTER EVENT TRIGGER refuse DISABLE;
ALTER SEQUENCE "thé_numéro_seq" INCREMENT 1;
ALTER EVENT TRIGGER refuse ENABLE;
\set SHOW_CONTEXT never
CALL setup_interleaved_sequences_in_batches(2, sequences => '{"\"thé_numéro_seq\""}');
DROP EVENT TRIGGER refuse;
CREATE DATABASE keyspace_sequences_ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0;
\c keyspace_sequences_ascii
SET client_min_messages = warning;
CREATE EXTENSION pg_keyspace;
SELECT count(*) FROM setup_interleaved_sequences(2);
SELECT interleave_new_sequences(true);
DO $$ BEGIN EXECUTE E'CREATE TABLE "caf\xe9" (id serial)'; END $$;
SELECT seqincrement FROM pg_sequence;
-- What no encoding can tell is skipped and reported, and the others are set up.
-- fault_b25_names_in_any_encoding
CREATE TABLE plain (id serial);
CREATE TABLE fed (id int DEFAULT nextval('plain_id_seq'));
DO $$ BEGIN EXECUTE E'ALTER TABLE fed RENAME TO "f\xe9d"'; EXECUTE E'CREATE SEQUENCE "q\xe9"'; END $$;
SELECT count(*) FROM setup_interleaved_sequences(2, dry_run => true);
SELECT reset_interleaved_sequences() IS NOT NULL AS is_reset;
SELECT action, detail, fed_columns, ddl FROM setup_interleaved_sequences(1, 2) ORDER BY ddl, fed_columns;
SELECT oid AS excluded FROM pg_class WHERE relname::text = E'q\xe9' \gset
SET client_min_messages = notice;
CALL setup_interleaved_sequences_in_batches(1, 2, exclude => ARRAY[:excluded]::regclass[]);
SET client_min_messages = warning;
SELECT in_order, findings, fed_columns FROM interleaved_sequences ORDER BY in_order, fed_columns;
SELECT severity, finding, detail, hint FROM check_interleaved_sequences();
SELECT jsonb_object_keys(interleaved_node_state() -> 'sequences' -> 'public');
SELECT action, detail FROM guard_interleaved_sequences() ORDER BY action;
SELECT count(*) FROM unguard_interleaved_sequences();
\c :first
DROP DATABASE keyspace_sequences_latin1;
DROP DATABASE keyspace_sequences_ascii;
