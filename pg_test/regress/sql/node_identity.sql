-- Which node a database is, and what follows from it.
-- trap_s13 trap_s42 trap_s49
SET client_min_messages = warning;
CREATE SCHEMA node;
SET search_path = node, public;
CREATE SEQUENCE s;
SELECT count(*) FROM setup_interleaved_sequences(2, sequences => '{s}');
SELECT node, nodes, system_identifier = (SELECT system_identifier FROM pg_control_system()) AS this_server,
       database = (SELECT oid FROM pg_database WHERE datname = current_database()) AS this_database
FROM keyspace_internal.interleaved_node;
SELECT node, nodes, new_sequences FROM interleaved_node;
-- The same again is fine; another node is refused.
SELECT count(*) FROM setup_interleaved_sequences(2, 2, sequences => '{s}');
SELECT setup_interleaved_sequences(1, 2, sequences => '{s}');
\echo :LAST_ERROR_SQLSTATE
SELECT setup_interleaved_sequences(2, 3, sequences => '{s}', dry_run => true);
\echo :LAST_ERROR_SQLSTATE
-- Without a row of this server and this database, as in a copy restored elsewhere, there is no node.
BEGIN;
CALL keyspace_test.by_hand('UPDATE keyspace_internal.interleaved_node SET system_identifier = system_identifier + 1');
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
CALL keyspace_test.forget_node();
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
INSERT INTO keyspace_internal.interleaved_node VALUES (1, 1, 1, 2);
\echo :LAST_ERROR_SQLSTATE
UPDATE interleaved_node SET node = 1;
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
SELECT keyspace_internal.library_only();
\echo :LAST_ERROR_SQLSTATE
-- fault_d02_nobody_else_changes_the_node: not a superuser, not through the view, and not as a replica, where rows of another
-- node are left out.
UPDATE keyspace_internal.interleaved_node SET node = 1;
\echo :LAST_ERROR_SQLSTATE
UPDATE interleaved_node SET node = 1;
\echo :LAST_ERROR_SQLSTATE
DELETE FROM keyspace_internal.interleaved_node;
\echo :LAST_ERROR_SQLSTATE
INSERT INTO keyspace_internal.interleaved_node VALUES (1, 1, 1, 2);
\echo :LAST_ERROR_SQLSTATE
TRUNCATE keyspace_internal.interleaved_node;
\echo :LAST_ERROR_SQLSTATE
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE keyspace_internal.interleaved_node SET node = 1;
DELETE FROM keyspace_internal.interleaved_node;
INSERT INTO keyspace_internal.interleaved_node VALUES (1, 1, 1, 2);
SELECT count(*), min(node), min(nodes) FROM keyspace_internal.interleaved_node;
SAVEPOINT before;
TRUNCATE keyspace_internal.interleaved_node;
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO before;
-- The functions of the extension go on, whatever the role.
SELECT interleave_new_sequences(true);
SELECT node, nodes, new_sequences FROM interleaved_node;
SELECT count(*) FROM split_interleaved_sequences(2);
SELECT partitioned_nextval('s') % 4 AS class;
SELECT node, nodes, new_sequences FROM interleaved_node;
ROLLBACK;
SELECT node, nodes, new_sequences FROM interleaved_node;
-- Every table of ours is kept so, and every trigger fires always.
SELECT c.relname, count(*) FILTER (WHERE t.tgenabled = 'A') AS always
FROM pg_class c LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND t.tgfoid = 'keyspace_internal.library_only'::regproc
WHERE c.relnamespace = 'keyspace_internal'::regnamespace AND c.relkind = 'r' GROUP BY 1 HAVING count(*) FILTER (WHERE t.tgenabled = 'A') <> 2;
-- fault_a09_columns_are_read_by_name: a later version of the extension may add columns before this library is replaced.
BEGIN;
ALTER TABLE keyspace_internal.interleaved_node ADD COLUMN later text DEFAULT 'x', ADD COLUMN latest numeric;
SELECT partitioned_nextval('s') % 2 AS even;
ALTER TABLE keyspace_internal.interleaved_node RENAME node TO node_of_a_later_version;
SELECT partitioned_nextval('s');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
-- The table is not dumped.
SELECT extconfig IS NULL AS not_dumped FROM pg_extension WHERE extname = 'pg_keyspace';
DROP SCHEMA node CASCADE;
DROP ROLE regress_keyspace_guest;
