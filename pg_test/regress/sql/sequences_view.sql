-- Whether every sequence keeps to its class: the view, and the check that reads the tables, too.
-- trap_s02 trap_s11 trap_s12 trap_s13 trap_s16 trap_s24 trap_s44 trap_s45 trap_s47 trap_s48
SET client_min_messages = warning;
CREATE SCHEMA watch;
SET search_path = watch, public;
CREATE TABLE fine (id serial PRIMARY KEY);
CREATE TABLE lost (id serial PRIMARY KEY);
CREATE TABLE cloned (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
CREATE TABLE clash (id serial PRIMARY KEY);
CREATE TABLE narrow (id smallint PRIMARY KEY);
CREATE SEQUENCE narrow_no OWNED BY narrow.id;
ALTER TABLE narrow ALTER id SET DEFAULT nextval('narrow_no');
CREATE SEQUENCE wheel MAXVALUE 9 CYCLE;
SELECT count(*) FROM setup_interleaved_sequences(2, schemas => '{watch}');
-- Beside the class: a table made since, a copy of a table, setval, a START and a CYCLE that were changed.
CREATE TABLE fresh (id serial PRIMARY KEY);
CREATE TABLE copied (LIKE cloned INCLUDING IDENTITY);
SELECT setval('lost_id_seq', 7);
INSERT INTO lost VALUES (9);
ALTER SEQUENCE wheel MINVALUE 1;
CREATE SEQUENCE restarted INCREMENT 2 START 1;
SELECT setval('restarted', 4);
-- Another node in a default, and this one; a default that draws on whatever the sequence gives.
CREATE SEQUENCE theirs;
CREATE TABLE ticket (id bigint PRIMARY KEY DEFAULT partitioned_nextval('theirs', 1, 2));
CREATE SEQUENCE ours;
CREATE TABLE voucher (id bigint PRIMARY KEY DEFAULT partitioned_nextval('ours'), other int DEFAULT partitioned_nextval('ours', 2, 2));
CREATE SEQUENCE drawn_on;
CREATE TABLE receipt (id bigint PRIMARY KEY DEFAULT partitioned_nextval('drawn_on'));
INSERT INTO receipt VALUES (31);
-- Another writer in the class.
INSERT INTO clash VALUES (501), (500);
-- Nearly used up.
INSERT INTO narrow VALUES (30000);
SELECT setval('narrow_no', 30000);
SELECT sequence, in_order, findings, next_value, increment, values_left, percent_used, last_value
FROM interleaved_sequences WHERE sequence::text !~ '\.' ORDER BY sequence::text;
SELECT sequence, fed_columns, node, nodes FROM interleaved_sequences WHERE 'watch.voucher.id' = ANY (fed_columns);
SELECT severity, sequence, node, peer, finding, detail FROM check_interleaved_sequences()
WHERE sequence::text !~ '\.' ORDER BY severity, sequence::text, finding;
SELECT DISTINCT finding, hint FROM check_interleaved_sequences() WHERE sequence::text !~ '\.' ORDER BY finding;
-- It keeps no lock, and works in a transaction that cannot write.
BEGIN READ ONLY;
SELECT count(*) > 10 AS all_seen FROM interleaved_sequences;
SELECT count(*) > 0 AS found FROM check_interleaved_sequences();
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN (SELECT seqrelid FROM pg_sequence);
COMMIT;
-- A set-up brings in order what it can; what is left is a matter of the schema.
SELECT sequence, action, detail FROM setup_interleaved_sequences(2, schemas => '{watch}');
SELECT sequence, in_order, findings FROM interleaved_sequences WHERE sequence::text !~ '\.' AND findings <> '{}' ORDER BY sequence::text;
SELECT severity, sequence, finding FROM check_interleaved_sequences() WHERE sequence::text !~ '\.' ORDER BY severity, sequence::text, finding;
-- Where a sequence stands is seen only by who may see it.
CREATE ROLE regress_keyspace_guest;
GRANT USAGE ON SCHEMA watch TO regress_keyspace_guest;
SET ROLE regress_keyspace_guest;
SELECT sequence, in_order, findings, next_value, last_value FROM interleaved_sequences
WHERE sequence IN ('watch.fine_id_seq'::regclass, 'watch.fresh_id_seq'::regclass);
RESET ROLE;
-- Without a node nothing is said of classes.
BEGIN;
CALL keyspace_test.forget_node();
SELECT DISTINCT in_order, node FROM interleaved_sequences;
ROLLBACK;
DROP SCHEMA watch CASCADE;
DROP ROLE regress_keyspace_guest;
