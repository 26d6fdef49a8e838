-- References in no order: the rows that they refer to are looked up in windows, ahead of the batches that write them.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA ahead;
SET search_path = ahead, public;
CREATE TABLE root (id bigint PRIMARY KEY, created_at timestamptz NOT NULL);
-- A reference that is declared; one that is not, of another type, with rows that refer to nothing; one to the same table.
CREATE TABLE item (
    id integer PRIMARY KEY,
    created_at timestamptz NOT NULL,
    root_id bigint REFERENCES root,
    loose integer,
    parent integer REFERENCES item DEFERRABLE
);
CREATE FUNCTION random_of(i integer, most integer) RETURNS integer LANGUAGE sql IMMUTABLE AS
$$ SELECT (hashint8extended(i, 7) & 2147483647)::bigint % most + 1 $$;
INSERT INTO root SELECT i * 3, '2024-01-01'::timestamptz + i * interval '1 minute' FROM generate_series(-50, 5000) AS i;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO item SELECT i, '2024-06-01'::timestamptz + i * interval '1 second', CASE WHEN i % 11 > 0 THEN 3 * random_of(i, 5000) END,
    CASE WHEN i % 5 > 0 THEN random_of(-i, 20000) END, CASE WHEN i % 3 > 0 THEN random_of(i + 1, 25000) END FROM generate_series(1, 25000) AS i;
COMMIT;
CREATE TABLE before AS TABLE item;
VACUUM ANALYZE root, item;
SELECT count(DISTINCT root_id) BETWEEN 3000 AND 4999 AS repeats, count(loose) FILTER (WHERE loose NOT IN (SELECT id FROM root)) > 5000 AS orphans FROM item;
CREATE PROCEDURE check_item() LANGUAGE plpgsql AS $$
DECLARE wrong bigint;
BEGIN
    SELECT count(*) INTO wrong FROM before AS b LEFT JOIN item AS i USING (id)
    WHERE (i.created_at, i.root_id, i.loose, i.parent) IS DISTINCT FROM (b.created_at, b.root_id, b.loose, b.parent)
        OR i.root_id_new IS DISTINCT FROM (SELECT r.id_new FROM root AS r WHERE r.id = b.root_id)
        OR i.loose_new IS DISTINCT FROM (SELECT r.id_new FROM root AS r WHERE r.id = b.loose);
    IF wrong > 0 OR EXISTS (SELECT FROM item WHERE (root_id_new IS NULL) <> (root_id IS NULL)) THEN
        RAISE EXCEPTION '% rows have another key than the row that they refer to', wrong;
    END IF;
END $$;
-- With little memory, a window ends on any page; with more, where a part ends.
\set more 'CALL key_migration_advance(''root'', through => ''backfilled'', max_pages => 70)'
SET maintenance_work_mem = '1MB';
SELECT key_migration_create('root');
SELECT key_migration_add_reference('root', 'item', '{loose}');
SELECT key_migration_set('root', batch_pages => 2);
CALL key_migration_advance('root', through => 'prepared');
CALL key_migration_advance('root', through => 'backfilled');
CALL check_item();
SELECT * FROM key_migration_verify('root') WHERE NOT ok;
CALL key_migration_rollback('root');
RESET maintenance_work_mem;
SELECT key_migration_create('root');
SELECT key_migration_add_reference('root', 'item', '{loose}');
SELECT key_migration_set('root', batch_pages => 3);
CALL key_migration_advance('root', through => 'prepared');
:more;
:more;
SELECT key_migration_phase('root') AS phase, count(*) FILTER (WHERE root_id_new IS NULL AND root_id IS NOT NULL) > 0 AS is_part FROM item;
SET maintenance_work_mem = '1MB';
:more;
RESET maintenance_work_mem;
CALL key_migration_advance('root', through => 'backfilled');
CALL check_item();
SELECT * FROM key_migration_verify('root') WHERE NOT ok;
SELECT filled_rows = (SELECT count(*) FROM item WHERE num_nonnulls(root_id_new, loose_new) > 0) AS once, percent FROM key_migration_progress WHERE table_name = 'item'::regclass;
-- A reference whose keys may have been derived with another time before: they are compared, and replaced.
CALL key_migration_rollback('root');
SELECT key_migration_create('root', timestamp_expression => 'created_at');
SELECT key_migration_set('root', batch_pages => 2);
CALL key_migration_advance('root', through => 'prepared');
INSERT INTO item SELECT id + 30000, created_at, root_id, loose FROM item WHERE id <= 3000;
CALL key_migration_advance('root', through => 'backfilled');
SELECT count(*) AS wrong FROM item AS i LEFT JOIN root AS r ON r.id = i.root_id WHERE i.root_id_new IS DISTINCT FROM r.id_new;
SELECT * FROM key_migration_verify('root') WHERE NOT ok;
CALL key_migration_rollback('root');
DELETE FROM item WHERE id > 25000;
-- A table that refers to itself, and gets its own keys in the same pass.
SELECT key_migration_create('item');
SELECT key_migration_set('item', batch_pages => 2);
CALL key_migration_advance('item', through => 'prepared');
CALL key_migration_advance('item', through => 'backfilled');
SELECT count(*) FILTER (WHERE i.parent_new IS DISTINCT FROM p.id_new) AS wrong, count(i.parent_new) = count(i.parent) AS all_of_them, count(DISTINCT i.id_new)
FROM item AS i LEFT JOIN item AS p ON p.id = i.parent;
SELECT * FROM key_migration_verify('item') WHERE NOT ok;
CALL key_migration_rollback('item');
DROP SCHEMA ahead CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
