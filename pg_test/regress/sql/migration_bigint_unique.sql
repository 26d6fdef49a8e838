-- Unique indexes in which a row without an old id would be equal to others, in a migration to bigint.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA nodes;
SET search_path = nodes, public;
CREATE TABLE node (
    id serial PRIMARY KEY,
    parent_id integer REFERENCES node,
    owner_id integer REFERENCES node,
    name text NOT NULL
);
INSERT INTO node (parent_id, owner_id, name) SELECT CASE WHEN i > 10 THEN i / 3 END, CASE WHEN i > 20 AND i % 4 = 0 THEN i % 5 + 1 END, 'node ' || i % 100 || CASE WHEN i > 10 THEN '' ELSE ' root' END
FROM generate_series(1, 300) AS i;
CREATE UNIQUE INDEX node_name ON node (COALESCE(parent_id, '-1'::integer), name DESC);
CREATE UNIQUE INDEX node_root ON node (name) WHERE parent_id IS NULL AND owner_id IS NULL;
CREATE UNIQUE INDEX node_owner ON node (owner_id, id) INCLUDE (name) WHERE owner_id IS NOT NULL;
CREATE UNIQUE INDEX node_both ON node (parent_id, owner_id, name) NULLS NOT DISTINCT WITH (fillfactor = 80);
COMMENT ON INDEX node_name IS 'one name for the children of a node';
ALTER TABLE node CLUSTER ON node_both;
ANALYZE node;
CREATE FUNCTION indexes() RETURNS TABLE (definition text, described text, clustered boolean) LANGUAGE sql AS
    'SELECT pg_get_indexdef(indexrelid), obj_description(indexrelid), indisclustered FROM pg_index WHERE indrelid = ''node''::regclass ORDER BY indexrelid::regclass::text COLLATE "C"';
CREATE TABLE before AS SELECT * FROM indexes();
SELECT action, detail FROM key_migration_plan('node', target => 'bigint') WHERE step IS NULL AND detail ~ 'index';
SELECT key_migration_create('node', target => 'bigint');
SELECT statement FROM key_migration_statements('node') \gexec
SELECT * FROM indexes();
INSERT INTO node (name) VALUES ('node 1 root');
CALL key_migration_cutover('node');
SELECT * FROM indexes();
-- Rows whose ids the old columns cannot hold: as unique as all others.
SELECT setval('node_id_seq', 3000000000);
WITH a AS (INSERT INTO node (name) VALUES ('big one') RETURNING id), b AS (INSERT INTO node (name) VALUES ('big two') RETURNING id)
INSERT INTO node (parent_id, name) SELECT id, name FROM (TABLE a UNION ALL TABLE b) AS big, (VALUES ('child'), ('other child')) AS c (name);
SELECT id, parent_id, id_old, parent_id_old, name FROM node WHERE id > 3000000000 ORDER BY id;
INSERT INTO node (parent_id, name) SELECT parent_id, name FROM node WHERE name = 'child' LIMIT 1;
INSERT INTO node (name) VALUES ('node 1 root');
INSERT INTO node (parent_id, owner_id, name) SELECT parent_id, owner_id, name FROM node WHERE owner_id IS NOT NULL LIMIT 1;
INSERT INTO node (name) VALUES ('big one') ON CONFLICT (COALESCE(parent_id, '-1'::integer), name) DO UPDATE SET name = 'big three' RETURNING name, id > 3000000000 AS big;
-- A rollback waits until there are none, and until the indexes on old ids are there again.
\set VERBOSITY default
CALL key_migration_rollback('node');
DELETE FROM node WHERE parent_id > 3000000000;
DELETE FROM node WHERE id > 3000000000;
SELECT setval('node_id_seq', 1000);
CALL key_migration_rollback('node');
CREATE UNIQUE INDEX CONCURRENTLY node_both_old ON nodes.node USING btree (parent_id_old, owner_id_old, name) NULLS NOT DISTINCT WITH (fillfactor=80);
CALL key_migration_rollback('node');
CREATE UNIQUE INDEX CONCURRENTLY node_name_old ON nodes.node USING btree ((COALESCE(parent_id_old, '-1'::integer)), name DESC);
CALL key_migration_rollback('node');
CREATE UNIQUE INDEX CONCURRENTLY node_root_old ON nodes.node USING btree (name) WHERE ((parent_id_old IS NULL) AND (owner_id_old IS NULL));
CALL key_migration_rollback('node');
\set VERBOSITY terse
SELECT * FROM indexes();
INSERT INTO node (name) VALUES ('node 1 root');
INSERT INTO node (parent_id, name) VALUES (1, 'same'), (2, 'same');
INSERT INTO node (parent_id, name) VALUES (2, 'same');
SELECT statement FROM key_migration_statements('node') \gexec
CALL key_migration_cutover('node');
INSERT INTO node (parent_id, name) VALUES (2, 'same');
CALL key_migration_finalize('node', confirm => 'node');
SELECT definition, described, clustered FROM indexes() EXCEPT SELECT definition, described, clustered FROM before;
SELECT definition FROM before EXCEPT SELECT definition FROM indexes();
\d node
DROP SCHEMA nodes CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
