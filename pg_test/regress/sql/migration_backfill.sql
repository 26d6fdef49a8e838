-- How the backfill writes: rows stay on their pages, no trigger of the user fires unless asked, and what it cannot fill
-- does not hold it up.
-- trap_m07 trap_m08 trap_m09 trap_m24
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA fill;
SET search_path = fill, public;
CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL, total integer, changed integer NOT NULL DEFAULT 0);
CREATE INDEX orders_total ON orders (total);
CREATE INDEX orders_even ON orders (total) WHERE total % 2 = 0;
CREATE INDEX orders_next ON orders ((total + 1));
CREATE INDEX orders_time ON orders USING brin (created_at) WITH (autosummarize = off);
ALTER TABLE orders ADD CONSTRAINT orders_once UNIQUE (total) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE orders ADD CONSTRAINT orders_alone EXCLUDE USING btree (total WITH =);
CREATE TABLE item (orders_id bigint REFERENCES orders, loose bigint, what text, changed integer NOT NULL DEFAULT 0) WITH (fillfactor = 70);
INSERT INTO orders (created_at, total) SELECT '2024-01-01'::timestamptz + i / 3 * interval '1 second', i FROM generate_series(1, 40000) AS i;
INSERT INTO item SELECT CASE WHEN i % 7 > 0 THEN i END, CASE WHEN i % 5 > 0 THEN 100000 + i ELSE i END, repeat('x', i % 90) FROM generate_series(1, 40000) AS i;
CREATE FUNCTION count_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.changed := NEW.changed + 1; RETURN NEW; END $$;
CREATE TRIGGER count_change BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION count_change();
CREATE TRIGGER count_change BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION count_change();
ALTER TABLE item ENABLE REPLICA TRIGGER count_change;
VACUUM ANALYZE orders, item;
CREATE TEMPORARY TABLE sizes AS SELECT oid, relname, pg_relation_size(oid) AS before FROM pg_class WHERE relnamespace = 'fill'::regnamespace AND relkind IN ('r', 'i');
SELECT action, detail FROM key_migration_plan('orders') WHERE step IS NULL AND action <> 'note';
SELECT key_migration_create('orders');
SELECT key_migration_add_reference('orders', 'item', '{loose}');
SELECT key_migration_set('orders', batch_pages => 8);
CALL key_migration_advance('orders', through => 'prepared');
-- On INSERT always, on UPDATE where a session writes itself, and of no column in particular.
SELECT tgrelid::regclass, tgname, tgenabled, tgattr FROM pg_trigger WHERE tgrelid IN ('orders'::regclass, 'item'::regclass) AND tgname ~ '^~' ORDER BY 1, 2;
-- In parts, as between calls of VACUUM; it may be interrupted anywhere.
CALL key_migration_advance('orders', through => 'backfilled', max_pages => 50);
CREATE TEMPORARY TABLE first_keys AS SELECT id, id_new FROM orders WHERE id_new IS NOT NULL;
SELECT count(*) BETWEEN 1000 AND 39000 AS a_part FROM first_keys;
VACUUM orders;
CALL key_migration_advance('orders', through => 'backfilled');
SELECT count(*) FROM first_keys f JOIN orders o USING (id) WHERE f.id_new <> o.id_new;
-- Every row, and what refers to nothing stays.
SELECT count(*) FILTER (WHERE id_new IS NULL) AS without, count(DISTINCT id_new), sum(changed) AS fired FROM orders;
SELECT count(*) FILTER (WHERE orders_id_new IS NULL AND orders_id IS NOT NULL) AS without, count(orders_id_new), count(loose_new), sum(changed) AS fired FROM item;
SELECT * FROM key_migration_verify('orders') WHERE NOT ok;
-- The table does not double, and its indexes hardly grow: entries of rows that move find room on the pages.
SELECT relname, pg_relation_size(oid) < CASE relkind WHEN 'i' THEN 1.1 ELSE 1.75 END * before AS grows_little FROM sizes JOIN pg_class USING (oid, relname) ORDER BY relname;
SELECT table_name, filled_rows, percent FROM key_migration_progress ORDER BY table_name::text;
-- Rows that have moved are in every index, once.
CREATE EXTENSION amcheck;
SELECT relname, bt_index_check(oid, true) FROM pg_class WHERE relnamespace = 'fill'::regnamespace AND relam = (SELECT oid FROM pg_am WHERE amname = 'btree') ORDER BY relname;
DROP EXTENSION amcheck;
SET enable_seqscan = off;
SELECT count(*) FROM orders WHERE total % 2 = 0 AND total BETWEEN 101 AND 200;
SELECT count(*) FROM orders WHERE total + 1 BETWEEN 101 AND 200;
SELECT count(*) FROM orders WHERE created_at >= '2024-01-01 01:00:00';
RESET enable_seqscan;
CALL key_migration_rollback('orders');
-- Where triggers are to fire, queries do it: through the index of the table that is referred to, not by a join.
SELECT key_migration_create('orders', fire_triggers => true);
SELECT action, detail FROM key_migration_plan('orders') WHERE step IS NULL AND action <> 'note' AND detail ~ 'fire';
CALL key_migration_advance('orders', through => 'prepared');
DO $$
DECLARE
    batch text := (SELECT statement FROM key_migration_plan('orders') WHERE table_name = 'item'::regclass AND action = 'backfill existing rows');
    line text;
BEGIN
    SET LOCAL enable_seqscan = off;
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || batch LOOP
        IF line ~ 'Join|Scan' THEN
            RAISE WARNING '%', trim(line);
        END IF;
    END LOOP;
END $$;
CALL key_migration_advance('orders', through => 'backfilled');
SELECT count(*) FILTER (WHERE id_new IS NULL) AS without, sum(changed) AS fired FROM orders;
SELECT * FROM key_migration_verify('orders') WHERE NOT ok;
CALL key_migration_rollback('orders');
DROP SCHEMA fill CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
