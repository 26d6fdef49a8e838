-- Rules on DELETE, which go on with the old ids until they are replaced if each row has one, and checks that count NULLs, to bigint.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA ruled;
SET search_path = ruled, public;
CREATE TABLE orders (id serial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00', note text);
CREATE TABLE item (no serial PRIMARY KEY, order_id integer REFERENCES orders ON DELETE CASCADE, other_id integer REFERENCES orders, CONSTRAINT one_of CHECK (num_nonnulls(order_id, other_id) = 1));
CREATE TABLE visit (no serial PRIMARY KEY, order_id integer);
CREATE TABLE gone (id text, note text);
INSERT INTO orders (note) SELECT 'order ' || i FROM generate_series(1, 100) AS i;
INSERT INTO item (order_id, other_id) SELECT CASE WHEN i % 2 = 0 THEN i END, CASE WHEN i % 2 = 1 THEN i END FROM generate_series(1, 60) AS i;
CREATE RULE log_id AS ON DELETE TO orders DO ALSO INSERT INTO gone VALUES (OLD.id, OLD.note);
CREATE RULE log_note AS ON DELETE TO orders DO ALSO INSERT INTO gone VALUES (NULL, OLD.note);
INSERT INTO visit (order_id) SELECT generate_series(1, 20);
CREATE RULE of_items AS ON DELETE TO item DO ALSO INSERT INTO gone VALUES (OLD.order_id, 'item');
ANALYZE orders, item, visit;
\set VERBOSITY default
SELECT action || ': ' || split_part(detail, '. ', 1) AS finding FROM key_migration_plan('orders') WHERE detail ~ '^rule';
SELECT action || ': ' || split_part(detail, '. ', 1) AS finding FROM key_migration_plan('orders', target => 'bigint') WHERE detail ~ '^rule';
SELECT key_migration_create('orders', target => 'bigint');
CREATE RULE other AS ON UPDATE TO orders WHERE NEW.note IS NULL DO ALSO INSERT INTO gone VALUES (NULL, NULL);
SELECT key_migration_create('orders');
DROP RULE other ON orders;
SELECT key_migration_create('orders');
-- Without a foreign key, a row can have a key and no old id: its order may come later.
CREATE RULE of_visits AS ON DELETE TO visit DO ALSO INSERT INTO gone VALUES (OLD.order_id, 'visit');
SELECT key_migration_add_reference('orders', 'visit', ARRAY['order_id']);
DROP RULE of_visits ON visit;
\set VERBOSITY terse
SELECT key_migration_add_reference('orders', 'visit', ARRAY['order_id']);
SELECT statement FROM key_migration_statements('orders') \gexec
DELETE FROM orders WHERE id = 70;
CREATE RULE of_visits AS ON DELETE TO visit DO ALSO INSERT INTO gone VALUES (OLD.order_id, 'visit');
CALL key_migration_cutover('orders');
DROP RULE of_visits ON visit;
CALL key_migration_cutover('orders');
DELETE FROM orders WHERE id_old = 71;
WITH o AS (INSERT INTO orders (note) VALUES ('new') RETURNING id) INSERT INTO item (order_id) SELECT id FROM o;
DELETE FROM orders WHERE note = 'new';
SELECT * FROM gone ORDER BY id, note;
CALL key_migration_rollback('orders');
DELETE FROM orders WHERE id = 72;
SELECT statement FROM key_migration_statements('orders') \gexec
CALL key_migration_cutover('orders');
\set VERBOSITY default
CALL key_migration_finalize('orders', confirm => 'orders');
\set VERBOSITY terse
CREATE OR REPLACE RULE log_id AS ON DELETE TO orders DO ALSO INSERT INTO gone VALUES (OLD.id, OLD.note);
CREATE OR REPLACE RULE of_items AS ON DELETE TO item DO ALSO INSERT INTO gone VALUES (OLD.order_id, 'item');
CALL key_migration_finalize('orders', confirm => 'orders');
DELETE FROM item WHERE order_id = (SELECT id FROM orders WHERE note = 'order 2');
DELETE FROM orders WHERE note = 'order 2';
SELECT id ~ '-7' AS is_key, note FROM gone WHERE id ~ '-' OR note = 'order 2' ORDER BY note, 1;
-- A check that counts NULLs moves to the new columns.
DROP TABLE item, orders, visit;
CREATE TABLE orders (id serial PRIMARY KEY, note text);
CREATE TABLE item (no serial PRIMARY KEY, order_id integer REFERENCES orders, other_id integer REFERENCES orders,
    CONSTRAINT one_of CHECK (num_nonnulls(order_id, other_id) = 1), CONSTRAINT not_both CHECK (num_nulls(order_id, other_id, no) >= 1));
INSERT INTO orders (note) SELECT 'order ' || i FROM generate_series(1, 100) AS i;
INSERT INTO item (order_id, other_id) SELECT CASE WHEN i % 2 = 0 THEN i END, CASE WHEN i % 2 = 1 THEN i END FROM generate_series(1, 60) AS i;
CREATE RULE log_note AS ON DELETE TO orders DO ALSO INSERT INTO gone VALUES (NULL, OLD.note);
ANALYZE orders, item;
SELECT action, detail FROM key_migration_plan('orders', target => 'bigint') WHERE action = 'error';
SELECT key_migration_create('orders', target => 'bigint');
SELECT statement FROM key_migration_statements('orders') \gexec
CALL key_migration_cutover('orders');
SELECT setval('orders_id_seq', 3000000000);
WITH o AS (INSERT INTO orders (note) VALUES ('big') RETURNING id) INSERT INTO item (order_id) SELECT id FROM o;
INSERT INTO item (order_id, other_id) SELECT id, 1 FROM orders WHERE note = 'big';
INSERT INTO item (order_id, other_id) VALUES (NULL, NULL);
DELETE FROM item WHERE order_id > 3000000000;
DELETE FROM orders WHERE id > 3000000000;
SELECT setval('orders_id_seq', 1000);
CALL key_migration_rollback('orders');
INSERT INTO item (order_id, other_id) VALUES (1, 2);
SELECT statement FROM key_migration_statements('orders') \gexec
CALL key_migration_cutover('orders');
CALL key_migration_finalize('orders', confirm => 'orders');
INSERT INTO item (order_id, other_id) VALUES (1, 2);
\d item
DROP SCHEMA ruled CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
