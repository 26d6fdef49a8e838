-- What applications do to rows while they have both a number and a key: defaults, copies of rows, either column alone,
-- triggers switched off; and what must not be lost at the end.
-- trap_m13 trap_m17 trap_m21 trap_m22
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA shop;
SET search_path = shop, public;
CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT clock_timestamp(), total integer);
CREATE TABLE audit (no serial PRIMARY KEY, order_id bigint NOT NULL DEFAULT 1 REFERENCES orders ON UPDATE CASCADE, what text);
CREATE TABLE log (about bigint NOT NULL DEFAULT 0, note text);
CREATE TABLE pair (a bigint REFERENCES orders, b bigint REFERENCES orders, CHECK (a <> b), UNIQUE (a, b));
CREATE TABLE copied (no bigint NOT NULL DEFAULT nextval('orders_id_seq'), note text);
CREATE TABLE later (no serial PRIMARY KEY, order_id bigint REFERENCES orders DEFERRABLE INITIALLY DEFERRED);
GRANT SELECT (about) ON log TO PUBLIC;
INSERT INTO orders (created_at, total) SELECT '2024-01-01 00:00:00+00'::timestamptz + i * interval '1 min', i FROM generate_series(1, 100) AS i;
INSERT INTO audit (order_id) SELECT i FROM generate_series(1, 100) AS i;
INSERT INTO log SELECT i, 'old' FROM generate_series(1, 105) AS i;
INSERT INTO pair VALUES (1, 2);
INSERT INTO later (order_id) SELECT i FROM generate_series(1, 10) AS i;
-- Everything that a person should know.
SELECT key_migration_create('orders', include_columns => '{id}');
SELECT key_migration_create('orders');
SELECT key_migration_add_reference('orders', 'orders', '{id}');
SELECT key_migration_add_reference('orders', 'log', '{about,about}');
SELECT table_name, detail FROM key_migration_plan('orders') WHERE step IS NULL AND action <> 'note';
CALL key_migration_advance('orders', through => 'prepared');
-- A row that is copied whole refers to what its number says; one of the table itself has a key of its own.
DO $$
DECLARE r audit; o orders;
BEGIN
    SELECT * INTO r FROM audit WHERE no = 6;
    r.no := 1001; r.order_id := 7;
    INSERT INTO audit SELECT r.*;
    SELECT * INTO o FROM orders WHERE id = 6;
    o.id := 1002;
    INSERT INTO orders SELECT o.*;
