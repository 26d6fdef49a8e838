-- The whole path of the article's case: orders, and an audit table that refers to them and has no timestamp.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA shop;
SET search_path = shop, public;
CREATE TABLE orders (
    id bigserial PRIMARY KEY,
    created_at timestamptz NOT NULL,
    total integer NOT NULL
);
COMMENT ON COLUMN orders.id IS 'number of the order';
CREATE TABLE audit (
    no serial PRIMARY KEY,
    order_id integer NOT NULL REFERENCES orders,
    what text
);
CREATE INDEX audit_order_id_idx ON audit (order_id DESC, no) WHERE what IS NOT NULL;
INSERT INTO orders (created_at, total)
SELECT '2024-01-01 00:00:00+00'::timestamptz + i / 3 * interval '1 second', i FROM generate_series(1, 1000) AS i;
INSERT INTO audit (order_id, what) SELECT i % 1000 + 1, 'a' || i FROM generate_series(1, 3000) AS i;
ANALYZE orders, audit;
RESET client_min_messages;
-- What the tables look like; of triggers without their arguments, which are OIDs.
CREATE VIEW public.shape AS
SELECT attrelid::regclass::text AS of, 1 AS kind, attnum::integer AS no,
       concat_ws(' ', attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'not null' END, replace(pg_get_expr(adbin, adrelid), 'public.', '')) AS what
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid IN ('orders'::regclass, 'audit'::regclass) AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT indrelid::regclass::text, 2, 0, pg_get_indexdef(indexrelid)
FROM pg_index WHERE indrelid IN ('orders'::regclass, 'audit'::regclass)
UNION ALL
SELECT conrelid::regclass::text, 3, 0, concat_ws(' ', conname, pg_get_constraintdef(oid))
FROM pg_constraint WHERE conrelid IN ('orders'::regclass, 'audit'::regclass) AND contype <> 'n'
UNION ALL
SELECT tgrelid::regclass::text, 4, 0, concat_ws(' ', tgname, tgenabled::text)
FROM pg_trigger WHERE tgrelid IN ('orders'::regclass, 'audit'::regclass) AND NOT tgisinternal;
-- What it would do; nothing is changed.
SELECT step, phase, table_name, action, lock, row_count FROM key_migration_plan('orders');
SELECT detail FROM key_migration_plan('orders') WHERE step IS NULL AND action <> 'note';
\pset format unaligned
SELECT step, regexp_replace(statement, '''\d{5,}''', '<oid>', 'g') AS statement FROM key_migration_plan('orders') WHERE phase IN ('prepared', 'backfilled');
\pset format aligned
SELECT count(*) FROM keyspace_internal.key_migration;
SELECT key_migration_create('orders', include_columns => '{total}');
SELECT key_migration_phase('orders');
SELECT * FROM key_migration_statements('orders');
-- The columns and the triggers.
CALL key_migration_advance('orders', through => 'prepared');
SELECT key_migration_phase('orders');
-- Rows that are written have keys from now on.
INSERT INTO orders (created_at, total) VALUES ('2024-02-01 00:00:00+00', 1) RETURNING id, id_new = uuidv7_from_timestamp(created_at, id, 'shop.orders') AS derived;
INSERT INTO audit (order_id, what) VALUES (1001, 'stored'), (5, 'derived');
SELECT a.what, uuidv7_to_id(a.order_id_new, 'shop.orders'), a.order_id_new = key_migration_uuid(o.created_at, o.id, 'shop.orders') AS fits
FROM audit a JOIN orders o ON o.id = a.order_id WHERE a.no > 3000;
UPDATE orders SET created_at = '2025-01-01 00:00:00+00' WHERE id = 7;
SELECT uuidv7_to_timestamp(id_new) AT TIME ZONE 'UTC' AS as_it_was FROM orders WHERE id = 7;
CALL key_migration_advance('orders', through => 'backfilled');
SELECT key_migration_phase('orders');
SELECT count(*), count(id_new) FROM orders;
SELECT count(*), count(order_id_new) FROM audit;
-- An index is not built within a procedure.
CALL key_migration_advance('orders');
\echo :LAST_ERROR_SQLSTATE
CALL key_migration_cutover('orders');
\echo :LAST_ERROR_SQLSTATE
SELECT statement FROM key_migration_statements('orders') \gexec
SELECT key_migration_phase('orders');
SELECT statement FROM key_migration_statements('orders');
SELECT table_name, column_name, check_name, ok, row_count, example FROM key_migration_verify('orders') WHERE check_name <> 'digest';
SELECT of, what FROM shape ORDER BY of COLLATE "C" DESC, kind, no, what COLLATE "C";
CALL key_migration_finalize('orders', confirm => 'orders');
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY terse
SET client_min_messages = warning;
CALL key_migration_cutover('orders');
RESET client_min_messages;
SELECT key_migration_phase('orders');
SELECT of, what FROM shape ORDER BY of COLLATE "C" DESC, kind, no, what COLLATE "C";
-- The number goes on being filled.
INSERT INTO orders (created_at, total) VALUES (now(), 2) RETURNING id_old, uuidv7_to_timestamp(id) > now() - interval '1 hour' AS new_key;
INSERT INTO audit (order_id, what) SELECT id, 'after' FROM orders WHERE id_old = 1002 RETURNING order_id_old;
-- And back, with the rows made meanwhile.
SET client_min_messages = warning;
CALL key_migration_rollback('orders');
SELECT key_migration_phase('orders');
SELECT o.id, o.id_new = a.order_id_new AS fits, a.order_id FROM orders o JOIN audit a ON a.order_id = o.id WHERE o.id > 1001;
SELECT table_name, column_name, check_name, ok, row_count, example FROM key_migration_verify('orders') WHERE check_name <> 'digest';
CALL key_migration_cutover('orders');
CALL key_migration_finalize('orders', confirm => 'order');
CALL key_migration_finalize('orders', confirm => 'orders');
RESET client_min_messages;
SELECT key_migration_phase('orders');
SELECT of, what FROM shape ORDER BY of COLLATE "C" DESC, kind, no, what COLLATE "C";
SELECT col_description('orders'::regclass, attnum) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'id';
SELECT count(*) FROM audit a JOIN orders o ON o.id = a.order_id;
SELECT phase, state, table_name FROM key_migration_progress;
SELECT step, table_name, action, tries FROM key_migration_log;
SET client_min_messages = warning;
DROP VIEW public.shape;
DROP SCHEMA shop CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
