-- Indexes that are not valid: builds of them were interrupted. They are not built for keys, and go with the old column.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA odd;
SET search_path = odd, public;
CREATE TABLE customer (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), customer_id bigint REFERENCES customer);
\set VERBOSITY terse
INSERT INTO customer SELECT FROM generate_series(1, 5);
INSERT INTO orders (customer_id) SELECT i % 5 + 1 FROM generate_series(1, 20) AS i;
CREATE INDEX orders_customer ON orders (customer_id);
CREATE UNIQUE INDEX CONCURRENTLY orders_customer_once ON orders (customer_id);
REINDEX INDEX CONCURRENTLY orders_customer_once;
SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid = 'orders'::regclass ORDER BY indexrelid::regclass::text;
SELECT key_migration_create('customer');
SELECT action, detail FROM key_migration_plan('customer') WHERE step IS NULL AND action <> 'note';
SELECT action FROM key_migration_plan('customer') WHERE phase = 'indexed';
SELECT statement FROM key_migration_statements('customer') \gexec
CALL key_migration_cutover('customer');
SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid = 'orders'::regclass ORDER BY indexrelid::regclass::text;
CALL key_migration_rollback('customer');
SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid = 'orders'::regclass ORDER BY indexrelid::regclass::text;
SELECT statement FROM key_migration_statements('customer') \gexec
CALL key_migration_cutover('customer');
-- One on the column of keys is none to go on with either.
CREATE UNIQUE INDEX CONCURRENTLY customer_id_once ON orders (customer_id);
CALL key_migration_finalize('customer', confirm => 'customer');
SELECT indexrelid::regclass, indisvalid, pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid IN ('orders'::regclass, 'customer'::regclass) ORDER BY indexrelid::regclass::text;
DROP SCHEMA odd CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
