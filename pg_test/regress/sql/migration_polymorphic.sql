-- References of several kinds of rows: a type column says to which table a row refers. Only rows of one kind get keys, in a column
-- of their own; the old column stays for all others.
-- fault_c10_references_with_a_type_column
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA polymorphic;
SET search_path = polymorphic, public;
\pset format unaligned
\pset tuples_only on
CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
CREATE TABLE customers (id bigserial PRIMARY KEY);
INSERT INTO orders SELECT FROM generate_series(1, 100);
INSERT INTO customers SELECT FROM generate_series(1, 100);
-- As Rails has it: a class name, and not null.
CREATE TABLE notes (no serial PRIMARY KEY, record_type varchar(40) NOT NULL, record_id bigint NOT NULL, text text,
    CONSTRAINT notes_once UNIQUE (record_type, record_id, text), CONSTRAINT notes_positive CHECK (record_id > 0));
CREATE INDEX notes_record ON notes (record_type, record_id);
CREATE INDEX notes_odd ON notes ((record_id % 10));
INSERT INTO notes (record_type, record_id, text) SELECT (ARRAY['Order', 'Customer', 'Shop::Order', 'order'])[i % 4 + 1], i, 'n' FROM generate_series(1, 100) AS i;
-- As Django has it: a number, and an integer for the object.
CREATE TABLE log (no serial PRIMARY KEY, content_type_id integer, object_id integer);
INSERT INTO log (content_type_id, object_id) SELECT CASE WHEN i % 5 < 4 THEN i % 5 END, CASE WHEN i % 7 > 0 THEN i END FROM generate_series(1, 100) AS i;
-- With a foreign key on another column of the same table, and an index on both.
CREATE TABLE events (no serial PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders, about_type char(10), about_id bigint);
CREATE INDEX events_both ON events (order_id, about_id);
INSERT INTO events (order_id, about_type, about_id) SELECT i, (ARRAY['Order', 'Customer'])[i % 2 + 1], 101 - i FROM generate_series(1, 100) AS i;

