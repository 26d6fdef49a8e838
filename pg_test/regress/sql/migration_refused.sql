-- What a key migration cannot start with.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA shop;
SET search_path = shop, public;
CREATE TABLE orders (id serial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), total integer);
CREATE TABLE item (id serial PRIMARY KEY, order_id integer CONSTRAINT of_order REFERENCES orders);
CREATE VIEW errors AS SELECT table_name, detail FROM key_migration_plan('orders') WHERE action = 'error';
CREATE VIEW warnings AS SELECT table_name, detail FROM key_migration_plan('orders') WHERE action = 'warning';
SELECT * FROM errors;

-- fault_c08_names_that_are_taken: those of every step.
CREATE TABLE orders_pkey_new (x integer);
SELECT * FROM errors;
SELECT key_migration_create('orders');
DROP TABLE orders_pkey_new;
CREATE VIEW orders_pkey_old AS SELECT 1 AS x;
SELECT * FROM errors;
DROP VIEW orders_pkey_old;
CREATE SEQUENCE orders_old;
SELECT * FROM errors;
SELECT * FROM warnings;
DROP SEQUENCE orders_old;
ALTER TABLE item ADD CONSTRAINT of_order_new CHECK (id > 0);
SELECT * FROM errors;
ALTER TABLE item RENAME CONSTRAINT of_order_new TO of_order_old;
SELECT * FROM errors;
-- With other suffixes they are free.
SELECT count(*) FROM key_migration_plan('orders', old_suffix => '_before') WHERE action = 'error';
ALTER TABLE item DROP CONSTRAINT of_order_old;
CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER "~key_migration_update_2" BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION pass();
SELECT * FROM errors;
DROP TRIGGER "~key_migration_update_2" ON item;
-- Cut at 63 bytes, two names are the same, or one is taken.
CREATE TABLE two (
    order_number_with_a_name_that_is_as_long_as_names_can_be_and_one integer REFERENCES orders,
    order_number_with_a_name_that_is_as_long_as_names_can_be_and_two integer REFERENCES orders
);
SELECT * FROM errors ORDER BY detail;
SELECT key_migration_create('orders');
DROP TABLE two;

-- fault_c17_the_limit_of_columns: columns that were dropped count.
CREATE TABLE wide (id integer PRIMARY KEY, created_at timestamptz NOT NULL);
DO $$ BEGIN
    EXECUTE (SELECT 'ALTER TABLE shop.wide ' || string_agg(format('ADD COLUMN c%s integer', i), ', ') FROM generate_series(1, 1598) AS i);
    EXECUTE (SELECT 'ALTER TABLE shop.wide ' || string_agg(format('DROP COLUMN c%s', i), ', ') FROM generate_series(1, 1590) AS i);
END $$;
SELECT action, detail FROM key_migration_plan('wide') WHERE action = 'error';
SELECT key_migration_create('wide');
DROP TABLE wide;
SELECT detail FROM key_migration_plan('orders', include_columns => array_fill('total'::name, ARRAY[32])) WHERE action = 'error';

-- fault_c18_a_sequence_near_its_end
CREATE TABLE small (id smallserial PRIMARY KEY, created_at timestamptz NOT NULL);
SELECT setval('small_id_seq', 29490);
SELECT count(*) FROM key_migration_plan('small') WHERE detail ~ 'values left';
SELECT setval('small_id_seq', 29500);
SELECT detail FROM key_migration_plan('small') WHERE detail ~ 'values left';
-- The column's type counts, too.
ALTER SEQUENCE small_id_seq AS bigint;
SELECT detail FROM key_migration_plan('small') WHERE detail ~ 'values left';
DROP TABLE small;

-- fault_c18_rights_that_are_missing_later: an owner of the tables without the database, or without CREATE.
CREATE ROLE regress_seller;
GRANT USAGE ON SCHEMA shop TO regress_seller;
ALTER TABLE orders OWNER TO regress_seller;
ALTER TABLE item OWNER TO regress_seller;
SET ROLE regress_seller;
SELECT detail FROM key_migration_plan('orders') WHERE action = 'error' ORDER BY detail;
RESET ROLE;
GRANT CREATE ON SCHEMA shop TO regress_seller;
SET ROLE regress_seller;
SELECT regexp_replace(detail, 'rights of .*, the owner', 'rights of somebody, the owner') FROM key_migration_plan('orders') WHERE action = 'error';
RESET ROLE;
ALTER TABLE item OWNER TO CURRENT_USER;
ALTER TABLE orders OWNER TO CURRENT_USER;
DROP OWNED BY regress_seller;
DROP ROLE regress_seller;

