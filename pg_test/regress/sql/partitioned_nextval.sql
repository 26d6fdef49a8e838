-- A DEFAULT that never leaves its class.
-- trap_s12 trap_s37 trap_s41 trap_k10
SET client_min_messages = warning;
CREATE SCHEMA draw;
SET search_path = draw, public;
CREATE SEQUENCE s;
SELECT count(*) FROM setup_interleaved_sequences(2, sequences => '{s}');
-- On a sequence of the class, and on one that nobody has set up.
SELECT partitioned_nextval('s') FROM generate_series(1, 3);
CREATE SEQUENCE untouched;
SELECT partitioned_nextval('untouched') FROM generate_series(1, 3);
SELECT currval('untouched'), lastval();
-- The node written out.
SELECT partitioned_nextval('untouched', 1, 3), partitioned_nextval('untouched', 3, 3);
-- After setval, a restart and TRUNCATE ... RESTART IDENTITY; with a cache; descending; with any step.
SELECT setval('untouched', 99);
SELECT partitioned_nextval('untouched');
ALTER SEQUENCE untouched RESTART;
SELECT partitioned_nextval('untouched');
CREATE TABLE t (id bigint PRIMARY KEY DEFAULT partitioned_nextval('untouched'), v int);
ALTER SEQUENCE untouched OWNED BY t.id;
TRUNCATE t RESTART IDENTITY;
INSERT INTO t (v) SELECT g FROM generate_series(1, 4) AS g RETURNING id, v;
COPY t (v) FROM stdin;
5
6
\.
SELECT id FROM t ORDER BY id;
SELECT count(*), min(id), max(id), bool_and(id % 2 = 0) AS in_class FROM t;
CREATE SEQUENCE cached CACHE 7;
SELECT partitioned_nextval('cached', 3, 4) FROM generate_series(1, 5);
CREATE SEQUENCE down INCREMENT -3;
SELECT partitioned_nextval('down', 2, 4) FROM generate_series(1, 3);
-- The set-up sees a column that is fed by this default.
SELECT sequence, action, in_use, fed_columns FROM setup_interleaved_sequences(2, sequences => '{untouched}');
-- A class that is out of reach is known at once.
CREATE SEQUENCE odd INCREMENT 2;
SELECT partitioned_nextval('odd');
\echo :LAST_ERROR_SQLSTATE
SELECT partitioned_nextval('odd', 3, 4);
SELECT partitioned_nextval('odd', 4, 4);
\echo :LAST_ERROR_SQLSTATE
-- A wrap that leaves the class for ever ends in an error, too, not in a loop.
CREATE SEQUENCE wheel INCREMENT 2 MINVALUE 1 START 2 MAXVALUE 6 CYCLE;
SELECT partitioned_nextval('wheel', 2, 2) FROM generate_series(1, 3);
SELECT partitioned_nextval('wheel', 2, 2);
\echo :LAST_ERROR_SQLSTATE
-- Nor does a cycle that is too short for the class loop for ever.
CREATE SEQUENCE cone MAXVALUE 3 CYCLE;
SELECT partitioned_nextval('cone', 4, 5);
\echo :LAST_ERROR_SQLSTATE
-- At the end of the sequence core's own error.
CREATE SEQUENCE short MAXVALUE 3;
SELECT partitioned_nextval('short', 1, 2) FROM generate_series(1, 2);
SELECT partitioned_nextval('short', 1, 2);
\echo :LAST_ERROR_SQLSTATE
-- Bad input.
SELECT partitioned_nextval(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT partitioned_nextval('s', NULL, 2);
\echo :LAST_ERROR_SQLSTATE
SELECT partitioned_nextval('s', 1, NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT partitioned_nextval('s', 0, 2);
\echo :LAST_ERROR_SQLSTATE
SELECT partitioned_nextval('s', 3, 2);
\echo :LAST_ERROR_SQLSTATE
SELECT partitioned_nextval('no_such_sequence');
\echo :LAST_ERROR_SQLSTATE
-- PostgreSQL's own message, which differs between versions.
\set VERBOSITY sqlstate
SELECT partitioned_nextval('t');
\set VERBOSITY default
BEGIN READ ONLY;
SELECT partitioned_nextval('s');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
-- Core's privileges, and no others: neither USAGE on our schema nor SELECT on our table is needed.
CREATE ROLE regress_keyspace_writer;
GRANT USAGE ON SCHEMA draw TO regress_keyspace_writer;
GRANT INSERT ON t TO regress_keyspace_writer;
SET ROLE regress_keyspace_writer;
INSERT INTO t (v) VALUES (7);
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
GRANT USAGE ON SEQUENCE untouched TO regress_keyspace_writer;
REVOKE USAGE ON SCHEMA public FROM PUBLIC;
REVOKE USAGE ON SCHEMA keyspace_internal FROM PUBLIC;
SET ROLE regress_keyspace_writer;
INSERT INTO t (v) VALUES (8);
RESET ROLE;
GRANT USAGE ON SCHEMA public TO PUBLIC;
GRANT USAGE ON SCHEMA keyspace_internal TO PUBLIC;
SELECT bool_and(id % 2 = 0) AS in_class, max(v) FROM t;
-- Every row and every execution draws anew.
PREPARE draw AS SELECT partitioned_nextval('s');
EXECUTE draw;
EXECUTE draw;
SELECT count(DISTINCT partitioned_nextval('s')) FROM generate_series(1, 100);
DROP SCHEMA draw CASCADE;
DROP ROLE regress_keyspace_writer;
