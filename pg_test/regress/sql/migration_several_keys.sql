-- Keys of several tables in one migration: orders refer to customers, these to their last order, and lines to both. By
-- names and by views, back, and to the end.
-- trap_m13 trap_m21 trap_m22
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA shop;
SET search_path = shop, public;
CREATE TABLE customers (
    id serial PRIMARY KEY,
    since timestamptz NOT NULL,
    last_order bigint
);
CREATE TABLE orders (
    id bigserial PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES customers ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    total integer NOT NULL DEFAULT 0,
    UNIQUE (customer_id, id)
);
ALTER TABLE customers ADD FOREIGN KEY (last_order) REFERENCES orders ON DELETE SET NULL;
CREATE TABLE line (
    order_id bigint,
    customer_id integer,
    no smallint,
    PRIMARY KEY (order_id, no),
    FOREIGN KEY (customer_id, order_id) REFERENCES orders (customer_id, id) ON DELETE CASCADE
);
CREATE TABLE log (customer integer, about bigint, note text);
CREATE TABLE vip (customer_id integer PRIMARY KEY REFERENCES customers, since timestamptz);
INSERT INTO customers (since) SELECT '2023-01-01 00:00:00+00'::timestamptz + i * interval '1 hour' FROM generate_series(1, 50) AS i;
INSERT INTO orders (customer_id, created_at) SELECT i % 50 + 1, '2024-01-01 00:00:00+00'::timestamptz + i * interval '1 min' FROM generate_series(1, 300) AS i;
INSERT INTO line SELECT id, customer_id, n FROM orders, generate_series(1, 2) AS n;
UPDATE customers AS c SET last_order = (SELECT max(o.id) FROM orders AS o WHERE o.customer_id = c.id) WHERE id > 5;
INSERT INTO log SELECT i, i, 'old' FROM generate_series(1, 40) AS i;
INSERT INTO vip VALUES (1, now());
CREATE TEMPORARY TABLE before AS SELECT conrelid::regclass::text AS of, conname, pg_get_constraintdef(oid) AS def FROM pg_constraint
WHERE connamespace = 'shop'::regnamespace AND contype <> 'n';
ANALYZE;
SELECT key_migration_create('customers', 'since');
-- What cannot be added.
SELECT key_migration_add_key('customers', NULL);
SELECT key_migration_add_key('orders', 'orders');
SELECT key_migration_add_key('customers', 'customers');
SELECT key_migration_add_key('customers', 'line');
SELECT key_migration_add_key('customers', 'orders', timestamp_column => 'total');
SELECT key_migration_add_key('customers', 'orders', include_columns => '{nothing}');
\set VERBOSITY default
SELECT key_migration_add_key('customers', 'vip');
SELECT key_migration_add_reference('customers', 'log', '{about}', refers_to => 'orders');
SELECT count(*) FROM keyspace_internal.key_migration_key;
-- All of it taken back, and the second key added when the first is filled already.
SELECT key_migration_add_key('customers', 'orders');
CALL key_migration_advance('orders', through => 'prepared');
CALL key_migration_rollback('orders');
SELECT count(*) FROM pg_attribute WHERE attname LIKE '%\_new' AND attrelid::regclass::text IN ('customers', 'orders', 'line', 'log', 'vip');
SELECT (SELECT count(*) FROM keyspace_internal.key_migration) AS migrations, (SELECT count(*) FROM keyspace_internal.key_migration_key) AS keys, (SELECT count(*) FROM keyspace_internal.key_migration_column) AS columns;
SELECT key_migration_create('customers', 'since');
CALL key_migration_advance('customers', through => 'backfilled');
SELECT key_migration_phase('customers');
SELECT key_migration_add_key('customers', 'orders', include_columns => '{total}');
SELECT key_migration_phase('customers');
SELECT key_migration_add_key('customers', 'orders');
SELECT key_migration_create('orders');
\set VERBOSITY terse
SELECT key_migration_add_reference('orders', 'log', '{about}', refers_to => 'orders');
SELECT key_migration_add_reference('customers', 'log', '{customer}', refers_to => 'customers');
SELECT relation::regclass, number, salt, include_columns FROM keyspace_internal.key_migration_key ORDER BY number;
SELECT relation::regclass, attribute, key_relation::regclass, declared FROM keyspace_internal.key_migration_column ORDER BY relation::regclass::text COLLATE "C", attribute;
-- Either table stands for the migration.
SELECT step, phase, table_name, action, lock FROM key_migration_plan('orders') WHERE phase <> 'backfilled';
SELECT detail FROM key_migration_plan('orders') WHERE step IS NULL AND action <> 'note';
CALL key_migration_advance('orders', through => 'prepared');
SELECT key_migration_phase('customers'), key_migration_phase('orders');
-- Rows from now on: a new customer, an order of his and its lines, an order of one who has no key yet.
WITH c AS (INSERT INTO customers (since) VALUES (now()) RETURNING id),
     o AS (INSERT INTO orders (customer_id, created_at) SELECT id, now() FROM c RETURNING id, customer_id),
     l AS (INSERT INTO log SELECT customer_id, id, 'new' FROM o)
