-- Statements of loaders and frameworks, as docs/guides/odd-and-even-ids.md names them.
-- trap_s54
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE SCHEMA loaded;
SET search_path = loaded, public;
CREATE TABLE item (id bigserial PRIMARY KEY, note text);
SELECT action, restart FROM setup_interleaved_sequences(2, sequences => '{item_id_seq}');
-- The last row is one of node 1.
INSERT INTO item VALUES (1), (2), (7);
SELECT action, restart, detail FROM setup_interleaved_sequences(2, sequences => '{item_id_seq}');
\set check 'SELECT severity, finding, detail, hint FROM check_interleaved_sequences() WHERE sequence = ''item_id_seq''::regclass AND severity = ''error'';'
\set again 'SELECT action, restart, detail FROM setup_interleaved_sequences(2, sequences => ''{item_id_seq}'');'
:check
-- fault_b10_loaders: Django, loaddata and sqlsequencereset.
SELECT setval(pg_get_serial_sequence('"item"','id'), coalesce(max("id"), 1), max("id") IS NOT null) FROM "item";
:check
:again
:check
-- Rails, reset_pk_sequence! and fixtures.
SELECT setval('"loaded"."item_id_seq"', (SELECT MAX("id") FROM "item"), true);
:check
:again
-- An empty table: Rails sets it to MINVALUE, and Django to 1.
BEGIN;
DELETE FROM item;
SELECT setval('"loaded"."item_id_seq"', (SELECT seqmin FROM pg_sequence WHERE seqrelid = '"loaded"."item_id_seq"'::regclass), false);
:check
SELECT setval(pg_get_serial_sequence('"item"','id'), coalesce(max("id"), 1), max("id") IS NOT null) FROM "item";
:check
ROLLBACK;
:again
-- pg_restore, and psql with a dump of data.
SELECT pg_catalog.setval('loaded.item_id_seq', 7, true);
:check
:again
-- Scripts, pgloader, ora2pg.
SELECT setval('item_id_seq', (SELECT max(id) FROM item));
SELECT setval('item_id_seq', (SELECT max(id) + 1 FROM item), false);
:check
SELECT setval('item_id_seq', (SELECT max(id) FROM item));
:check
ALTER SEQUENCE item_id_seq RESTART WITH 9;
:check
:again
:check
-- Bucardo, the furthest position of all databases.
SELECT setval('item_id_seq', 101, true);
:check
:again
SELECT nextval('item_id_seq');

-- fault_b11_owned_by: the example of docs/reference/sequences.md. The sequence is dropped with its table.
CREATE SEQUENCE ticket_no;
CREATE TABLE ticket (id bigint PRIMARY KEY DEFAULT partitioned_nextval('ticket_no'::regclass), subject text);
ALTER SEQUENCE ticket_no OWNED BY ticket.id;
INSERT INTO ticket (subject) VALUES ('one'), ('two') RETURNING id;
SELECT pg_get_serial_sequence('ticket', 'id');
TRUNCATE ticket RESTART IDENTITY;
INSERT INTO ticket (subject) VALUES ('one') RETURNING id;
SELECT fed_columns FROM interleaved_sequences WHERE sequence = 'ticket_no'::regclass;

-- fault_b09_compared_defaults: what Alembic runs with compare_server_default. It uses up ids.
SELECT partitioned_nextval('ticket_no'::regclass) = partitioned_nextval('ticket_no'::regclass);
INSERT INTO ticket (subject) VALUES ('two') RETURNING id;
BEGIN;
SELECT count(*) > 0 FROM reset_interleaved_sequences();
SELECT partitioned_nextval('ticket_no'::regclass) = partitioned_nextval('ticket_no'::regclass);
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
-- The texts of the defaults can be compared in a database that is no node, too.
SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'ticket'::regclass;
DROP TABLE ticket;
SELECT to_regclass('ticket_no') IS NULL;
SELECT count(*) FROM reset_interleaved_sequences('{item_id_seq}');
DROP SCHEMA loaded CASCADE;
