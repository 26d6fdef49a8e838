-- The way back from a set-up.
SET client_min_messages = warning;
CREATE SCHEMA back;
SET search_path = back, public;
CREATE TABLE one (id serial PRIMARY KEY);
INSERT INTO one SELECT FROM generate_series(1, 3);
CREATE SEQUENCE wheel MAXVALUE 9 CYCLE;
CREATE SEQUENCE down INCREMENT -1;
CREATE SEQUENCE pooled INCREMENT 50;
CREATE SEQUENCE own_step INCREMENT 2;
CREATE SEQUENCE untouched INCREMENT 7;
SELECT sequence, action, restart, ddl FROM setup_interleaved_sequences(2, schemas => '{back}', exclude => '{untouched, own_step}', blocks => true);
-- trap_s26: a step that may be a block's or that of a set-up is not guessed.
SELECT action, detail FROM setup_interleaved_sequences(2, sequences => '{own_step}', blocks => true, dry_run => true);
SELECT action, detail FROM setup_interleaved_sequences(2, sequences => '{own_step}', dry_run => true);
INSERT INTO one DEFAULT VALUES RETURNING id;
SELECT nextval('pooled'), nextval('down');
INSERT INTO one VALUES (77);
-- A second set-up does not forget what was before the first.
SELECT setval('one_id_seq', 5);
SELECT action FROM setup_interleaved_sequences(2, sequences => '{one_id_seq}');
SELECT sequence::oid::regclass, increment, former_increment, former_start, former_min_value, former_max_value, in_use, restart
FROM keyspace_internal.interleaved_sequence s WHERE s.sequence IN (SELECT oid FROM pg_class WHERE relnamespace = 'back'::regnamespace) ORDER BY s.sequence;
SELECT sequence, action, in_use, restart, old_increment, new_increment, detail
FROM reset_interleaved_sequences('{one_id_seq, wheel, untouched}', dry_run => true);
SELECT sequence, action, restart, ddl FROM reset_interleaved_sequences('{one_id_seq, wheel, down, pooled, own_step, untouched}');
INSERT INTO one DEFAULT VALUES RETURNING id;
SELECT nextval('wheel') FROM generate_series(1, 10);
SELECT nextval('down'), nextval('pooled'), nextval('own_step');
-- Some sequences alone leave the node as it is, and a second reset finds nothing to do.
SELECT node, nodes FROM interleaved_node;
SELECT sequence, action, detail FROM reset_interleaved_sequences('{one_id_seq, wheel}');
-- What was altered by hand since is left alone.
SELECT count(*) FROM setup_interleaved_sequences(2, sequences => '{wheel}');
ALTER SEQUENCE wheel INCREMENT 4;
SELECT action, detail FROM reset_interleaved_sequences('{wheel}');
ALTER SEQUENCE wheel INCREMENT 2;
SELECT action, restart FROM reset_interleaved_sequences('{wheel}');
-- All of them: the database is no node afterwards, and can become any other.
BEGIN;
SELECT count(*) FROM setup_interleaved_sequences(2, schemas => '{back}');
SELECT DISTINCT action FROM reset_interleaved_sequences() WHERE sequence = 'one_id_seq'::regclass;
SELECT count(*) FROM interleaved_node;
SELECT action, detail FROM setup_interleaved_sequences(1, 3, sequences => '{one_id_seq}');
SELECT node, nodes FROM interleaved_node;
ROLLBACK;
-- Without records, as after DROP EXTENSION, a step is not taken for that of a set-up.
BEGIN;
SELECT action FROM setup_interleaved_sequences(2, sequences => '{down}');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.interleaved_sequence');
SELECT action, detail, ddl FROM reset_interleaved_sequences('{down}');
ROLLBACK;
-- What is used up is no obstacle, and a cycle goes on where it stands.
CREATE SEQUENCE small MAXVALUE 6;
CREATE SEQUENCE cycle MAXVALUE 9 CYCLE;
CREATE TABLE slot (no int DEFAULT nextval('cycle'));
SELECT count(*) FROM setup_interleaved_sequences(2, sequences => '{small, cycle}');
SELECT nextval('small') FROM generate_series(1, 3);
INSERT INTO slot SELECT FROM generate_series(1, 6);
SELECT action, restart, detail FROM setup_interleaved_sequences(2, sequences => '{cycle}');
SELECT sequence, action, restart, detail, ddl FROM reset_interleaved_sequences('{small, cycle}');
-- trap_s31: the owner of a sequence moves it back, and who may not see where a sequence stands is not told.
CREATE ROLE regress_keyspace_owner;
GRANT USAGE, CREATE ON SCHEMA back TO regress_keyspace_owner;
SET ROLE regress_keyspace_owner;
CREATE TABLE theirs (id serial PRIMARY KEY);
SELECT action FROM setup_interleaved_sequences(2, sequences => '{theirs_id_seq}');
SELECT action, new_increment FROM reset_interleaved_sequences('{theirs_id_seq}');
SELECT sequence, action, in_use, restart, values_left, percent_used, last_value FROM reset_interleaved_sequences('{one_id_seq}', dry_run => true);
SELECT sequence, action, in_use, restart, values_left, percent_used, last_value FROM setup_interleaved_sequences(2, sequences => '{one_id_seq}', dry_run => true);
SELECT severity, finding, detail FROM check_interleaved_sequences() WHERE sequence = 'one_id_seq'::regclass;
SELECT in_use FROM keyspace_internal.interleaved_sequence;
RESET ROLE;
DROP SCHEMA back CASCADE;
DROP ROLE regress_keyspace_owner;
