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
-- Messages show such letters by their code points.
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
CREATE DATABASE keyspace_sequences_ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0;
\c keyspace_sequences_ascii
SET client_min_messages = warning;
CREATE EXTENSION pg_keyspace;
SELECT count(*) FROM setup_interleaved_sequences(2);
SELECT interleave_new_sequences(true);
DO $$ BEGIN EXECUTE E'CREATE TABLE "caf\xe9" (id serial)'; END $$;
SELECT seqincrement FROM pg_sequence;
\c :first
DROP DATABASE keyspace_sequences_latin1;
DROP DATABASE keyspace_sequences_ascii;
