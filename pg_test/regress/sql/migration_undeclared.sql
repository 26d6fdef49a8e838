-- Columns that look like references, without a foreign key: the plan proposes them, with the share of a sample of their values
-- that are ids of the table.
-- fault_c10_references_that_nobody_declared
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE ROLE owner_of_orders;
CREATE ROLE owner_of_secrets;
CREATE SCHEMA undeclared;
GRANT CREATE, USAGE ON SCHEMA undeclared TO owner_of_orders, owner_of_secrets;
SET search_path = undeclared, public;
CREATE TABLE shop_orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
INSERT INTO shop_orders SELECT FROM generate_series(1, 500);
-- Most are ids; 0 means none.
CREATE TABLE log (no serial PRIMARY KEY, order_id bigint NOT NULL);
INSERT INTO log (order_id) SELECT CASE WHEN i % 5 = 0 THEN 0 ELSE i END FROM generate_series(1, 500) AS i;
-- Larger than a sample.
CREATE TABLE visits (no serial PRIMARY KEY, "orderId" integer, page text);
INSERT INTO visits ("orderId", page) SELECT i % 500 + 1, repeat('x', 300) FROM generate_series(1, 20000) AS i;
-- Kinds of rows, of which some are called by the name of the table.
CREATE TABLE notes (no serial PRIMARY KEY, subject_type text NOT NULL, subject_id bigint NOT NULL);
INSERT INTO notes (subject_type, subject_id) SELECT (ARRAY['Shop::Order', 'Customer'])[i % 2 + 1], i FROM generate_series(1, 100) AS i;
CREATE TABLE tags (kind_of text, tagged_id bigint, tagged_type text);
INSERT INTO tags VALUES ('a', 1, 'Customer');
-- Texts that hold numbers.
CREATE TABLE printed (no serial PRIMARY KEY, order_id text);
INSERT INTO printed (order_id) SELECT i::text FROM generate_series(1, 10) AS i;
CREATE TABLE mails (no serial PRIMARY KEY, order_ref varchar(20));
INSERT INTO mails (order_ref) VALUES ('1'), ('2'), ('A-7'), (NULL);
-- Numbers that are something else, no rows, a type of something else, declared ones, and a temporary table.
CREATE TABLE stock (order_id integer);
INSERT INTO stock SELECT 100000 + i FROM generate_series(1, 10) AS i;
CREATE TABLE empty_one (fk_order smallint);
CREATE TABLE shipments (order_id bigint, order_type text);
INSERT INTO shipments VALUES (1, 'retail');
CREATE TABLE declared (order_id bigint REFERENCES shop_orders);
CREATE TEMP TABLE passing (order_id bigint);
CREATE TABLE unrelated (shop_id bigint, order_total bigint, id bigint);
-- An id of its own table, next to the name of a kind, and a number that is no kind.
CREATE TABLE kinds (id bigserial PRIMARY KEY, model text, content_type text);
INSERT INTO kinds (model, content_type) VALUES ('Order', 'Order'), ('Customer', 'Customer');
CREATE TABLE services (no serial PRIMARY KEY, order_id bigint, order_resource_id bigint);
INSERT INTO services (order_id, order_resource_id) VALUES (1, 7);
-- Those that have to become another type first.
CREATE TYPE what AS ENUM ('order', 'customer');
CREATE TABLE padded (order_id char(6));
INSERT INTO padded VALUES ('1'), ('2');
CREATE TABLE listed (order_type what, order_id bigint);
INSERT INTO listed VALUES ('order', 1), ('customer', 2);
CREATE VIEW proposed AS SELECT action, table_name::text, detail FROM key_migration_plan('shop_orders') WHERE detail ~ ', without a foreign key' ORDER BY action DESC, table_name::text;
\pset format unaligned
\pset tuples_only on
SELECT * FROM proposed;

-- What the hints say.
SELECT key_migration_create('shop_orders');
-- References of several kinds are refused without their type column.
SELECT key_migration_add_reference('shop_orders', 'notes', '{subject_id}');
SELECT key_migration_add_reference('undeclared.shop_orders', 'undeclared.log', '{order_id}', null_values => '{0}');
SELECT key_migration_add_reference('undeclared.shop_orders', 'undeclared.visits', '{orderId}');
SELECT key_migration_add_reference('undeclared.shop_orders', 'undeclared.notes', '{subject_id}', type_column => 'subject_type', type_values => '{"Shop::Order"}');
SELECT key_migration_add_reference('undeclared.shop_orders', 'undeclared.printed', '{order_id}');
SELECT key_migration_add_reference('undeclared.shop_orders', 'undeclared.mails', '{order_ref}');
SELECT action, table_name FROM proposed;
SELECT statement FROM key_migration_statements('shop_orders') \gexec
SELECT key_migration_phase('shop_orders');
SELECT table_name, check_name, row_count FROM key_migration_verify('shop_orders') WHERE NOT ok OR check_name = 'orphans' ORDER BY table_name::text;
CALL key_migration_cutover('shop_orders');
-- Nothing is proposed while columns have other names.
SELECT count(*) FROM proposed;
SELECT order_ref_old, order_ref IS NOT NULL FROM mails ORDER BY no;
UPDATE mails SET order_ref_old = NULL WHERE order_ref IS NULL;
CALL key_migration_finalize('shop_orders', confirm => 'shop_orders');
SELECT key_migration_phase('shop_orders');

-- Without the rights of a table's owner, its values are not read.
CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL);
ALTER TABLE orders OWNER TO owner_of_orders;
DROP VIEW proposed;
DROP TABLE log, visits, notes, printed, mails, stock, empty_one, shipments, declared, shop_orders, tags, unrelated, kinds, services;
SET SESSION AUTHORIZATION owner_of_secrets;
CREATE TABLE secrets (no integer, order_id bigint, subject_id bigint, subject_type text);
INSERT INTO secrets VALUES (1, 1, 1, 'Order');
SET SESSION AUTHORIZATION owner_of_orders;
SELECT action, detail FROM key_migration_plan('orders') WHERE table_name = 'secrets'::regclass ORDER BY detail;
RESET SESSION AUTHORIZATION;
GRANT owner_of_secrets TO owner_of_orders;
SET SESSION AUTHORIZATION owner_of_orders;
SELECT action, detail FROM key_migration_plan('orders') WHERE table_name = 'secrets'::regclass ORDER BY detail;
RESET SESSION AUTHORIZATION;
-- Nor if policies hide rows from the owner.
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SET SESSION AUTHORIZATION owner_of_orders;
SELECT action, detail FROM key_migration_plan('orders') WHERE table_name = 'secrets'::regclass ORDER BY detail;
RESET SESSION AUTHORIZATION;
DROP SCHEMA undeclared CASCADE;
DROP ROLE owner_of_orders, owner_of_secrets;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
