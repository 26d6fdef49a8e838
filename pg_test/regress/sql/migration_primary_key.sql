-- Primary keys that move at the cut-over: constraints, names that violations report, and the way back.
-- fault_c21_one_key
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA shop;
SET search_path = shop, public;
CREATE TABLE orders (
    id bigserial,
    p integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00',
    parent bigint,
    CONSTRAINT orders_pkey PRIMARY KEY (id) INCLUDE (p) WITH (fillfactor = 70),
    CONSTRAINT orders_id_p UNIQUE (id, p)
);
ALTER TABLE orders ADD CONSTRAINT orders_parent FOREIGN KEY (parent) REFERENCES orders DEFERRABLE;
CREATE TABLE items (
    order_id bigint REFERENCES orders ON DELETE CASCADE,
    no integer,
    PRIMARY KEY (order_id, no)
);
CREATE TABLE notes (
    no serial PRIMARY KEY,
    order_id bigint NOT NULL,
    item integer NOT NULL,
    CONSTRAINT notes_item FOREIGN KEY (order_id, item) REFERENCES items ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE others (
    no serial PRIMARY KEY,
    late bigint NOT NULL CONSTRAINT others_late REFERENCES orders DEFERRABLE INITIALLY DEFERRED,
    o_id bigint,
    o_p integer,
    loose bigint,
    may bigint CONSTRAINT others_may REFERENCES orders ON DELETE SET NULL,
    CONSTRAINT others_full FOREIGN KEY (o_id, o_p) REFERENCES orders (id, p) MATCH FULL
);
INSERT INTO orders (id) SELECT i FROM generate_series(1, 20) AS i;
SELECT setval('orders_id_seq', 20);
UPDATE orders SET parent = id - 1 WHERE id > 1;
INSERT INTO items SELECT i, n FROM generate_series(1, 20) AS i, generate_series(1, 2) AS n;
INSERT INTO notes (order_id, item) SELECT order_id, no FROM items;
INSERT INTO others (late, o_id, o_p, loose, may) SELECT i, i, 1, i, i FROM generate_series(1, 20) AS i;
INSERT INTO others (late, loose) VALUES (1, 4711);
ALTER TABLE others ADD CONSTRAINT others_loose FOREIGN KEY (loose) REFERENCES orders NOT VALID;
COMMENT ON CONSTRAINT orders_pkey ON orders IS 'the key';
COMMENT ON INDEX orders_pkey IS 'its index';
COMMENT ON CONSTRAINT others_may ON others IS 'some order';
ALTER TABLE orders CLUSTER ON orders_pkey;
ALTER TABLE orders REPLICA IDENTITY USING INDEX orders_pkey;
SET client_min_messages = error;
CREATE PUBLICATION of_orders FOR TABLE orders, items;
SET client_min_messages = warning;
ANALYZE;
CREATE VIEW constraints AS
SELECT c.conrelid::regclass AS "table", c.contype AS "type", c.conname AS "name", pg_get_constraintdef(c.oid) AS definition, obj_description(c.oid, 'pg_constraint') AS comment
FROM pg_constraint c WHERE c.connamespace = 'shop'::regnamespace AND c.contype IN ('p', 'u', 'f');
CREATE VIEW indexes AS
SELECT c.relname AS "name", i.indisunique AS uniq, i.indisprimary AS prim, i.indisclustered AS clust, i.indisreplident AS ident, c.reloptions AS options,
       regexp_replace(pg_get_indexdef(c.oid), '^.* USING ', '') AS definition, obj_description(c.oid, 'pg_class') AS comment
FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid WHERE c.relnamespace = 'shop'::regnamespace;
CREATE FUNCTION violation(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE c text; n text; t text;
BEGIN
    EXECUTE statement;
    SET CONSTRAINTS ALL IMMEDIATE;
    RETURN 'none';
EXCEPTION WHEN integrity_constraint_violation THEN
    GET STACKED DIAGNOSTICS t = TABLE_NAME, c = COLUMN_NAME, n = CONSTRAINT_NAME;
    RETURN concat_ws(' ', SQLSTATE, nullif(t, ''), nullif(c, ''), nullif(n, ''));
END $$;
CREATE VIEW violations AS SELECT no, violation(statement) FROM (VALUES
    (1, 'INSERT INTO orders (id) SELECT id FROM orders LIMIT 1'),
    (2, 'INSERT INTO items SELECT * FROM items LIMIT 1'),
    (3, 'DELETE FROM orders WHERE p = 1'),
    (4, 'DELETE FROM items WHERE no = 1; UPDATE orders SET parent = NULL; DELETE FROM orders WHERE p = 1'),
    (5, 'INSERT INTO others (late) VALUES (NULL)'),
    (6, 'UPDATE others SET o_p = NULL WHERE no = 3'),
    (7, 'UPDATE others SET o_p = 2 WHERE no = 3')
) AS v (no, statement);
SELECT * FROM "constraints" ORDER BY 1, 2, 3;
SELECT * FROM violations ORDER BY no;
\set VERBOSITY default
SELECT action, detail FROM key_migration_plan('orders', move_primary_key => true) WHERE step IS NULL AND action <> 'note' AND detail LIKE '%primary key%';
SELECT phase, table_name, action, lock, detail, statement FROM key_migration_plan('orders', move_primary_key => true)
WHERE action ~ 'pkey_old|^cut over';
\set VERBOSITY terse
SELECT key_migration_create('orders');
SELECT count(*) FROM key_migration_plan('orders') WHERE action ~ 'pkey_old';
SELECT key_migration_set('orders', move_primary_key => true);
SELECT statement FROM key_migration_statements('orders') \gexec
SELECT key_migration_phase('orders');
SELECT * FROM violations ORDER BY no;
-- Not by views, which have no primary key.
\set VERBOSITY default
CALL key_migration_cutover('orders', way => 'view');
\set VERBOSITY terse
CALL key_migration_cutover('orders');
SELECT key_migration_phase('orders');
SELECT * FROM "constraints" ORDER BY 1, 2, 3;
SELECT * FROM indexes ORDER BY "name" COLLATE "C";
SELECT * FROM violations ORDER BY no;
-- A query that depends on the primary key, and a key that the client makes.
SELECT count(*) FROM (SELECT o.id, o.created_at FROM orders o JOIN items i ON i.order_id = o.id GROUP BY o.id) AS g;
SELECT count(*) FROM (SELECT o.id, o.created_at FROM orders o GROUP BY o.id) AS g;
INSERT INTO orders (id) SELECT id FROM orders ON CONFLICT ON CONSTRAINT orders_pkey DO NOTHING;
-- Rows of every kind that writers leave before the way back.
INSERT INTO orders DEFAULT VALUES;
WITH o AS (INSERT INTO orders (p) VALUES (2) RETURNING id), i AS (INSERT INTO items (order_id, no) SELECT id, 1 FROM o RETURNING order_id)
INSERT INTO others (late, o_id, o_p, may) SELECT order_id, order_id, 2, order_id FROM i;
INSERT INTO notes (order_id, item) SELECT order_id, no FROM items WHERE order_id_old = 22;
BEGIN;
INSERT INTO others (late) VALUES ('018cc251-f400-7000-8000-000000000000');
INSERT INTO orders (id) VALUES ('018cc251-f400-7000-8000-000000000000');
COMMIT;
UPDATE others SET may_old = 7 WHERE no = 3;
UPDATE orders SET id = '018cc251-f400-7000-8000-000000000001' WHERE id_old = 21;
DELETE FROM others WHERE no = 19;
DELETE FROM items WHERE order_id_old = 5;
SELECT violation('UPDATE others SET may_old = 4711 WHERE no = 4'), violation('INSERT INTO others (late_old) VALUES (4711)'),
       violation('INSERT INTO others (late, may_old) SELECT id, 4711 FROM orders WHERE id_old = 1'),
       violation('UPDATE orders SET id_old = 4711 WHERE id_old = 3'), violation('INSERT INTO orders (id_old) VALUES (3)');
\set VERBOSITY default
UPDATE others SET may_old = 4711 WHERE no = 4;
UPDATE orders SET id_old = 4711 WHERE id_old = 3;
-- What needs the primary key on keys is in the way, and the choice is made before the cut-over.
CREATE TABLE later (order_id uuid REFERENCES orders);
CREATE VIEW grouped AS SELECT o.id, o.created_at FROM orders o GROUP BY o.id;
CALL key_migration_rollback('orders');
SELECT key_migration_set('orders', move_primary_key => false);
SELECT key_migration_set('orders', move_primary_key => true);
\set VERBOSITY terse
DROP TABLE later;
DROP VIEW grouped;
DROP INDEX orders_pkey_old;
\set VERBOSITY default
CALL key_migration_rollback('orders');
\set VERBOSITY terse
CREATE UNIQUE INDEX CONCURRENTLY orders_pkey_old ON orders (id_old) INCLUDE (p) WITH (fillfactor = 70);
-- The way back, up to the statements that validate.
CALL key_migration_rollback('orders');
SELECT key_migration_phase('orders');
SELECT * FROM "constraints" ORDER BY 1, 2, 3;
SELECT * FROM indexes ORDER BY "name" COLLATE "C";
SELECT * FROM violations ORDER BY no;
SELECT phase, statement FROM key_migration_statements('orders');
SELECT statement FROM key_migration_statements('orders') \gexec
SELECT key_migration_phase('orders');
SELECT table_name, column_name, check_name, row_count FROM key_migration_verify('orders') WHERE NOT ok;
-- An index that is not needed is dropped.
SELECT key_migration_set('orders', move_primary_key => false);
SELECT phase, statement FROM key_migration_statements('orders');
SELECT key_migration_set('orders', move_primary_key => true);
CALL key_migration_cutover('orders');
UPDATE others SET loose_old = NULL WHERE no = 21;
CALL key_migration_finalize('orders', confirm => 'orders');
SELECT * FROM "constraints" ORDER BY 1, 2, 3;
SELECT * FROM indexes ORDER BY "name" COLLATE "C";
-- Primary keys that stay until the end, with the foreign keys that refer to their tables.
CREATE TABLE deferred (id bigserial PRIMARY KEY DEFERRABLE, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
CREATE TABLE deferred_child (no serial PRIMARY KEY, d_id bigint NOT NULL);
CREATE TABLE viewed (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
CREATE TABLE viewed_child (v_id bigint REFERENCES viewed DEFERRABLE, no integer, PRIMARY KEY (v_id, no));
CREATE VIEW grouped AS SELECT v.id, v.created_at FROM viewed v GROUP BY v.id;
CREATE TABLE published (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
INSERT INTO viewed DEFAULT VALUES;
INSERT INTO viewed_child VALUES (1, 1);
SET client_min_messages = error;
CREATE PUBLICATION of_published FOR TABLE published (id);
SET client_min_messages = warning;
ANALYZE;
SELECT t AS "table", detail FROM (VALUES ('deferred'), ('viewed'), ('published')) AS v (t), key_migration_plan(t, move_primary_key => true)
WHERE action = 'warning' AND detail LIKE '%does not move%' ORDER BY 1, 2;
SELECT key_migration_create('viewed', move_primary_key => true);
SELECT statement FROM key_migration_statements('viewed') \gexec
CALL key_migration_cutover('viewed');
SELECT * FROM "constraints" WHERE "table" IN ('viewed'::regclass, 'viewed_child'::regclass) ORDER BY 1, 2, 3;
CALL key_migration_rollback('viewed');
SELECT key_migration_phase('viewed');
-- Without the view, the primary key moves, and that of the other table stays.
DROP VIEW grouped;
SELECT statement FROM key_migration_statements('viewed') \gexec
CALL key_migration_cutover('viewed');
SELECT * FROM "constraints" WHERE "table" IN ('viewed'::regclass, 'viewed_child'::regclass) ORDER BY 1, 2, 3;
INSERT INTO viewed DEFAULT VALUES;
INSERT INTO viewed_child (v_id, no) SELECT id, 2 FROM viewed;
-- The old ids that are kept have no index.
CALL key_migration_finalize('viewed', confirm => 'viewed', keep_old_ids => true);
SELECT * FROM "constraints" WHERE "table" IN ('viewed'::regclass, 'viewed_child'::regclass) ORDER BY 1, 2, 3;
SELECT "name", definition FROM indexes WHERE "name" ~ '^viewed' ORDER BY "name" COLLATE "C";
-- The index goes with the migration.
DROP PUBLICATION of_published;
SELECT key_migration_create('published', move_primary_key => true);
SELECT statement FROM key_migration_statements('published', 'indexed') \gexec
SELECT "name" FROM indexes WHERE "name" ~ '^published' ORDER BY "name" COLLATE "C";
CALL key_migration_rollback('published');
SELECT "name" FROM indexes WHERE "name" ~ '^published' ORDER BY "name" COLLATE "C";
SELECT key_migration_create('published', move_primary_key => NULL);
DROP SCHEMA shop CASCADE;
DROP PUBLICATION of_orders;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
