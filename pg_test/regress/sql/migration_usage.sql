-- What still uses the numbers, and two tables that refer to each other, migrated one after the other.
-- trap_m13 trap_m17 trap_m19 trap_m23
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA shop;
SET search_path = shop, public;
CREATE TABLE customer (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), favourite bigint);
CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), customer_id bigint REFERENCES customer);
ALTER TABLE customer ADD CONSTRAINT customer_favourite_fkey FOREIGN KEY (favourite) REFERENCES orders;
INSERT INTO customer (created_at) SELECT '2024-01-01'::timestamptz + i * interval '1 day' FROM generate_series(1, 20) AS i;
INSERT INTO orders (created_at, customer_id) SELECT '2025-01-01'::timestamptz + i * interval '1 hour', i % 20 + 1 FROM generate_series(1, 100) AS i;
UPDATE customer SET favourite = id * 2;
CREATE VIEW latest AS SELECT max(id) AS id FROM orders;
CREATE VIEW all_orders AS SELECT id FROM orders;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY old_ones ON orders USING (id > 0);
CREATE STATISTICS about_orders ON id, customer_id FROM orders;
CREATE FUNCTION by_text() RETURNS bigint LANGUAGE sql AS 'SELECT 1 AS orders, 2 AS id_old; SELECT 1';
CREATE FUNCTION other_words() RETURNS text LANGUAGE sql AS $$ SELECT 'id_older orders_x' $$;
ANALYZE;
-- On a node, whose sequence is not of its class.
SET pg_keyspace.node = 2;
SET pg_keyspace.nodes = 2;
SELECT table_name, detail FROM key_migration_plan('orders') WHERE detail LIKE 'sequence %';
SELECT key_migration_usage(NULL);
SELECT * FROM key_migration_usage('orders');
SELECT key_migration_create('orders');
SELECT statement FROM key_migration_statements('orders') \gexec
CALL key_migration_cutover('orders');
BEGIN;
SELECT sequence, action FROM setup_interleaved_sequences(2, sequences => '{orders_id_seq}');
SELECT count(*) FROM key_migration_plan('orders') WHERE detail LIKE 'sequence %';
ROLLBACK;
RESET pg_keyspace.node;
RESET pg_keyspace.nodes;
SELECT count(*) FROM key_migration_plan('orders') WHERE detail LIKE 'sequence %';
SELECT table_name, column_name, kind, used_by, known_by, detail FROM key_migration_usage('orders') WHERE kind <> 'index';
-- Anybody can create a function, with a body of any length: what is longer than 1 MB is named, and not looked at.
DO $$ BEGIN
    EXECUTE format('CREATE FUNCTION too_long() RETURNS bigint LANGUAGE plpgsql AS %L', 'BEGIN RETURN 1; /* orders id_old' || repeat(' a', 524288) || '*/ END');
    EXECUTE format('CREATE FUNCTION long() RETURNS bigint LANGUAGE plpgsql AS %L', 'BEGIN RETURN 1; /*' || repeat(' a', 524000) || ' orders.id_old*/ END');
END $$;
SELECT table_name, column_name, kind, used_by, known_by, detail FROM key_migration_usage('orders') WHERE kind = 'function' AND used_by LIKE '%long()';
DROP FUNCTION too_long(), long();
-- Names with what means something in a pattern stand for themselves.
CREATE TABLE "o(r$" ("i.d|" bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now());
SELECT key_migration_create('"o(r$"');
CREATE FUNCTION by_odd_names() RETURNS bigint LANGUAGE sql AS $$ SELECT 1 AS "i.D|" -- "o(r$" $$;
CREATE FUNCTION by_others() RETURNS bigint LANGUAGE sql AS $$ SELECT 1 AS "ixd" -- "o(r$" $$;
CREATE FUNCTION by_longer() RETURNS bigint LANGUAGE sql AS $$ SELECT 1 AS "i.d|_" -- "o(r$" $$;
SELECT column_name, used_by FROM key_migration_usage('"o(r$"') WHERE kind = 'function';
-- From PostgreSQL 19 on it cannot be off.
DO $$ BEGIN SET standard_conforming_strings = off; EXCEPTION WHEN OTHERS THEN NULL; END $$;
SELECT column_name, used_by FROM key_migration_usage('"o(r$"') WHERE kind = 'function';
RESET standard_conforming_strings;
CALL key_migration_rollback('"o(r$"');
DROP TABLE "o(r$";
DROP FUNCTION by_odd_names(), by_others(), by_longer();
DROP VIEW latest, all_orders;
DROP POLICY old_ones ON orders;
DROP STATISTICS about_orders;
DROP FUNCTION by_text();
SELECT * FROM key_migration_usage('orders') WHERE kind <> 'index';
-- A table of a migration takes part in no other one until that has ended.
SELECT key_migration_create('customer');
CALL key_migration_finalize('orders', confirm => 'orders');
SELECT key_migration_create('customer');
SELECT statement FROM key_migration_statements('customer') \gexec
CALL key_migration_cutover('customer');
-- Existing rows keep their old ids, and nothing fills them any more.
CALL key_migration_finalize('customer', confirm => 'customer', keep_old_ids => NULL);
CREATE VIEW by_number AS SELECT id_old, id FROM customer;
CALL key_migration_finalize('customer', confirm => 'customer');
CALL key_migration_finalize('customer', confirm => 'customer', keep_old_ids => true);
WITH c AS (INSERT INTO customer DEFAULT VALUES RETURNING id, id_old)
INSERT INTO orders (customer_id) SELECT id FROM c RETURNING customer_id IS NOT NULL AS has_key, customer_id_old;
SELECT count(*), count(id_old), min(id_old), max(id_old) FROM by_number;
SELECT tgname FROM pg_trigger WHERE tgrelid IN ('customer'::regclass, 'orders'::regclass) AND NOT tgisinternal;
SELECT count(*) FROM customer c JOIN orders o ON o.customer_id = c.id;
SELECT count(*) FROM customer c JOIN orders o ON o.id = c.favourite;
SELECT attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
WHERE attrelid IN ('customer'::regclass, 'orders'::regclass) AND attnum > 0 AND NOT attisdropped ORDER BY 1, 2;
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'shop'::regnamespace AND contype <> 'n' ORDER BY 1;
DROP SCHEMA shop CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
