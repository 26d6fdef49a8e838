-- Foreign keys and unique constraints that are deferrable, as Django makes them; NOT NULL of references that may wait.
-- fault_c02_time_of_check fault_c15_not_valid
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA shop;
SET search_path = shop, public;
CREATE TABLE orders (tenant integer NOT NULL DEFAULT 1, id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00', UNIQUE (tenant, id));
CREATE TABLE item (
    no serial PRIMARY KEY,
    order_id bigint NOT NULL REFERENCES orders DEFERRABLE INITIALLY DEFERRED,
    pos integer NOT NULL,
    CONSTRAINT item_pos UNIQUE (order_id, pos) DEFERRABLE INITIALLY IMMEDIATE
);
CREATE TABLE note (
    no serial PRIMARY KEY,
    order_id bigint NOT NULL CONSTRAINT note_of REFERENCES orders DEFERRABLE INITIALLY IMMEDIATE,
    once integer,
    CONSTRAINT note_once UNIQUE (order_id, once) DEFERRABLE INITIALLY DEFERRED
);
-- Through a table in between, whose foreign key is the one that waits.
CREATE TABLE bill (order_id bigint UNIQUE REFERENCES orders DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE payment (no serial PRIMARY KEY, order_id bigint NOT NULL REFERENCES bill (order_id));
-- All or none of its columns.
CREATE TABLE pair (no serial PRIMARY KEY, tenant integer, order_id bigint, FOREIGN KEY (tenant, order_id) REFERENCES orders (tenant, id) MATCH FULL DEFERRABLE INITIALLY DEFERRED);
-- A primary key that can be deferred.
CREATE TABLE line (order_id bigint REFERENCES orders, pos integer, PRIMARY KEY (order_id, pos) DEFERRABLE INITIALLY DEFERRED);
-- fault_c15_not_valid: rows from before the foreign key need not refer to anything.
CREATE TABLE old_log (no serial PRIMARY KEY, order_id bigint NOT NULL);
CREATE TABLE log (no serial PRIMARY KEY, about bigint NOT NULL);
INSERT INTO orders (tenant) SELECT 1 FROM generate_series(1, 20);
INSERT INTO item (order_id, pos) SELECT i, p FROM generate_series(1, 20) AS i, generate_series(1, 3) AS p;
INSERT INTO note (order_id, once) SELECT i, i FROM generate_series(1, 20) AS i;
INSERT INTO bill SELECT i FROM generate_series(1, 20) AS i;
INSERT INTO payment (order_id) SELECT i FROM generate_series(1, 20) AS i;
INSERT INTO pair (tenant, order_id) SELECT 1, i FROM generate_series(1, 20) AS i;
INSERT INTO pair DEFAULT VALUES;
INSERT INTO line SELECT i, p FROM generate_series(1, 20) AS i, generate_series(1, 2) AS p;
INSERT INTO old_log (order_id) SELECT i FROM generate_series(1, 20) AS i UNION ALL VALUES (9021), (9022);
ALTER TABLE old_log ADD FOREIGN KEY (order_id) REFERENCES orders NOT VALID;
INSERT INTO log (about) SELECT i FROM generate_series(1, 20) AS i UNION ALL VALUES (9021), (9022);
CREATE TEMPORARY TABLE before AS
SELECT conrelid::regclass::text AS table_name, conname::text, pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE connamespace = 'shop'::regnamespace AND contype <> 'n'
UNION ALL
SELECT attrelid::regclass::text, attname, 'NOT NULL' FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid
WHERE relnamespace = 'shop'::regnamespace AND relkind = 'r' AND attnum > 0 AND attnotnull AND NOT attisdropped;
-- What an application does, in each phase: rows before the row that they refer to, numbers that change places.
CREATE PROCEDURE keep_on(o bigint) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO item (order_id, pos) VALUES (o, 1);
    INSERT INTO bill VALUES (o);
    INSERT INTO payment (order_id) VALUES (o);
    INSERT INTO pair (tenant, order_id) VALUES (1, o);
    SET CONSTRAINTS note_of DEFERRED;
    INSERT INTO note (order_id, once) VALUES (o, 1);
    INSERT INTO orders (id) VALUES (o);
    UPDATE item SET pos = pos + 1;
    UPDATE note SET once = 21 - once WHERE order_id IN (10, 11);
    UPDATE line SET pos = 3 - pos WHERE order_id = 5;
END $$;
-- The same with keys, once they lead.
CREATE PROCEDURE keep_on_with_keys(o uuid) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO item (order_id, pos) VALUES (o, 1);
    INSERT INTO bill (order_id) VALUES (o);
    INSERT INTO payment (order_id) VALUES (o);
    INSERT INTO pair (tenant, order_id) VALUES (1, o);
    SET CONSTRAINTS note_of DEFERRED;
    INSERT INTO note (order_id, once) VALUES (o, 1);
    INSERT INTO orders (id) VALUES (o);
    UPDATE item SET pos = pos + 1;
    UPDATE line SET pos = 3 - pos WHERE order_id = (SELECT order_id FROM line ORDER BY order_id LIMIT 1);
END $$;
SELECT table_name, detail FROM key_migration_plan('orders') WHERE step IS NULL AND action <> 'note' ORDER BY 1, 2;
SELECT key_migration_create('orders');
SELECT key_migration_add_reference('orders', 'log', '{about}');
CALL key_migration_advance('orders', through => 'prepared');
CALL keep_on(1001);
SELECT statement FROM key_migration_statements('orders', through => 'backfilled') \gexec
CALL keep_on(1002);
SELECT statement FROM key_migration_statements('orders', through => 'indexed') \gexec
SELECT key_migration_phase('orders');
SELECT conrelid::regclass, conname, condeferrable, condeferred FROM pg_constraint WHERE connamespace = 'shop'::regnamespace AND conname LIKE '%\_new' ORDER BY conname;
CALL keep_on(1003);
SELECT statement FROM key_migration_statements('orders') \gexec
SELECT key_migration_phase('orders');
CALL keep_on(1004);
SELECT attrelid::regclass, attname, attnotnull FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid
WHERE relnamespace = 'shop'::regnamespace AND relkind = 'r' AND attname LIKE '%\_new' ORDER BY attrelid::regclass::text, attname;
-- A row that refers to nothing is refused at the end of the transaction, by the constraint that it knows.
DO $$
DECLARE c text; t text;
BEGIN
    INSERT INTO item (order_id, pos) VALUES (424242, 1);
    SET CONSTRAINTS ALL IMMEDIATE;
EXCEPTION WHEN foreign_key_violation THEN
    GET STACKED DIAGNOSTICS c = CONSTRAINT_NAME, t = TABLE_NAME;
    RAISE WARNING '% %', t, c;
END $$;
BEGIN;
INSERT INTO item (order_id, pos) VALUES (424242, 1);
COMMIT;
BEGIN;
INSERT INTO pair (tenant, order_id) VALUES (1, 424242);
COMMIT;
INSERT INTO pair (tenant) VALUES (1);
INSERT INTO item (order_id, pos) VALUES (5, 2);
SELECT check_name, table_name, row_count FROM key_migration_verify('orders') WHERE NOT ok;
CALL key_migration_cutover('orders');
SELECT attrelid::regclass, attname, attnotnull FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid
WHERE relnamespace = 'shop'::regnamespace AND relkind = 'r' AND (attname LIKE '%\_old' OR attname IN ('order_id', 'about')) ORDER BY attrelid::regclass::text, attname;
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'shop'::regnamespace AND contype IN ('c', 'f') ORDER BY conrelid::regclass::text, conname;
CALL keep_on_with_keys(uuidv7_from_timestamp('2025-01-01', 1));
SELECT count(*), count(order_id_old) FROM item;
BEGIN;
INSERT INTO item (order_id, pos) VALUES (gen_random_uuid(), 1);
COMMIT;
INSERT INTO item (pos) VALUES (1);
INSERT INTO log (about) VALUES (NULL);
INSERT INTO log (about) VALUES (gen_random_uuid());
DELETE FROM log WHERE about_old IS NULL;
INSERT INTO pair (tenant) VALUES (1);
INSERT INTO item (order_id, pos) SELECT order_id, pos FROM item WHERE no = 5;
-- Back and forth.
CALL key_migration_rollback('orders');
SELECT key_migration_phase('orders');
SELECT * FROM before EXCEPT (
SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'shop'::regnamespace
UNION ALL
SELECT attrelid::regclass::text, attname, 'NOT NULL' FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid
WHERE relnamespace = 'shop'::regnamespace AND relkind = 'r' AND attnotnull) ORDER BY 1, 2;
CALL keep_on(1005);
CALL key_migration_cutover('orders');
CALL keep_on_with_keys(uuidv7_from_timestamp('2025-01-01', 2));
-- Rows that refer to nothing are in the way of the end only.
CALL key_migration_finalize('orders', confirm => 'orders');
DELETE FROM log WHERE about IS NULL;
DELETE FROM old_log WHERE order_id IS NULL;
CALL key_migration_finalize('orders', confirm => 'orders');
CALL keep_on_with_keys(uuidv7_from_timestamp('2025-01-01', 3));
-- Constraints, NOT NULL and times of check are as they were.
SELECT * FROM before EXCEPT (
SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'shop'::regnamespace
UNION ALL
SELECT attrelid::regclass::text, attname, 'NOT NULL' FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid
WHERE relnamespace = 'shop'::regnamespace AND relkind = 'r' AND attnotnull) ORDER BY 1, 2;
SELECT conrelid::regclass, conname FROM pg_constraint WHERE connamespace = 'shop'::regnamespace AND contype <> 'n'
    AND (conrelid::regclass::text, conname::text) NOT IN (SELECT table_name, conname FROM before) ORDER BY 1, 2;
DROP SCHEMA shop CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
