-- The cut-over by views, for those who must: what works through them as before, what does not, and the ways out.
-- trap_m16 trap_m17 trap_m18 trap_m21
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
SET row_security = on;
CALL keyspace_test.forget_node();
CREATE SCHEMA shop;
SET search_path = shop, public;
CREATE ROLE regress_clerk;
GRANT USAGE ON SCHEMA shop TO regress_clerk;
CREATE TABLE orders (
    id bigserial PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT '2024-06-01 00:00:00+00',
    "Total" integer NOT NULL DEFAULT 7,
    doubled integer GENERATED ALWAYS AS ("Total" * 2) STORED
);
CREATE TABLE audit (no bigserial PRIMARY KEY, order_id bigint REFERENCES orders ON DELETE CASCADE, what text);
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY small ON orders USING ("Total" < 100);
GRANT SELECT, INSERT, UPDATE ON orders TO regress_clerk;
GRANT SELECT ON audit TO PUBLIC;
GRANT USAGE ON SEQUENCE orders_id_seq TO regress_clerk;
INSERT INTO orders (created_at, "Total") SELECT '2024-01-01'::timestamptz + i * interval '1 min', i FROM generate_series(1, 110) AS i;
INSERT INTO audit (order_id, what) SELECT i, 'made' FROM generate_series(1, 110) AS i;
SELECT key_migration_create('orders');
SELECT statement FROM key_migration_statements('orders') \gexec
CALL key_migration_cutover('orders', way => 'nothing');
CALL key_migration_cutover('orders', way => NULL);
CALL key_migration_cutover('orders', way => 'view');
SELECT key_migration_phase('orders');
SELECT relname, relkind, relowner = current_user::regrole AS is_mine FROM pg_class WHERE relnamespace = 'shop'::regnamespace AND relkind IN ('r', 'v') ORDER BY 1;
SELECT trim(regexp_replace(regexp_replace(pg_get_viewdef(v::regclass), '(orders|audit)_old\.', '', 'g'), '\s+', ' ', 'g')) FROM unnest('{orders,audit}'::text[]) AS v;
-- Defaults are there for whoever asks for them.
SELECT column_name, replace(column_default, 'public.', '') AS column_default FROM information_schema.columns WHERE table_schema = 'shop' AND table_name = 'orders' ORDER BY ordinal_position;
-- The views have defaults that draw from sequences of this node, and cannot be guarded: their tables are.
BEGIN;
SELECT count(*) FROM setup_interleaved_sequences(1, 2, schemas => '{shop}');
SELECT table_name, column_name, action, detail FROM guard_interleaved_sequences('{shop}');
ROLLBACK;
-- What others may do, and which rows they see, is as before.
SET ROLE regress_clerk;
SELECT count(*) FROM orders;
SELECT count(*) FROM audit;
DELETE FROM orders;
INSERT INTO audit (what) VALUES ('no');
INSERT INTO orders ("Total") VALUES (3) RETURNING id_old, created_at, "Total", doubled;
RESET ROLE;
-- Written by key, with its number; by number, with its key.
WITH o AS (INSERT INTO orders DEFAULT VALUES RETURNING id) INSERT INTO audit (order_id, what) SELECT id, 'by key' FROM o RETURNING order_id_old;
INSERT INTO audit (order_id_old, what) VALUES (5, 'by number') RETURNING order_id = (SELECT id FROM orders WHERE id_old = 5) AS fits;
INSERT INTO orders (id, "Total") SELECT id, 8 FROM orders WHERE id_old = 1 ON CONFLICT (id) DO UPDATE SET "Total" = EXCLUDED."Total" RETURNING id_old, "Total";
DELETE FROM orders WHERE id_old = 110;
SELECT count(*) FROM audit WHERE order_id_old = 110;
-- The number as the key no longer type-checks.
SELECT * FROM orders WHERE id = 1;
-- What a view cannot do.
COPY orders FROM '/dev/null';
TRUNCATE orders;
INSERT INTO orders DEFAULT VALUES ON CONFLICT ON CONSTRAINT orders_pkey DO NOTHING;
CREATE TABLE other (order_id uuid REFERENCES orders);
SELECT ctid FROM orders;
SELECT pg_get_serial_sequence('orders', 'id_old');
SELECT * FROM key_migration_verify('orders') WHERE NOT ok;
SELECT table_name, column_name, kind, used_by FROM key_migration_usage('orders') WHERE kind <> 'index';
-- Back, with what was written meanwhile.
CALL key_migration_rollback('orders');
SELECT key_migration_phase('orders');
SELECT id, "Total" FROM orders WHERE id > 110 ORDER BY id;
SELECT column_name, replace(column_default, 'public.', '') AS column_default FROM information_schema.columns WHERE table_schema = 'shop' AND table_name = 'orders' ORDER BY ordinal_position;
SELECT * FROM key_migration_verify('orders') WHERE NOT ok;
-- Forth again, and to the end.
CALL key_migration_cutover('orders', way => 'view');
INSERT INTO orders DEFAULT VALUES;
CALL key_migration_finalize('orders', confirm => 'orders');
SELECT relname, relkind FROM pg_class WHERE relnamespace = 'shop'::regnamespace AND relkind IN ('r', 'v', 'S') ORDER BY 1;
SELECT attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
WHERE attrelid IN ('orders'::regclass, 'audit'::regclass) AND attnum > 0 AND NOT attisdropped ORDER BY 1, 2;
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'shop'::regnamespace AND contype <> 'n' ORDER BY 1;
SELECT count(*) FROM audit JOIN orders ON id = order_id;
SET ROLE regress_clerk;
INSERT INTO orders DEFAULT VALUES RETURNING "Total";
RESET ROLE;
DROP SCHEMA shop CASCADE;
DROP ROLE regress_clerk;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
