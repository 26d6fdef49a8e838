-- A migration on several nodes: what is refused on one server. What needs two is in pg_test/tests/migration.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA several_nodes;
SET search_path = several_nodes, public;
CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
INSERT INTO orders DEFAULT VALUES;
-- Nodes that cannot be.
SELECT key_migration_create('orders', nodes => NULL);
SELECT key_migration_create('orders', nodes => '{1, NULL}');
SELECT key_migration_create('orders', nodes => '{1}');
SELECT key_migration_create('orders', nodes => '{0, 1}');
SELECT key_migration_create('orders', nodes => '{2, 1, 2}');
SELECT key_migration_create('orders', nodes => '{1, 2}', fire_triggers => true);
SELECT key_migration_create('orders', nodes => '{1, 2}', target => 'bigint', without_timestamp => false);
-- The database is none of them.
SELECT key_migration_create('orders', nodes => '{1, 2}');
SELECT count(*) FROM setup_interleaved_sequences(3, 3, schemas => '{several_nodes}');
SELECT key_migration_create('orders', nodes => '{1, 2}');
-- This server does not keep commit times.
SHOW track_commit_timestamp;
SELECT key_migration_create('orders', nodes => '{1, 3}');
-- The functions are for migrations on several nodes.
SELECT key_migration_node_state('orders');
SELECT key_migration_create('orders');
SELECT key_migration_node_state('orders');
SELECT key_migration_add_peers('orders', '{}');
SELECT key_migration_remove_node('orders', 2);
SELECT key_migration_digests('orders');
SELECT key_migration_compare('orders', '{}');
CALL key_migration_correct('orders', '{}');
CALL key_migration_close('orders');
CALL key_migration_open('orders');
SELECT key_migration_node_state(NULL);
BEGIN;
CALL key_migration_close('orders');
ROLLBACK;
-- An ordinary role.
CREATE ROLE regress_several_nodes;
GRANT USAGE ON SCHEMA several_nodes TO regress_several_nodes;
SET ROLE regress_several_nodes;
SELECT key_migration_node_state('orders');
SELECT key_migration_add_peers('orders', '{}');
SELECT key_migration_remove_node('orders', 2);
SELECT key_migration_digests('orders');
SELECT key_migration_compare('orders', '{}');
CALL key_migration_correct('orders', '{}');
CALL key_migration_close('orders');
CALL key_migration_open('orders');
CREATE TEMPORARY TABLE own (id bigint);
CREATE TRIGGER closed BEFORE INSERT ON own FOR EACH STATEMENT EXECUTE FUNCTION keyspace_internal.key_migration_closed('1');
DROP TABLE own;
RESET ROLE;
-- The trigger on a table that is not part of such a migration: it lets writers pass, or refuses another kind of trigger.
CREATE TABLE other (id bigint);
CREATE TRIGGER closed BEFORE INSERT ON other FOR EACH STATEMENT EXECUTE FUNCTION keyspace_internal.key_migration_closed('1');
INSERT INTO other VALUES (1);
DROP TRIGGER closed ON other;
CREATE TRIGGER closed BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION keyspace_internal.key_migration_closed('1');
INSERT INTO other VALUES (1);
DROP TRIGGER closed ON other;
CREATE TRIGGER closed BEFORE INSERT ON other FOR EACH STATEMENT EXECUTE FUNCTION keyspace_internal.key_migration_closed('x');
INSERT INTO other VALUES (1);
CALL key_migration_rollback('orders');
DROP SCHEMA several_nodes CASCADE;
DROP ROLE regress_several_nodes;
CALL keyspace_test.forget_node();
