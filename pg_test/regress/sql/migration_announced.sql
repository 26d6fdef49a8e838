-- What the plan of a key migration says before anything starts, what the cut-over refuses, and what is seen in between.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA shop;
SET search_path = shop, public;

-- fault_c03_a_key_without_a_default: the application assigns the ids, as Hibernate does.
CREATE TABLE invoice (id bigint PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
INSERT INTO invoice (id) SELECT i * 50 FROM generate_series(1, 100) AS i;
ANALYZE invoice;
SELECT action, detail FROM key_migration_plan('invoice') WHERE detail ~ 'no default';
SELECT key_migration_create('invoice');
SELECT statement FROM key_migration_statements('invoice') \gexec
CALL key_migration_cutover('invoice');
SELECT key_migration_phase('invoice');
CALL key_migration_cutover('invoice', ignore => '{else}');
CALL key_migration_cutover('invoice', ignore => '{NULL}');
CALL key_migration_cutover('invoice', ignore => NULL);
CALL key_migration_cutover('invoice', ignore => '{default}');
-- As announced: an INSERT that does not name the old id fails.
\set VERBOSITY sqlstate
INSERT INTO invoice DEFAULT VALUES;
\set VERBOSITY default
\echo :LAST_ERROR_SQLSTATE
INSERT INTO invoice (id_old) VALUES (6000);
CALL key_migration_rollback('invoice');
-- What the hint says works, whatever is done in between.
CREATE SEQUENCE invoice_id_seq START WITH 2000000 OWNED BY invoice.id;
ALTER TABLE invoice ALTER COLUMN id SET DEFAULT nextval('invoice_id_seq');
SELECT count(*) FROM key_migration_plan('invoice') WHERE detail ~ 'no default';
CALL key_migration_cutover('invoice');
INSERT INTO invoice DEFAULT VALUES RETURNING id_old;
CALL key_migration_finalize('invoice', confirm => 'invoice');
SELECT to_regclass('invoice_id_seq'), (SELECT count(*) FROM invoice);
-- A default of the column's type is a default.
CREATE DOMAIN number AS bigint DEFAULT 1;
CREATE TABLE by_domain (id number PRIMARY KEY, created_at timestamptz NOT NULL);
SELECT count(*) FROM key_migration_plan('by_domain') WHERE detail ~ 'no default';
DROP TABLE by_domain;
DROP DOMAIN number;

-- fault_c04_trigger_functions_of_the_table: they name the column, and not the table.
CREATE TABLE orders (id serial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00', total integer DEFAULT 0);
CREATE TABLE item (id serial PRIMARY KEY, order_id integer REFERENCES orders);
CREATE TABLE history (order_id bigint);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO shop.history VALUES (NEW.ID); RETURN NEW; END $$;
CREATE FUNCTION note_always() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO shop.history VALUES (coalesce(to_jsonb(NEW) ->> 'id_old', to_jsonb(NEW) ->> 'id')::bigint);
    RETURN NEW;
END $$;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.total := NEW.total + 1; RETURN NEW; END $$;
CREATE FUNCTION whole() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO shop.copies SELECT OLD.*; RETURN NULL; END $$;
CREATE FUNCTION by_name() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
DO $$ BEGIN
    EXECUTE format('CREATE FUNCTION very_long() RETURNS trigger LANGUAGE plpgsql AS %L', 'BEGIN RETURN NEW; /*' || repeat(' a', 524288) || '*/ END');
END $$;
CREATE TRIGGER notes BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER counts BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER copies AFTER DELETE ON orders FOR EACH ROW EXECUTE FUNCTION whole();
CREATE TRIGGER names BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION by_name('order_id');
CREATE TRIGGER long BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION very_long();
INSERT INTO orders (total) SELECT i FROM generate_series(1, 100) AS i;
INSERT INTO item (order_id) SELECT i FROM generate_series(1, 100) AS i;
SELECT table_name, action, detail FROM key_migration_plan('orders') WHERE detail ~ '^trigger ' ORDER BY table_name::text, detail;
-- What the hint says works in each phase.
SELECT key_migration_create('orders');
SELECT used_by, detail FROM key_migration_usage('orders') WHERE known_by = 'trigger' ORDER BY used_by;
DROP TRIGGER notes ON orders;
CREATE TRIGGER notes BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION note_always();
TRUNCATE history;
-- fault_c11_percent_from_the_first_second
SELECT table_name, filled_rows, percent FROM key_migration_progress ORDER BY table_name::text;
-- fault_c18_the_number_of_statements_is_told
SELECT detail FROM key_migration_plan('orders') WHERE action = 'note' AND detail ~ 'statements';
SELECT count(*) FROM key_migration_statements('orders');
SELECT regexp_replace(detail, '\d+ (bytes|kB|MB)', 'so much', 'g') FROM key_migration_plan('orders') WHERE action = 'note' AND detail ~ 'WAL';
CALL key_migration_advance('orders', through => 'prepared');
INSERT INTO orders (total) VALUES (0);
SELECT statement FROM key_migration_statements('orders') \gexec
SELECT table_name, filled_rows, percent FROM key_migration_progress ORDER BY table_name::text;
SELECT action FROM key_migration_plan('orders') WHERE action ~ 'statistics' AND done ORDER BY step;
SELECT tablename, attname FROM pg_stats WHERE schemaname = 'shop' AND attname LIKE '%\_new' ORDER BY 1, 2;

-- fault_c18_the_cut_over_needs_statistics: an upgrade may lose them.
DO $$ BEGIN
    DELETE FROM pg_statistic WHERE starelid = 'shop.item'::regclass;
END $$;
CALL key_migration_cutover('orders');
SELECT statement FROM key_migration_statements('orders');
BEGIN;
SELECT phase, statement FROM key_migration_plan('orders') WHERE NOT done ORDER BY step;
ROLLBACK;
CALL key_migration_cutover('orders', way => 'view', ignore => '{statistics}');
CALL key_migration_rollback('orders');
ANALYZE item (order_id_new);
-- fault_c08_names_that_are_taken: what is created meanwhile is found before any lock is taken.
CREATE VIEW orders_pkey_old AS SELECT 1 AS one;
CREATE TYPE orders_old AS ENUM ('a');
CALL key_migration_cutover('orders');
CALL key_migration_cutover('orders', way => 'view');
DROP VIEW orders_pkey_old;
CALL key_migration_cutover('orders', way => 'view');
DROP TYPE orders_old;
CALL key_migration_cutover('orders');
INSERT INTO orders (total) VALUES (0);
SELECT order_id FROM history ORDER BY order_id;
SELECT used_by FROM key_migration_usage('orders') WHERE known_by = 'trigger' ORDER BY used_by;

-- fault_c12_a_reference_to_the_old_id_after_the_cut_over
CREATE TABLE late (order_id integer REFERENCES orders, n integer);
INSERT INTO late VALUES (1, 1);
SELECT table_name, check_name, ok FROM key_migration_verify('orders') WHERE check_name = 'rows' ORDER BY table_name::text;
SELECT table_name, kind, used_by FROM key_migration_usage('orders') WHERE kind = 'constraint';
CALL key_migration_finalize('orders', confirm => 'orders');
-- Both ways of the hint work.
SET client_min_messages = error;
CALL key_migration_rollback('orders');
SELECT statement FROM key_migration_statements('orders') \gexec
CALL key_migration_cutover('orders');
RESET client_min_messages;
SET client_min_messages = warning;
SELECT l.n, l.order_id = o.id AS fits FROM late l JOIN orders o ON o.id_old = l.order_id_old;
CREATE TABLE later (order_id integer REFERENCES orders);
ALTER TABLE later DROP CONSTRAINT later_order_id_fkey;
SELECT table_name FROM key_migration_verify('orders') WHERE check_name = 'rows' ORDER BY table_name::text;
CALL key_migration_finalize('orders', confirm => 'orders');
SELECT key_migration_phase('orders'), (SELECT percent FROM key_migration_progress WHERE migration = 'orders'::regclass);
DROP TABLE late, later, item, orders, invoice;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
DROP SCHEMA shop CASCADE;
