-- Positions are read from the files of the sequences, and values of columns from their indexes alone
-- where that is enough.
\pset format unaligned
\pset tuples_only on
CREATE SCHEMA sequences_reading;
SET search_path = sequences_reading, public;
\set restarts 'SELECT s.sequence, s.action, s.last_value, s.in_use, s.restart FROM setup_interleaved_sequences(2, schemas => ARRAY[''sequences_reading''], dry_run => true) AS s ORDER BY sequence::text COLLATE "C"'
\set positions 'SELECT sequence, last_value, next_value FROM interleaved_sequences WHERE sequence::text !~ ''[.]'' ORDER BY sequence::text COLLATE "C"'

-- the file: in another tablespace, of an unlogged sequence, replaced in this transaction, replaced and brought back
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE regress_reading LOCATION '';
SET default_tablespace = regress_reading;
CREATE SEQUENCE placed;
RESET default_tablespace;
SELECT t.spcname FROM pg_class AS c JOIN pg_tablespace AS t ON t.oid = c.reltablespace WHERE c.oid = 'placed'::regclass;
CREATE UNLOGGED SEQUENCE unlogged;
CREATE SEQUENCE replaced;
CREATE SEQUENCE untouched;
SELECT nextval('placed'), nextval('placed'), nextval('unlogged'), nextval('replaced'), nextval('untouched');
:positions;
BEGIN;
ALTER SEQUENCE placed RESTART 100;
ALTER SEQUENCE unlogged RESTART 200;
ALTER SEQUENCE replaced RESTART 300 INCREMENT 3;
SELECT nextval('placed'), nextval('replaced');
:positions;
SAVEPOINT before;
ALTER SEQUENCE replaced RESTART 400;
DROP SEQUENCE untouched;
:positions;
:restarts;
ROLLBACK TO before;
:positions;
ROLLBACK;
:positions;
:restarts;
DROP SEQUENCE placed, unlogged, replaced, untouched;
DROP TABLESPACE regress_reading;

-- the values: all rows visible to everybody, deleted ones, ones that were never committed, further columns that are null
CREATE TABLE plain (id bigserial PRIMARY KEY);
CREATE TABLE small (id smallserial PRIMARY KEY);
CREATE TABLE numbers (id numeric PRIMARY KEY);
CREATE SEQUENCE numbers_id_seq OWNED BY numbers.id;
CREATE TABLE falling (id int);
CREATE SEQUENCE falling_id_seq AS int OWNED BY falling.id;
CREATE INDEX ON falling (id DESC);
CREATE TABLE wide (id bigserial, a text, b text);
CREATE INDEX ON wide (id, a, b);
CREATE TABLE down (id bigint PRIMARY KEY);
CREATE SEQUENCE down_id_seq INCREMENT -1 OWNED BY down.id;
-- VACUUM knows that rows are committed once that is on disk.
SET synchronous_commit = on;
INSERT INTO plain SELECT generate_series(1, 2000);
INSERT INTO small SELECT generate_series(1, 2000);
INSERT INTO numbers SELECT generate_series(1, 2000) + 0.5;
INSERT INTO falling SELECT generate_series(1, 2000);
INSERT INTO falling VALUES (NULL);
INSERT INTO wide SELECT i, CASE WHEN i % 2 = 0 THEN 'a' END, CASE WHEN i % 3 = 0 THEN 'b' END FROM generate_series(1, 2000) AS i;
INSERT INTO down SELECT generate_series(-2000, -1);
-- Before VACUUM and after it, the same is found.
:restarts;
VACUUM plain, small, numbers, falling, wide, down;
SELECT bool_and(relallvisible > 0) FROM pg_class WHERE relnamespace = 'sequences_reading'::regnamespace AND relkind = 'r';
:restarts;
DELETE FROM plain WHERE id > 1500;
DELETE FROM small WHERE id > 1500;
DELETE FROM numbers WHERE id > 1500;
DELETE FROM falling WHERE id > 1500;
DELETE FROM wide WHERE id > 1500;
DELETE FROM down WHERE id < -1500;
BEGIN;
INSERT INTO plain VALUES (9000);
ROLLBACK;
:restarts;
VACUUM plain, small, numbers, falling, wide, down;
INSERT INTO plain VALUES (1600);
UPDATE wide SET a = 'c' WHERE id = 1500;
:restarts;
-- The same rows are told to other nodes, in every class.
SELECT s.key, s.value -> 'maximum', jsonb_array_length(s.value -> 'rows' -> 'furthest')
FROM jsonb_each(interleaved_node_state() -> 'sequences' -> 'sequences_reading') AS s ORDER BY s.key COLLATE "C";
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) FROM jsonb_object_keys(interleaved_node_state() -> 'sequences' -> 'sequences_reading');
SELECT bool_or(mode = 'SIReadLock') FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'plain'::regclass;
COMMIT;

-- what only the owner may do is not assumed of a role to which nothing is granted, and what is granted counts
CREATE ROLE regress_reader;
GRANT USAGE ON SCHEMA sequences_reading TO regress_reader;
GRANT SELECT ON plain_id_seq, plain TO regress_reader;
GRANT SELECT ON SEQUENCE small_id_seq TO regress_reader;
SET ROLE regress_reader;
SELECT sequence, last_value IS NOT NULL OR next_value IS NOT NULL, 'permission denied' = ANY (findings)
FROM interleaved_sequences WHERE sequence::text !~ '[.]' ORDER BY sequence::text COLLATE "C";
SELECT s.sequence, s.action, s.detail
FROM setup_interleaved_sequences(2, sequences => '{plain_id_seq,small_id_seq,wide_id_seq}', skip_failed => true, dry_run => true) AS s
ORDER BY sequence::text COLLATE "C";
RESET ROLE;
DROP OWNED BY regress_reader;
DROP ROLE regress_reader;

-- partitions below partitions, of which a foreign table and its parents are not read
CREATE TABLE tree (id bigserial, k int) PARTITION BY LIST (k);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES IN (1, 2) PARTITION BY LIST (k);
CREATE TABLE tree_1_1 PARTITION OF tree_1 FOR VALUES IN (1);
CREATE FOREIGN DATA WRAPPER regress_nothing;
CREATE SERVER regress_elsewhere FOREIGN DATA WRAPPER regress_nothing;
INSERT INTO tree VALUES (50, 1);
SELECT s.fed_columns, s.in_use, s.detail FROM setup_interleaved_sequences(2, sequences => '{tree_id_seq}', dry_run => true) AS s;
CREATE FOREIGN TABLE tree_1_2 PARTITION OF tree_1 FOR VALUES IN (2) SERVER regress_elsewhere;
SELECT s.fed_columns, s.in_use, s.detail FROM setup_interleaved_sequences(2, sequences => '{tree_id_seq}', dry_run => true) AS s;
ALTER TABLE tree DETACH PARTITION tree_1;
SELECT s.fed_columns, s.in_use, s.detail FROM setup_interleaved_sequences(2, sequences => '{tree_id_seq}', dry_run => true) AS s;

SET client_min_messages = warning;
DROP SERVER regress_elsewhere CASCADE;
DROP FOREIGN DATA WRAPPER regress_nothing;
DROP SCHEMA sequences_reading CASCADE;
