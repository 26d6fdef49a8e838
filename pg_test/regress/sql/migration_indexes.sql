-- No index is lost or changed: conditions and expressions, methods and operator classes, the properties of each.
-- fault_c01_conditions fault_c16_properties fault_c22_invalid fault_c24_operator_classes
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA shop;
SET search_path = shop, public;
CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00', parent_id bigint REFERENCES orders, note text);
CREATE TABLE c (no serial PRIMARY KEY, o_id bigint REFERENCES orders, other_id integer REFERENCES orders, n integer NOT NULL DEFAULT 0, note text);
-- fault_c01_conditions: what asks only whether there is a key, or whether two are the same, is asked of keys.
CREATE UNIQUE INDEX one_each ON c (o_id) WHERE o_id IS NOT NULL;
CREATE UNIQUE INDEX one_root ON orders (note) WHERE parent_id IS NULL;
CREATE UNIQUE INDEX differ ON c (other_id, n) WHERE o_id <> other_id AND note IS NOT NULL;
CREATE INDEX of_both ON c ((o_id IS NULL), n DESC) WHERE n > 3 OR COALESCE(o_id, other_id) IS NOT NULL;
CREATE INDEX counted ON c (num_nonnulls(o_id, other_id, note)) INCLUDE (o_id);
INSERT INTO orders (note) SELECT 'root ' || i FROM generate_series(1, 20) AS i;
INSERT INTO orders (parent_id, note) SELECT i, 'child' FROM generate_series(1, 20) AS i;
INSERT INTO c (o_id, other_id, n, note) SELECT i, 21 - i, i, CASE WHEN i % 2 = 0 THEN 'x' END FROM generate_series(1, 20) AS i;
INSERT INTO c (n) VALUES (100), (101);
-- What is about the numbers themselves is refused, before anything starts.
CREATE INDEX by_rest ON c (n, (o_id % 10));
CREATE UNIQUE INDEX small ON orders (id) WHERE id < 1000000;
CREATE INDEX whole ON c ((c IS NULL));
\set VERBOSITY default
SELECT detail FROM key_migration_plan('orders') WHERE action = 'error' ORDER BY detail COLLATE "C";
SELECT key_migration_create('orders');
\set VERBOSITY terse
DROP INDEX by_rest, small, whole;
-- fault_c24_operator_classes: what has a counterpart for uuid.
CREATE INDEX brin_default ON c USING brin (o_id);
CREATE INDEX brin_bloom ON c USING brin (o_id int8_bloom_ops (n_distinct_per_range = 100, false_positive_rate = 0.05)) WITH (pages_per_range = 8);
CREATE INDEX brin_multi ON c USING brin (other_id int4_minmax_multi_ops (values_per_range = 16), n int4_minmax_multi_ops);
CREATE INDEX hashed ON c USING hash (o_id);
-- fault_c16_properties
CREATE INDEX described ON c (o_id, (n % 7)) WITH (fillfactor = 80);
COMMENT ON INDEX described IS 'o''clock';
ALTER INDEX described ALTER COLUMN 2 SET STATISTICS 300;
ALTER TABLE c CLUSTER ON described;
COMMENT ON INDEX orders_pkey IS 'the index';
COMMENT ON CONSTRAINT orders_pkey ON orders IS 'the key';
COMMENT ON CONSTRAINT c_o_id_fkey ON c IS 'the reference';
COMMENT ON COLUMN c.o_id IS 'refers to an order';
ALTER TABLE c ALTER o_id SET STATISTICS 500, ALTER o_id SET (n_distinct = -0.5);
CREATE ROLE regress_clerk;
CREATE ROLE regress_chief;
GRANT SELECT (o_id, n), UPDATE (o_id) ON c TO regress_clerk;
GRANT SELECT (o_id) ON c TO regress_chief WITH GRANT OPTION;
-- fault_c22_invalid: an index that is not valid is not built for keys, and is in nobody's way.
CREATE UNIQUE INDEX CONCURRENTLY failed ON orders ((1)) WHERE parent_id IS NULL;
CREATE TEMPORARY TABLE before AS
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition, obj_description(indexrelid) AS described, indisclustered,
    (SELECT array_agg(attstattarget) FROM pg_attribute WHERE attrelid = indexrelid AND attstattarget >= 0) AS statistics
FROM pg_index WHERE indrelid IN ('c'::regclass, 'orders'::regclass) AND indisvalid;
CREATE FUNCTION columns() RETURNS TABLE (name name, acl text, target integer, options text[], described text) LANGUAGE sql AS $$
    SELECT attname, (SELECT string_agg(format('%s=%s%s', grantee::regrole, privilege_type, CASE WHEN is_grantable THEN '*' END), ' ' ORDER BY grantee::regrole::text, privilege_type)
                     FROM aclexplode(attacl)), attstattarget, (SELECT array_agg(o) FROM unnest(attoptions) AS o WHERE o NOT LIKE 'pg\_attver=%'), col_description(attrelid, attnum)
    FROM pg_attribute WHERE attrelid = 'c'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname $$;
SELECT name, acl, nullif(target, -1) AS target, options, described FROM columns();
SELECT detail FROM key_migration_plan('orders') WHERE step IS NULL AND action <> 'note';
SELECT key_migration_create('orders');
SELECT statement FROM key_migration_statements('orders') \gexec
SELECT key_migration_phase('orders');
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid IN ('c'::regclass, 'orders'::regclass) AND indexrelid::regclass::text LIKE '%\_new' ORDER BY 1;
SELECT action, statement FROM key_migration_plan('orders') WHERE phase = 'indexed' AND action NOT LIKE 'build%';
-- In every phase they refuse what they refused.
INSERT INTO c (o_id) VALUES (3);
INSERT INTO orders (note) VALUES ('root 1');
CALL key_migration_cutover('orders');
INSERT INTO c (o_id) SELECT id FROM orders WHERE id_old = 3;
INSERT INTO orders (note) VALUES ('root 1');
SELECT name, acl, nullif(target, -1) AS target, options, described FROM columns() WHERE name LIKE 'o\_id%';
CALL key_migration_rollback('orders');
SELECT statement FROM key_migration_statements('orders') \gexec
CALL key_migration_cutover('orders');
CALL key_migration_finalize('orders', confirm => 'orders');
INSERT INTO c (o_id) SELECT o_id FROM c WHERE n = 3;
INSERT INTO orders (note) VALUES ('root 1');
-- All of them are as they were, but for the operator classes.
SELECT * FROM before EXCEPT
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid), obj_description(indexrelid), indisclustered,
    (SELECT array_agg(attstattarget) FROM pg_attribute WHERE attrelid = indexrelid AND attstattarget >= 0)
FROM pg_index WHERE indrelid IN ('c'::regclass, 'orders'::regclass) ORDER BY 1;
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid IN ('c'::regclass, 'orders'::regclass)
    AND pg_get_indexdef(indexrelid) NOT IN (SELECT definition FROM before) ORDER BY indexrelid::regclass::text;
SELECT name, acl, nullif(target, -1) AS target, options, described FROM columns();
SELECT conname, obj_description(oid, 'pg_constraint') AS described FROM pg_constraint WHERE conrelid IN ('c'::regclass, 'orders'::regclass) AND contype <> 'n' ORDER BY conname;
DROP SCHEMA shop CASCADE;
DROP ROLE regress_clerk, regress_chief;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
