-- Which node a database is, and what follows from it.
-- trap_s13 trap_s42 trap_s49
SET client_min_messages = warning;
CREATE SCHEMA node;
SET search_path = node, public;
CREATE SEQUENCE s;
SELECT count(*) FROM setup_interleaved_sequences(2, sequences => '{s}');
SELECT node, nodes, system_identifier = (SELECT system_identifier FROM pg_control_system()) AS this_server,
       database = (SELECT oid FROM pg_database WHERE datname = current_database()) AS this_database
FROM interleaved_node;
-- The same again is fine; another node is refused.
SELECT count(*) FROM setup_interleaved_sequences(2, 2, sequences => '{s}');
SELECT setup_interleaved_sequences(1, 2, sequences => '{s}');
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, 3, sequences => '{s}', dry_run => true);
\echo :LAST_ERROR_SQLSTATE
-- Without a row of this server and this database, as in a copy restored elsewhere, there is no node.
BEGIN;
UPDATE interleaved_node SET system_identifier = system_identifier + 1;
SAVEPOINT copied;
SELECT partitioned_nextval('s');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO copied;
SELECT action FROM setup_interleaved_sequences(1, 2, sequences => '{s}');
SELECT partitioned_nextval('s') % 2 AS odd;
ROLLBACK;
-- After the rollback the old node is back.
SELECT partitioned_nextval('s') % 2 AS odd;
-- The settings stand in for the row, or must agree with it.
SET pg_keyspace.node = 2;
SELECT partitioned_nextval('s');
\echo :LAST_ERROR_SQLSTATE
SET pg_keyspace.nodes = 2;
SELECT partitioned_nextval('s') % 2 AS odd;
SET pg_keyspace.node = 1;
SELECT partitioned_nextval('s');
\echo :LAST_ERROR_SQLSTATE
BEGIN;
DELETE FROM interleaved_node;
CREATE SEQUENCE fresh;
SELECT partitioned_nextval('fresh') % 2 AS odd;
ROLLBACK;
SET pg_keyspace.node = 5;
SELECT partitioned_nextval('s');
\echo :LAST_ERROR_SQLSTATE
RESET pg_keyspace.node;
RESET pg_keyspace.nodes;
CREATE ROLE regress_keyspace_guest;
SET ROLE regress_keyspace_guest;
SET pg_keyspace.node = 1;
\echo :LAST_ERROR_SQLSTATE
INSERT INTO interleaved_node VALUES (1, 1, 1, 2);
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
SELECT interleaved_node_changed();
\echo :LAST_ERROR_SQLSTATE
-- The table is not dumped.
SELECT extconfig IS NULL AS not_dumped FROM pg_extension WHERE extname = 'pg_keyspace';
DROP SCHEMA node CASCADE;
DROP ROLE regress_keyspace_guest;