END $$;
INSERT INTO audit (no, order_id, order_id_new) SELECT 1003, 6, uuidv7();
SELECT a.no, a.order_id, a.order_id_new = o.id_new AS fits FROM audit AS a JOIN orders AS o ON o.id = a.order_id WHERE a.no > 1000 ORDER BY 1;
SELECT count(*), count(DISTINCT id_new) FROM orders WHERE id_new IS NOT NULL;
SELECT statement FROM key_migration_statements('orders') \gexec
SELECT key_migration_phase('orders');
-- Whoever writes one of the two alone means both.
UPDATE audit SET order_id_new = (SELECT id_new FROM orders WHERE id = 9) WHERE no = 8 RETURNING order_id;
UPDATE audit SET order_id_new = NULL WHERE no = 8 RETURNING order_id_new = (SELECT id_new FROM orders WHERE id = 9) AS fits;
-- What the foreign key would say.
INSERT INTO audit (order_id) VALUES (424242);
\echo :LAST_ERROR_SQLSTATE
UPDATE audit SET order_id = 424242 WHERE no = 8;
\echo :LAST_ERROR_SQLSTATE
-- With triggers switched off anything may be written: it is gone through, and compared, again.
BEGIN;
ALTER TABLE audit DISABLE TRIGGER USER;
UPDATE audit SET order_id = 5 WHERE no = 1;
ALTER TABLE audit ENABLE TRIGGER USER;
COMMIT;
SELECT key_migration_phase('orders');
CALL key_migration_cutover('orders');
SELECT statement FROM key_migration_statements('orders') \gexec
\set VERBOSITY default
CALL key_migration_advance('orders');
\set VERBOSITY terse
UPDATE audit SET order_id_new = NULL WHERE no = 1;
SELECT statement FROM key_migration_statements('orders') \gexec
-- If a foreign key is dropped, its replacement is dropped, too.
ALTER TABLE later DROP CONSTRAINT later_order_id_fkey;
SELECT phase, statement FROM key_migration_plan('orders') WHERE NOT done AND phase < 'w';
SELECT statement FROM key_migration_statements('orders') \gexec
CALL key_migration_cutover('orders');
SELECT key_migration_phase('orders');
-- The key decides now; defaults are those of numbers, and do not.
INSERT INTO audit (order_id) SELECT id FROM orders WHERE id_old = 50 RETURNING order_id_old;
INSERT INTO log (about, note) SELECT id, 'new' FROM orders WHERE id_old = 51 RETURNING about_old;
INSERT INTO audit (what) VALUES ('by default') RETURNING order_id_old, order_id = (SELECT id FROM orders WHERE id_old = 1) AS fits;
UPDATE audit SET order_id_old = 8 WHERE no = 2 RETURNING order_id = (SELECT id FROM orders WHERE id_old = 8) AS fits;
UPDATE audit SET order_id = (SELECT id FROM orders WHERE id_old = 3) WHERE no = 2 RETURNING order_id_old;
-- By way of a foreign key, too.
UPDATE orders SET id_old = 5000 WHERE id_old = 50;
SELECT order_id_old, order_id = (SELECT id FROM orders WHERE id_old = 5000) AS fits FROM audit WHERE order_id_old >= 50 AND order_id_old <> 1002 AND what IS NULL ORDER BY 1 DESC LIMIT 2;
-- What comes later and means the number is in the way of the end, but not of the way back.
CREATE TABLE latest (order_id bigint REFERENCES orders);
\set VERBOSITY default
CALL key_migration_finalize('orders', confirm => 'orders');
CALL key_migration_rollback('orders');
CALL key_migration_rollback('orders');
CALL key_migration_rollback('orders', confirm => 'audit');
\set VERBOSITY terse
DROP TABLE latest;
SELECT statement FROM key_migration_statements('orders') \gexec
CALL key_migration_cutover('orders');
CREATE INDEX on_number ON audit ((order_id_old + 1));
\set VERBOSITY default
CALL key_migration_finalize('orders', confirm => 'orders');
DROP INDEX on_number;
ALTER TABLE pair DROP CONSTRAINT pair_check;
ALTER SEQUENCE orders_id_seq OWNED BY NONE;
-- Numbers that mean nothing would be lost, and rows that mean others than they say. The hint is about rows that can be
-- changed as it says: a column that was NOT NULL still needs a value.
CALL key_migration_finalize('orders', confirm => 'orders');
\set VERBOSITY sqlstate
UPDATE log SET about_old = NULL WHERE about_old > 100 AND about IS NULL;
\set VERBOSITY default
ALTER TABLE log DROP CONSTRAINT log_about_new_given;
CALL key_migration_finalize('orders', confirm => 'orders');
UPDATE log SET about_old = NULL WHERE about_old = 105 AND about IS NULL;
DELETE FROM log WHERE about_old > 100 AND about IS NULL;
BEGIN;
ALTER TABLE audit DISABLE TRIGGER USER;
UPDATE audit SET order_id = (SELECT id FROM orders WHERE id_old = 99) WHERE no = 4;
ALTER TABLE audit ENABLE TRIGGER USER;
COMMIT;
CALL key_migration_finalize('orders', confirm => 'orders');
UPDATE audit SET order_id = (SELECT id FROM orders WHERE id_old = 4) WHERE no = 4;
COMMENT ON COLUMN audit.order_id IS 'by the shop';
\set VERBOSITY terse
CALL key_migration_finalize('orders', confirm => 'orders');
SELECT key_migration_phase('orders');
SELECT col_description('audit'::regclass, attnum) FROM pg_attribute WHERE attrelid = 'audit'::regclass AND attname = 'order_id';
-- A table that is dropped takes its migration along, with the next one.
CREATE TABLE gone (id serial PRIMARY KEY, created_at timestamptz);
CREATE TABLE next_one (id serial PRIMARY KEY, created_at timestamptz);
SELECT key_migration_create('gone');
DROP TABLE gone;
SELECT key_migration_create('next_one');
SELECT relation::regclass, finalized_at IS NULL AS runs FROM keyspace_internal.key_migration ORDER BY 1;
-- A view that somebody has dropped is no hindrance.
CALL key_migration_rollback('next_one');
SELECT key_migration_create('next_one');
SELECT statement FROM key_migration_statements('next_one') \gexec
CALL key_migration_cutover('next_one', way => 'view');
DROP VIEW next_one;
CALL key_migration_rollback('next_one_old');
SELECT key_migration_phase('next_one');
DROP SCHEMA shop CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
