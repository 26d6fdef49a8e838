-- Installed in a schema with an odd name, used, dropped, and installed again.
CREATE DATABASE regress_life;
\c regress_life
SET client_min_messages = warning;
CREATE SCHEMA "Key; Space {1} - %I";
CREATE EXTENSION pg_keyspace SCHEMA "Key; Space {1} - %I";
-- It stays where it is.
CREATE SCHEMA other;
ALTER EXTENSION pg_keyspace SET SCHEMA other;
\echo :LAST_ERROR_SQLSTATE
ALTER SCHEMA "Key; Space {1} - %I" RENAME TO elsewhere;
-- fault_a14_a_schema_that_is_renamed: everything goes on under the new name, and nothing is looked for under the old one.
CREATE SCHEMA "Key; Space {1} - %I";
CREATE FUNCTION "Key; Space {1} - %I".key_migration_check(text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a trap'; END $$;
CREATE FUNCTION "Key; Space {1} - %I".setup_interleaved_sequences_check() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a trap'; END $$;
CREATE TABLE "Key; Space {1} - %I".key_migration_column (trap text);
CREATE TABLE renamed (id serial PRIMARY KEY, created_at timestamptz NOT NULL);
CALL elsewhere.setup_interleaved_sequences_in_batches(1, 2);
SELECT elsewhere.key_migration_create('renamed');
SELECT statement FROM elsewhere.key_migration_statements('renamed') \gexec
SELECT phase FROM elsewhere.key_migration_progress;
SELECT count(*) FROM elsewhere.key_migration_usage('renamed');
CALL elsewhere.key_migration_cutover('renamed');
CALL elsewhere.key_migration_rollback('renamed');
CALL elsewhere.key_migration_rollback('renamed', confirm => 'renamed');
DROP TABLE renamed;
SELECT count(*) FROM elsewhere.reset_interleaved_sequences();
DROP SCHEMA "Key; Space {1} - %I" CASCADE;
ALTER SCHEMA elsewhere RENAME TO "Key; Space {1} - %I";
-- So is the schema of the tables, which is known by the extension that it belongs to.
ALTER SCHEMA keyspace_internal RENAME TO "Hidden; Space";
CREATE SCHEMA keyspace_internal;
CREATE SEQUENCE found_again;
SELECT action FROM "Key; Space {1} - %I".setup_interleaved_sequences(1, 2);
SELECT node FROM "Key; Space {1} - %I".interleaved_node;
SELECT count(*) FROM "Key; Space {1} - %I".reset_interleaved_sequences();
DROP SEQUENCE found_again;
DROP SCHEMA keyspace_internal;
ALTER SCHEMA "Hidden; Space" RENAME TO keyspace_internal;
CREATE SCHEMA shop;
SET search_path = shop, "Key; Space {1} - %I";
CREATE SEQUENCE ticket_no;
CREATE TABLE ticket (id bigint PRIMARY KEY DEFAULT partitioned_nextval('ticket_no'), made uuid DEFAULT "Key; Space {1} - %I".uuidv7());
CREATE TABLE parcel (id ulid PRIMARY KEY DEFAULT ulid(), no serial, note text);
CREATE TABLE orders (id serial PRIMARY KEY);
CREATE VIEW latest AS SELECT max(id) AS id FROM parcel;
CREATE FUNCTION next_ticket() RETURNS bigint LANGUAGE sql AS 'SELECT partitioned_nextval(''ticket_no'')';
-- From where nothing of ours is in the search_path.
SET search_path = '';
SELECT sequence, action, restart FROM "Key; Space {1} - %I".setup_interleaved_sequences(2, 3) ORDER BY sequence::text COLLATE "C";
SELECT action FROM "Key; Space {1} - %I".guard_interleaved_sequences('{shop}');
CALL "Key; Space {1} - %I".setup_interleaved_sequences_in_batches(2, 3);
SELECT in_order FROM "Key; Space {1} - %I".interleaved_sequences;
SELECT * FROM "Key; Space {1} - %I".check_interleaved_sequences();
SELECT node, nodes FROM "Key; Space {1} - %I".interleaved_node;
INSERT INTO shop.ticket DEFAULT VALUES RETURNING id % 3 AS class, pg_catalog.substr(made::text, 15, 1) AS version;
INSERT INTO shop.parcel DEFAULT VALUES RETURNING no % 3 AS class;
SELECT state FROM "Key; Space {1} - %I".interleaved_setup_progress;
-- A key migration, whose statements name the schema.
CREATE TABLE shop."Old; Key {2} - %I" (id serial PRIMARY KEY, created_at timestamp with time zone);
INSERT INTO shop."Old; Key {2} - %I" (created_at) VALUES ('2024-01-01 00:00:00+00');
SELECT "Key; Space {1} - %I".key_migration_create('shop."Old; Key {2} - %I"', target => 'ulid');
SELECT statement FROM "Key; Space {1} - %I".key_migration_statements('shop."Old; Key {2} - %I"') \gexec
CALL "Key; Space {1} - %I".key_migration_cutover('shop."Old; Key {2} - %I"');
SELECT count(id) FROM shop."Old; Key {2} - %I";
CALL "Key; Space {1} - %I".key_migration_finalize('shop."Old; Key {2} - %I"', confirm => 'Old; Key {2} - %I');
DROP TABLE shop."Old; Key {2} - %I";
-- What uses it keeps it from being dropped.
SET search_path = shop;
\set VERBOSITY terse
DROP EXTENSION pg_keyspace;
\echo :LAST_ERROR_SQLSTATE
DROP SCHEMA "Key; Space {1} - %I";
\echo :LAST_ERROR_SQLSTATE
DROP TYPE "Key; Space {1} - %I".ulid;
\echo :LAST_ERROR_SQLSTATE
DROP TABLE keyspace_internal.interleaved_node;
\echo :LAST_ERROR_SQLSTATE
DROP SCHEMA keyspace_internal;
\echo :LAST_ERROR_SQLSTATE
-- With all that, rows, sequences and their class stay.
DROP EXTENSION pg_keyspace CASCADE;
SELECT count(*) FROM ticket;
SELECT column_name, column_default FROM information_schema.columns WHERE table_schema = 'shop' ORDER BY table_name COLLATE "C", ordinal_position;
SELECT sequencename, increment_by, start_value FROM pg_sequences WHERE schemaname = 'shop' ORDER BY 1;
SELECT count(*) AS triggers FROM pg_trigger WHERE NOT tgisinternal;
SELECT count(*) AS left_behind FROM pg_proc WHERE probin ~ 'pg_keyspace';
SELECT count(*) AS left_behind FROM pg_class WHERE relnamespace = '"Key; Space {1} - %I"'::regnamespace;
SELECT count(*) AS left_behind FROM pg_event_trigger;
SELECT count(*) AS left_behind FROM pg_namespace WHERE nspname = 'keyspace_internal';
-- fault_b01_a_schema_that_is_empty: tools create the schemas that they have found before the extensions.
CREATE SCHEMA keyspace_internal;
CREATE TABLE keyspace_internal.somebodys (id int);
CREATE EXTENSION pg_keyspace SCHEMA other;
\echo :LAST_ERROR_SQLSTATE
DROP TABLE keyspace_internal.somebodys;
-- Installed again it knows nothing of before, and sees what is in use.
CREATE EXTENSION pg_keyspace SCHEMA other;
SELECT count(*) FROM other.interleaved_node;
SELECT sequence, action, restart, old_increment FROM other.setup_interleaved_sequences(1, 3) ORDER BY sequence::text COLLATE "C";
-- A function that is written as text is no dependency: it is found missing when it is called.
SELECT next_ticket();
\echo :LAST_ERROR_SQLSTATE
\c pg_keyspace_regression
DROP DATABASE regress_life;
