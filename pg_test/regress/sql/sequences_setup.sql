-- What a set-up does, and what keeps the class afterwards.
-- trap_s01 trap_s03 trap_s05 trap_s09 trap_s10 trap_s17 trap_s22 trap_s26 trap_s37
SET client_min_messages = warning;
CREATE SCHEMA setup;
SET search_path = setup, public;

CREATE TABLE one (id serial PRIMARY KEY);
INSERT INTO one SELECT FROM generate_series(1, 3);
SELECT action, in_use, restart, detail FROM setup_interleaved_sequences(2, schemas => '{setup}');
INSERT INTO one DEFAULT VALUES RETURNING id;
-- TRUNCATE ... RESTART IDENTITY and a bare RESTART go back to START, which is of the class, too.
TRUNCATE one RESTART IDENTITY;
INSERT INTO one DEFAULT VALUES RETURNING id;
ALTER SEQUENCE one_id_seq RESTART;
SELECT nextval('one_id_seq');
-- setval(max(id)), as ORMs do it, moves a sequence out of its class: a second run brings it back, and never lower.
SELECT setval('one_id_seq', 7);
SELECT action, in_use, restart FROM setup_interleaved_sequences(2, schemas => '{setup}');
SELECT nextval('one_id_seq');
-- Rows above the sequence: those of another node change nothing, those of its own class do.
INSERT INTO one VALUES (101);
SELECT action, in_use, restart FROM setup_interleaved_sequences(2, schemas => '{setup}');
INSERT INTO one VALUES (100);
SELECT action, in_use, restart, detail FROM setup_interleaved_sequences(2, schemas => '{setup}');
-- A cycle stays in the class.
CREATE SEQUENCE wheel MAXVALUE 6 CYCLE;
SELECT action, detail FROM setup_interleaved_sequences(2, sequences => '{wheel}');
SELECT nextval('wheel') FROM generate_series(1, 7);
-- A cache is kept.
CREATE SEQUENCE cached CACHE 20;
SELECT nextval('cached');
SELECT action, in_use, restart FROM setup_interleaved_sequences(2, sequences => '{cached}');
SELECT nextval('cached') FROM generate_series(1, 3);
-- A gap is a number of ids.
CREATE SEQUENCE spaced;
SELECT restart FROM setup_interleaved_sequences(2, sequences => '{spaced}', gap => 1000);
-- Another step is left alone and said.
CREATE SEQUENCE pooled INCREMENT 50;
SELECT action, restart, new_increment, detail FROM setup_interleaved_sequences(2, sequences => '{pooled}');
-- On request it becomes blocks: every other one of its values, and the ids of a block are its node's alone.
CREATE TABLE hibernate (id bigint PRIMARY KEY);
INSERT INTO hibernate SELECT g FROM generate_series(1, 70) AS g;
SELECT nextval('pooled');
SELECT action, in_use, restart, new_increment, detail
FROM setup_interleaved_sequences(2, sequences => '{pooled}', blocks => true, feeds => '{"pooled": ["hibernate.id"]}');
SELECT nextval('pooled') FROM generate_series(1, 3);
SELECT action, detail FROM setup_interleaved_sequences(2, sequences => '{pooled}', blocks => true);
SELECT action, detail FROM setup_interleaved_sequences(2, sequences => '{pooled}');
-- Nothing left: refused before anything is changed.
CREATE SEQUENCE full_up AS smallint;
SELECT setval('full_up', 32767);
CREATE SEQUENCE untouched;
SELECT sequence, action, values_left, detail FROM setup_interleaved_sequences(2, sequences => '{full_up, untouched}', dry_run => true);
SELECT action FROM setup_interleaved_sequences(2, sequences => '{full_up, untouched}');
\echo :LAST_ERROR_SQLSTATE
SELECT increment_by FROM pg_sequences WHERE schemaname = 'setup' AND sequencename = 'untouched';
-- Excluded ones are not mentioned.
SELECT sequence, action FROM setup_interleaved_sequences(2, schemas => '{setup}', exclude => '{full_up, pooled, one_id_seq}');
-- It is transactional.
CREATE SEQUENCE undone;
BEGIN;
SELECT action FROM setup_interleaved_sequences(2, sequences => '{undone}');
ROLLBACK;
SELECT increment_by, last_value FROM pg_sequences WHERE schemaname = 'setup' AND sequencename = 'undone';

-- Row-level security hides rows from the owner where it is forced: an error, not a restart that is too low.
CREATE ROLE regress_keyspace_owner;
GRANT USAGE, CREATE ON SCHEMA setup TO regress_keyspace_owner;
SET ROLE regress_keyspace_owner;
CREATE TABLE hidden (id serial PRIMARY KEY);
INSERT INTO hidden SELECT FROM generate_series(1, 10);
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
ALTER TABLE hidden FORCE ROW LEVEL SECURITY;
CREATE POLICY half ON hidden USING (id <= 5);
SET row_security = on;
SELECT action FROM setup_interleaved_sequences(2, sequences => '{hidden_id_seq}');
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE hidden NO FORCE ROW LEVEL SECURITY;
SELECT action, in_use, restart FROM setup_interleaved_sequences(2, sequences => '{hidden_id_seq}');
RESET ROLE;
-- The caller's settings are as they were.
SHOW search_path;
SHOW row_security;
SHOW lock_timeout;
DROP SCHEMA setup CASCADE;
DROP ROLE regress_keyspace_owner;