-- fault_d01_rows_of_other_servers: a subscription of PostgreSQL's own.
SET client_min_messages = error;
CREATE SUBSCRIPTION regress_from_elsewhere CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE);
SET client_min_messages = warning;
SELECT * FROM errors;
SET allow_system_table_mods = on;
INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate) SELECT oid, 'item'::regclass, 'r' FROM pg_subscription WHERE subname = 'regress_from_elsewhere';
SELECT * FROM errors;
SELECT key_migration_create('orders');
DELETE FROM pg_subscription_rel WHERE srrelid = 'item'::regclass;
RESET allow_system_table_mods;
SELECT * FROM errors;
DROP SUBSCRIPTION regress_from_elsewhere;
-- An extension's catalogs, in whatever schema.
CREATE SCHEMA spock;
CREATE TABLE spock.subscription (sub_id oid, sub_name name);
CREATE TABLE spock.replication_set_table (set_id oid, set_reloid regclass);
INSERT INTO spock.subscription VALUES (1, 'not_of_the_extension');
INSERT INTO spock.replication_set_table VALUES (1, 'orders');
SELECT * FROM errors;
CREATE SCHEMA elsewhere;
CREATE EXTENSION spock SCHEMA elsewhere;
INSERT INTO elsewhere.replication_set_table VALUES (1, 'orders');
SELECT * FROM warnings;
INSERT INTO elsewhere.subscription VALUES (1, 'from_b');
SELECT * FROM errors;
SELECT * FROM warnings;
DELETE FROM elsewhere.replication_set_table;
INSERT INTO elsewhere.local_sync_status VALUES (1, 'shop', 'item'), (1, NULL, NULL);
SELECT * FROM errors;
SELECT * FROM warnings;
DROP EXTENSION spock;
DROP SCHEMA elsewhere;
DROP SCHEMA spock CASCADE;
CREATE SCHEMA elsewhere;
CREATE EXTENSION pgactive SCHEMA elsewhere;
INSERT INTO elsewhere.pgactive_nodes VALUES ('1');
SELECT * FROM errors;
INSERT INTO elsewhere.pgactive_nodes VALUES ('2');
SELECT * FROM errors;
DROP EXTENSION pgactive;
DROP SCHEMA elsewhere;
-- Bucardo replicates by triggers.
CREATE SCHEMA bucardo;
CREATE FUNCTION bucardo.delta_shop_orders() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER bucardo_delta AFTER INSERT OR UPDATE OR DELETE ON orders FOR EACH ROW EXECUTE FUNCTION bucardo.delta_shop_orders();
SELECT * FROM errors;
DROP SCHEMA bucardo CASCADE;
SELECT * FROM errors;

-- fault_c10_references_with_a_type_column
CREATE TABLE audit (record_type text, record_id integer, note text);
INSERT INTO audit VALUES ('Order', 1, 'a'), ('Customer', 1, 'b');
SELECT key_migration_create('orders');
SELECT key_migration_add_reference('orders', 'audit', '{record_id}');
-- Both ways of the hint work.
ALTER TABLE audit ADD COLUMN orders_id integer;
UPDATE audit SET orders_id = record_id WHERE record_type = 'Order';
SELECT key_migration_add_reference('orders', 'audit', '{orders_id}');
CREATE TABLE audit_of_orders (record_type text, record_id integer);
ALTER TABLE audit_of_orders ADD FOREIGN KEY (record_id) REFERENCES orders NOT VALID;
SELECT key_migration_add_reference('orders', 'audit_of_orders', '{record_id}');
SELECT table_name FROM key_migration_progress ORDER BY table_name::text;
CALL key_migration_rollback('orders');
DROP TABLE audit, audit_of_orders;

-- fault_c05_a_copy: the migration is stored for another server, and the triggers are here.
INSERT INTO orders (total) SELECT i FROM generate_series(1, 100) AS i;
INSERT INTO item (order_id) SELECT i FROM generate_series(1, 100) AS i;
SELECT key_migration_adopt('orders');
SELECT key_migration_adopt(NULL);
SELECT key_migration_create('orders');
SELECT statement FROM key_migration_statements('orders') \gexec
CALL key_migration_cutover('orders');
SELECT key_migration_adopt('orders');
CREATE PROCEDURE move_to(server bigint) LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY '{key_migration,key_migration_key,key_migration_column,key_migration_table,key_migration_step}'::text[] LOOP
        CALL keyspace_test.by_hand(format('UPDATE keyspace_internal.%I SET system_identifier = %s', name, server));
    END LOOP;
END $$;
SET session_replication_role = replica;
CALL move_to(1);
RESET session_replication_role;
INSERT INTO orders (total) VALUES (101) RETURNING id_old;
SELECT key_migration_phase('orders');
CALL key_migration_finalize('orders', confirm => 'orders');
-- Not a second migration over live triggers, of none of the tables, and not by way of another migration.
SELECT key_migration_create('orders');
SELECT key_migration_create('item', timestamp_column => 'made_at');
CREATE TABLE customer (id serial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now());
SELECT key_migration_create('customer');
SELECT key_migration_add_reference('customer', 'orders', '{total}');
CALL key_migration_rollback('customer');
CREATE ROLE regress_seller;
GRANT USAGE ON SCHEMA shop TO regress_seller;
SET ROLE regress_seller;
SELECT public.key_migration_adopt('shop.orders');
RESET ROLE;
DROP OWNED BY regress_seller;
DROP ROLE regress_seller;
-- Triggers that are not those of the stored migration.
ALTER TABLE item DISABLE TRIGGER "~key_migration_insert_2";
SELECT key_migration_adopt('orders');
SELECT count(*) FROM key_migration_progress;
ALTER TABLE item ENABLE ALWAYS TRIGGER "~key_migration_insert_2";
-- Any of its tables names it.
SELECT key_migration_adopt('item');
SELECT key_migration_phase('orders'), (SELECT count(*) > 0 FROM key_migration_log) AS has_log;
SELECT key_migration_adopt('orders');
CALL key_migration_rollback('orders');
CALL key_migration_cutover('orders');
CALL key_migration_finalize('orders', confirm => 'orders');
SELECT count(*) FROM orders o LEFT JOIN item i ON i.order_id = o.id;
DROP SCHEMA shop CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