SELECT key_migration_create('orders');
-- Refused: both or neither, no such column, no such values, a column of another type, with a foreign key.
SELECT key_migration_add_reference('orders', 'notes', '{record_id}');
SELECT key_migration_add_reference('orders', 'notes', '{record_id}', type_column => 'record_type');
SELECT key_migration_add_reference('orders', 'notes', '{record_id}', type_values => '{Order}');
SELECT key_migration_add_reference('orders', 'notes', '{record_id}', type_column => 'record_type', type_values => '{}');
SELECT key_migration_add_reference('orders', 'notes', '{record_id}', type_column => 'record_type', type_values => '{NULL}');
SELECT key_migration_add_reference('orders', 'notes', '{record_id}', type_column => 'missing', type_values => '{Order}');
SELECT key_migration_add_reference('orders', 'notes', '{record_id}', type_column => 'record_id', type_values => '{1}');
SELECT key_migration_add_reference('orders', 'log', '{object_id}', type_column => 'content_type_id', type_values => '{Order}');
SELECT key_migration_add_reference('orders', 'log', '{object_id}', type_column => 'content_type_id', type_values => '{03}');
SELECT key_migration_add_reference('orders', 'events', '{order_id}', type_column => 'about_type', type_values => '{Order}');
SELECT key_migration_add_reference('orders', 'events', '{about_id}', type_column => 'order_id', type_values => '{1}');
SELECT key_migration_add_reference('orders', 'orders', '{id}', type_column => 'created_at', type_values => '{Order}');
-- Rows that refer to such rows have no condition.
ALTER TABLE log ADD CONSTRAINT log_both UNIQUE (content_type_id, object_id);
CREATE TABLE pins (content_type_id integer, object_id integer, CONSTRAINT pins_log FOREIGN KEY (content_type_id, object_id) REFERENCES log (content_type_id, object_id));
SELECT key_migration_add_reference('orders', 'log', '{object_id}', type_column => 'content_type_id', type_values => '{3}');
SELECT key_migration_add_reference('orders', 'log', '{object_id}', null_values => '{0}');
DROP TABLE pins;
ALTER TABLE log DROP CONSTRAINT log_both;
-- What uses the column is named.
CREATE VIEW positive AS SELECT no FROM notes WHERE record_id > 0;
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY some_notes ON notes USING (record_id > 0);
ALTER TABLE notes DISABLE ROW LEVEL SECURITY;
-- A value is a value, whatever it looks like.
SELECT key_migration_add_reference('orders', 'notes', '{record_id}', type_column => 'record_type', type_values => ARRAY['Order', 'Shop::Order', E''') OR true OR (''\\']);
SELECT key_migration_add_reference('orders', 'log', '{object_id}', type_column => 'content_type_id', type_values => '{3}');
SELECT key_migration_add_reference('orders', 'events', '{about_id}', type_column => 'about_type', type_values => '{Order}');
-- The same again is nothing new, and another condition is refused.
SELECT key_migration_add_reference('orders', 'log', '{object_id}', type_column => 'content_type_id', type_values => '{3}');
SELECT key_migration_add_reference('orders', 'log', '{object_id}', type_column => 'content_type_id', type_values => '{4}');
SELECT key_migration_add_reference('orders', 'events', '{order_id}', type_column => 'about_type', type_values => '{Order}');
SELECT action, detail FROM key_migration_plan('orders') WHERE action IN ('error', 'warning') AND table_name <> 'orders'::regclass ORDER BY table_name::text, detail;
SELECT regexp_replace(statement, '''\d{4,}''', '''<oid>''', 'g') FROM key_migration_plan('orders') WHERE phase IN ('prepared', 'backfilled', 'indexed') AND table_name = 'notes'::regclass;
CALL key_migration_advance('orders', through => 'prepared');
-- Rows that are written before the backfill.
INSERT INTO notes (record_type, record_id, text) VALUES ('Order', 1, 'new'), ('Customer', 1, 'new'), ('Order', 999, 'no such order');
UPDATE notes SET record_type = 'Order' WHERE no = 1;
UPDATE notes SET text = 'same' WHERE no IN (2, 4);
SELECT record_type, record_id, text, record_id_new = key_migration_uuid(o.created_at, o.id, 'polymorphic.orders') AS right_key, record_id_new IS NULL AS none FROM notes LEFT JOIN orders AS o ON o.id = record_id
    WHERE text <> 'n' OR no = 1 ORDER BY no;
SELECT statement FROM key_migration_statements('orders') \gexec
SELECT key_migration_phase('orders');
CREATE VIEW counts AS
    SELECT 'notes' AS of, record_type AS kind, count(*) AS rows, count(record_id) AS old, count(record_id_new) AS new FROM notes GROUP BY record_type
    UNION ALL SELECT 'log', content_type_id::text, count(*), count(object_id), count(object_id_new) FROM log GROUP BY content_type_id
    UNION ALL SELECT 'events', about_type, count(*), count(about_id), count(about_id_new) FROM events GROUP BY about_type;
SELECT * FROM counts ORDER BY of COLLATE "C", kind COLLATE "C";
SELECT table_name, column_name, check_name, ok, row_count, example FROM key_migration_verify('orders')
    WHERE check_name NOT IN ('rows', 'digest', 'equal keys') ORDER BY table_name::text, column_name, check_name;
-- A key in a row of another kind is found.
SET session_replication_role = replica;
ALTER TABLE log DISABLE TRIGGER ALL;
UPDATE log SET object_id_new = (SELECT id_new FROM orders WHERE id = 1) WHERE content_type_id = 1 AND no < 10;
ALTER TABLE log ENABLE TRIGGER ALL;
RESET session_replication_role;
SELECT table_name, column_name, check_name, row_count FROM key_migration_verify('orders') WHERE NOT ok;
CALL key_migration_advance('orders');
UPDATE log SET object_id_new = NULL WHERE content_type_id = 1;
CALL key_migration_advance('orders');
CALL key_migration_advance('orders');

-- Kinds that change, before the cut-over.
CREATE FUNCTION kinds(OUT record_type text, OUT record_id bigint, OUT key bigint) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE name text := CASE WHEN EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'id_new') THEN 'id_new' ELSE 'id' END;
        old text := CASE name WHEN 'id_new' THEN 'id' ELSE 'id_old' END;
BEGIN
    RETURN QUERY EXECUTE format('SELECT n.record_type::text, n.record_id, o.%I FROM notes AS n LEFT JOIN orders AS o ON o.%I = n.record_id_new WHERE n.text LIKE ''kind%%'' ORDER BY n.no', old, name);
END $$;
INSERT INTO notes (record_type, record_id, text) VALUES ('Customer', 7, 'kind 1'), ('Order', 8, 'kind 2'), ('Order', 9, 'kind 3');
UPDATE notes SET record_type = 'Shop::Order' WHERE text = 'kind 1';
UPDATE notes SET record_type = 'Customer' WHERE text = 'kind 2';
UPDATE notes SET record_type = 'Customer', record_id = 5, record_id_new = record_id_new WHERE text = 'kind 3';
SELECT * FROM kinds();
UPDATE notes SET record_type = 'Order' WHERE text = 'kind 3';
-- Only the new column is written.
UPDATE notes SET record_id_new = (SELECT id_new FROM orders WHERE id = 77) WHERE text = 'kind 3';
SELECT * FROM kinds();
-- A key in a row of another kind is none.
UPDATE notes SET record_id_new = (SELECT id_new FROM orders WHERE id = 77) WHERE text = 'kind 2';
SELECT * FROM kinds();
-- In the role of a replica.
SET session_replication_role = replica;
UPDATE notes SET record_type = 'Order' WHERE text = 'kind 2';
UPDATE notes SET record_type = 'Customer' WHERE text = 'kind 3';
INSERT INTO notes (record_type, record_id, text) VALUES ('Customer', 11, 'kind 4'), ('Order', 12, 'kind 5');
RESET session_replication_role;
SELECT * FROM kinds();
-- A row that refers to one that is inserted later.
BEGIN;
INSERT INTO notes (record_type, record_id, text) VALUES ('Order', 5000, 'kind 6'), ('Customer', 5000, 'kind 7');
INSERT INTO orders (id) VALUES (5000);
COMMIT;
SELECT * FROM kinds();

CALL key_migration_cutover('orders');
SELECT key_migration_phase('orders');
SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
    WHERE attrelid = 'notes'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
SELECT indexname FROM pg_indexes WHERE schemaname = 'polymorphic' AND tablename IN ('notes', 'events') ORDER BY 1;
SELECT * FROM kinds();
-- Both columns can be written, by applications of before and after.
INSERT INTO orders (id) VALUES ('00000000-0000-7000-8000-000000000001');
INSERT INTO notes (record_type, record_id_new, text) VALUES ('Order', '00000000-0000-7000-8000-000000000001', 'kind 8');
INSERT INTO notes (record_type, record_id, text) VALUES ('Order', 3, 'kind 9'), ('Customer', 3, 'kind 10');
UPDATE notes SET record_id = 4 WHERE text = 'kind 9';
UPDATE notes SET record_type = 'Customer', record_id = 6 WHERE text = 'kind 1';
UPDATE notes SET record_type = 'Order' WHERE text = 'kind 10';
SELECT * FROM kinds();
-- In the role of a replica, which keys lead now.
SET session_replication_role = replica;
INSERT INTO notes (record_type, record_id, text) VALUES ('Customer', 21, 'kind 16'), ('Order', 22, 'kind 17');
UPDATE notes SET record_type = 'Order' WHERE text = 'kind 16';
UPDATE notes SET record_type = 'Customer' WHERE text = 'kind 17';
RESET session_replication_role;
SELECT * FROM kinds() WHERE record_id IN (21, 22);
-- One of the two must be there.
INSERT INTO notes (record_type, text) VALUES ('Order', 'none');
INSERT INTO notes (record_type, text) VALUES ('Customer', 'none');
SELECT table_name, check_name, row_count FROM key_migration_verify('orders') WHERE NOT ok;
SELECT * FROM key_migration_usage('orders') WHERE known_by = 'dependency' AND table_name IN ('notes'::regclass, 'log'::regclass);

CALL key_migration_rollback('orders');
SELECT attname, attnotnull FROM pg_attribute WHERE attrelid = 'notes'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
SELECT * FROM kinds();
INSERT INTO notes (record_type, record_id, text) VALUES ('Order', 13, 'kind 11'), ('Customer', 13, 'kind 12');
SELECT * FROM kinds() WHERE record_id = 13;
SELECT statement FROM key_migration_statements('orders') \gexec
SELECT key_migration_phase('orders');
-- Who may write some columns may write the new one.
CREATE ROLE writer_of_notes;
GRANT USAGE ON SCHEMA polymorphic TO writer_of_notes;
GRANT INSERT (record_type, record_id, text), SELECT (record_id) ON notes TO writer_of_notes;
GRANT USAGE ON SEQUENCE notes_no_seq TO writer_of_notes;
GRANT SELECT ON orders TO writer_of_notes;
CALL key_migration_cutover('orders', way => 'view');
SET ROLE writer_of_notes;
INSERT INTO notes (record_type, record_id_new, text) SELECT 'Order', id, 'granted' FROM orders WHERE id_old = 1;
SELECT has_column_privilege('notes', 'record_id_new', 'SELECT'), has_column_privilege('notes', 'record_id_new', 'UPDATE');
RESET ROLE;
INSERT INTO notes (record_type, record_id_new, text) SELECT 'Order', id, 'kind 13' FROM orders WHERE id_old = 14;
INSERT INTO notes (record_type, record_id, text) VALUES ('Order', 15, 'kind 14'), ('Customer', 15, 'kind 15');
SELECT * FROM kinds() WHERE record_id IN (14, 15);
SELECT attname FROM pg_attribute WHERE attrelid = 'notes'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
CALL key_migration_finalize('orders', confirm => 'orders');
DROP FUNCTION kinds;
SELECT attname, attacl::text LIKE '%writer_of_notes%' FROM pg_attribute WHERE attrelid = 'notes'::regclass AND attname LIKE 'record\_id%' ORDER BY 1;
REVOKE ALL ON notes, notes_no_seq, orders FROM writer_of_notes;
REVOKE ALL ON SCHEMA polymorphic FROM writer_of_notes;
DROP ROLE writer_of_notes;
-- The old column is there for the others, and old ids of orders are no longer known.
CREATE VIEW looks AS
    SELECT attrelid::regclass AS of, attname::text AS name, format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' not null' ELSE '' END AS what, attnum AS n
    FROM pg_attribute WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'polymorphic'::regnamespace AND relkind IN ('r', 'p')) AND attnum > 0 AND NOT attisdropped
    UNION ALL SELECT indrelid::regclass, '', pg_get_indexdef(indexrelid), 10000 FROM pg_index
    UNION ALL SELECT conrelid::regclass, conname, pg_get_constraintdef(oid), 20000 FROM pg_constraint WHERE contype IN ('c', 'f');
SELECT of, name, what FROM looks WHERE of IN ('notes'::regclass, 'log'::regclass, 'events'::regclass) ORDER BY of::text, n, name, what;
SELECT * FROM counts ORDER BY of COLLATE "C", kind COLLATE "C";
INSERT INTO notes (record_type, record_id, text) VALUES ('Customer', 16, 'at the end');
INSERT INTO notes (record_type, record_id_new, text) SELECT 'Order', min(id::text)::uuid, 'at the end' FROM orders;
INSERT INTO notes (record_type, text) VALUES ('Order', 'none');
SELECT record_type, record_id, record_id_new IS NOT NULL AS has_key FROM notes WHERE text = 'at the end' ORDER BY no;
SELECT count(*) FROM notes AS n JOIN orders AS o ON o.id = n.record_id_new;

-- With triggers that fire, and a rollback before the cut-over.
DROP VIEW counts, positive;
DROP TABLE notes, log, events, orders CASCADE;
CREATE TABLE orders (id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
INSERT INTO orders SELECT i FROM generate_series(1, 50) AS i;
CREATE TABLE notes (no serial PRIMARY KEY, order_id integer, record_type text, record_id bigint);
INSERT INTO notes (order_id, record_type, record_id) SELECT NULLIF(i % 3, 0), (ARRAY['Order', NULL, 'Customer'])[i % 3 + 1], i FROM generate_series(1, 50) AS i;
SELECT key_migration_create('orders', fire_triggers => true);
SELECT key_migration_add_reference('orders', 'notes', '{order_id}');
SELECT key_migration_add_reference('orders', 'notes', '{record_id}', type_column => 'record_type', type_values => '{Order}');
CALL key_migration_advance('orders', through => 'backfilled');
SELECT record_type, count(*), count(order_id_new) AS orders, count(record_id_new) AS records FROM notes GROUP BY record_type ORDER BY record_type;
SELECT table_name, check_name, row_count FROM key_migration_verify('orders') WHERE NOT ok;
CALL key_migration_rollback('orders');
SELECT attname FROM pg_attribute WHERE attrelid = 'notes'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
-- The type column is needed.
SELECT key_migration_create('orders');
SELECT key_migration_add_reference('orders', 'notes', '{record_id}', type_column => 'record_type', type_values => '{Order}');
CALL key_migration_advance('orders', through => 'prepared');
ALTER TABLE notes ALTER COLUMN record_type TYPE varchar(10);
ALTER TABLE notes RENAME COLUMN record_type TO kind;
INSERT INTO notes (kind, record_id) VALUES ('Order', 1), ('Customer', 1);
SELECT kind, record_id_new IS NOT NULL FROM notes ORDER BY no DESC LIMIT 2;
ALTER TABLE notes DROP COLUMN kind CASCADE;
INSERT INTO notes (record_id) VALUES (1);
SELECT action, detail FROM key_migration_plan('orders') WHERE action = 'error';
CALL key_migration_advance('orders', through => 'backfilled');
CALL key_migration_rollback('orders');
SELECT name, what FROM looks WHERE of = 'notes'::regclass ORDER BY n, name, what;

-- A part of a partitioned table whose columns have other numbers.
DROP TABLE notes;
CREATE TABLE notes (no integer, record_type text NOT NULL, record_id bigint NOT NULL) PARTITION BY LIST (record_type);
CREATE TABLE notes_of_orders PARTITION OF notes FOR VALUES IN ('Order');
CREATE TABLE notes_of_others (gone integer, record_id bigint NOT NULL, gone_too text, record_type text NOT NULL, no integer);
ALTER TABLE notes_of_others DROP COLUMN gone, DROP COLUMN gone_too;
ALTER TABLE notes ATTACH PARTITION notes_of_others DEFAULT;
CREATE INDEX notes_record ON notes (record_type, record_id);
INSERT INTO notes SELECT i, (ARRAY['Order', 'Customer', 'Basket'])[i % 3 + 1], i FROM generate_series(1, 30) AS i;
SELECT key_migration_create('orders');
SELECT key_migration_add_reference('orders', 'notes', '{record_id}', type_column => 'record_type', type_values => '{Order,Basket}');
SELECT statement FROM key_migration_statements('orders') \gexec
-- The new column can have any name.
ALTER TABLE notes RENAME COLUMN record_id_new TO order_key;
INSERT INTO notes VALUES (31, 'Customer', 31), (32, 'Order', 32), (33, 'Basket', 33);
UPDATE notes SET record_type = 'Customer' WHERE no = 32;
UPDATE notes SET record_type = 'Order' WHERE no = 31;
SELECT tableoid::regclass, record_type, count(*), count(order_key) FROM notes GROUP BY 1, 2 ORDER BY 1::text, 2;
CALL key_migration_cutover('orders');
INSERT INTO notes (no, record_type, order_key) SELECT 34, 'Basket', id FROM orders WHERE id_old = 34;
INSERT INTO notes VALUES (35, 'Customer', 35);
UPDATE notes SET record_type = 'Order' WHERE no = 35;
SELECT tableoid::regclass, record_type, count(record_id), count(order_key) FROM notes GROUP BY 1, 2 ORDER BY 1::text, 2;
CALL key_migration_finalize('orders', confirm => 'orders');
INSERT INTO notes VALUES (36, 'Customer', 36);
SELECT of, name, what FROM looks WHERE of IN ('notes'::regclass, 'notes_of_others'::regclass) ORDER BY of::text, n, name, what;

-- Keys that keep their values need no condition.
DROP TABLE notes, orders CASCADE;
CREATE TABLE orders (id integer PRIMARY KEY);
CREATE TABLE notes (no serial PRIMARY KEY, record_type text, record_id integer);
INSERT INTO orders SELECT i FROM generate_series(1, 5) AS i;
INSERT INTO notes (record_type, record_id) VALUES ('Order', 1), ('Customer', 700);
SELECT key_migration_create('orders', target => 'bigint');
SELECT key_migration_add_reference('orders', 'notes', '{record_id}', type_column => 'record_type', type_values => '{Order}');
SELECT key_migration_add_reference('orders', 'notes', '{record_id}');
CALL key_migration_advance('orders', through => 'backfilled');
SELECT * FROM notes ORDER BY no;
CALL key_migration_rollback('orders');
DROP SCHEMA polymorphic CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