INSERT INTO line SELECT id, customer_id, 1 FROM o;
INSERT INTO orders (customer_id, created_at) VALUES (7, now());
UPDATE customers SET last_order = 302 WHERE id = 7;
SELECT statement FROM key_migration_statements('orders') \gexec
SELECT key_migration_phase('orders');
SELECT table_name, column_name, check_name, ok, row_count, example FROM key_migration_verify('orders') WHERE check_name NOT IN ('digest', 'rows') AND (NOT ok OR row_count > 0);
SELECT count(*), count(*) FILTER (WHERE o.customer_id_new = c.id_new) AS fit FROM orders AS o JOIN customers AS c ON c.id = o.customer_id;
SELECT count(*), count(*) FILTER (WHERE c.last_order_new = o.id_new) AS fit FROM customers AS c JOIN orders AS o ON o.id = c.last_order;
SELECT count(*), count(*) FILTER (WHERE (l.order_id_new, l.customer_id_new) = (o.id_new, o.customer_id_new)) AS fit FROM line AS l JOIN orders AS o ON o.id = l.order_id;
SELECT count(*), count(*) FILTER (WHERE (l.about_new, l.customer_new) = (o.id_new, c.id_new)) AS fit FROM log AS l JOIN orders AS o ON o.id = l.about JOIN customers AS c ON c.id = l.customer;
SELECT count(*) FROM orders WHERE id_new = uuidv7_from_timestamp(created_at, id, 'shop.orders') AND customer_id_new = (SELECT uuidv7_from_timestamp(since, id, 'shop.customers') FROM customers WHERE id = customer_id);
SELECT indexdef FROM pg_indexes WHERE schemaname = 'shop' AND indexname = 'orders_pkey_new';
CALL key_migration_cutover('orders');
SELECT key_migration_add_key('customers', 'vip');
-- All of it by keys, and with numbers beside them.
WITH c AS (INSERT INTO customers (since) VALUES (now()) RETURNING id),
     o AS (INSERT INTO orders (customer_id, created_at) SELECT id, now() FROM c RETURNING id, customer_id),
     l AS (INSERT INTO log (customer, about, note) SELECT customer_id, id, 'by key' FROM o)
INSERT INTO line (order_id, customer_id, no) SELECT id, customer_id, 1 FROM o;
SELECT o.id_old, o.customer_id_old, l.order_id_old, l.customer_id_old, g.about_old, g.customer_old
FROM log AS g JOIN orders AS o ON o.id = g.about JOIN line AS l ON l.order_id = o.id WHERE g.note = 'by key';
SELECT table_name, column_name, kind, used_by FROM key_migration_usage('orders') WHERE kind <> 'index';
CALL key_migration_rollback('orders');
SELECT table_name, column_name, check_name, ok, row_count, example FROM key_migration_verify('customers') WHERE check_name NOT IN ('digest', 'rows') AND (NOT ok OR row_count > 0);
SELECT count(*), count(*) FILTER (WHERE l.order_id_new = o.id_new) AS fit FROM line AS l JOIN orders AS o ON o.id = l.order_id AND o.customer_id = l.customer_id;
-- By views; either view stands for the migration, too.
CALL key_migration_cutover('customers', way => 'view');
SELECT key_migration_phase('orders'), count(*) FROM customers AS c JOIN orders AS o ON o.customer_id = c.id;
SELECT count(*) FROM key_migration_usage('orders') WHERE kind = 'statement';
INSERT INTO orders (customer_id, created_at) SELECT id, now() FROM customers WHERE id_old = 9 RETURNING id_old, customer_id_old;
CALL key_migration_finalize('orders', confirm => 'orders');
CALL key_migration_finalize('orders', confirm => 'customers');
-- What is left is what a person would have written.
SELECT of, conname, def FROM before EXCEPT ALL
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'shop'::regnamespace AND contype <> 'n';
SELECT attrelid::regclass, attname, format_type(atttypid, NULL), attnotnull, replace(pg_get_expr(adbin, adrelid), 'public.', '') AS default
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid IN ('customers'::regclass, 'orders'::regclass, 'line'::regclass, 'log'::regclass, 'vip'::regclass) AND attnum > 0 AND NOT attisdropped
ORDER BY attrelid::regclass::text COLLATE "C", attname COLLATE "C";
SELECT count(*) FROM line JOIN orders AS o ON o.id = order_id JOIN customers AS c ON c.id = o.customer_id AND c.id = line.customer_id;
SELECT count(*) FROM keyspace_internal.key_migration_key;
-- What is a key already is none to be migrated.
SELECT key_migration_create('vip', 'since');
DROP SCHEMA shop CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
