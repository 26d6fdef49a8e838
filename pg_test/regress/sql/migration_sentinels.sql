-- References without a foreign key in which a value means none (null_values), and texts that hold the numbers of a key.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA sentinels;
SET search_path = sentinels, public;
\pset format unaligned
\pset tuples_only on
CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
INSERT INTO orders SELECT FROM generate_series(1, 50);
CREATE TABLE log (no serial PRIMARY KEY, order_id bigint NOT NULL DEFAULT 0, other_id integer);
CREATE INDEX log_order ON log (order_id);
INSERT INTO log (order_id, other_id) SELECT CASE WHEN i % 4 > 0 THEN i END, CASE WHEN i % 5 > 0 THEN i ELSE -1 END FROM generate_series(1, 50) AS i WHERE i % 4 > 0;
INSERT INTO log (order_id) SELECT 0 FROM generate_series(1, 5);
-- Refused: no value of the type, one that is an id, a column with a foreign key, one of the primary key, NULL.
CREATE TABLE declared (order_id bigint REFERENCES orders);
CREATE TABLE keyed (order_id bigint, n integer, PRIMARY KEY (order_id, n));
SELECT key_migration_create('orders');
SELECT key_migration_add_reference('orders', 'log', '{order_id}', null_values => '{none}');
SELECT key_migration_add_reference('orders', 'log', '{order_id}', null_values => '{00}');
SELECT key_migration_add_reference('orders', 'log', '{order_id}', null_values => '{0,7}');
SELECT key_migration_add_reference('orders', 'log', '{order_id}', null_values => '{NULL}');
SELECT key_migration_add_reference('orders', 'log', '{order_id}', null_values => NULL);
SELECT key_migration_add_reference('orders', 'declared', '{order_id}', null_values => '{0}');
SELECT key_migration_add_reference('orders', 'keyed', '{order_id}', null_values => '{0}');
SELECT key_migration_add_reference('orders', 'log', '{order_id}', null_values => '{0}');
SELECT key_migration_add_reference('orders', 'log', '{other_id}', null_values => '{0,-1}');
SELECT action, detail FROM key_migration_plan('orders') WHERE action IN ('error', 'warning') AND table_name = 'log'::regclass ORDER BY detail;
CALL key_migration_advance('orders', through => 'prepared');
INSERT INTO log (order_id, other_id) VALUES (0, -1), (1, 1), (DEFAULT, NULL);
UPDATE log SET order_id = 2 WHERE no = (SELECT max(no) FROM log);
SELECT statement FROM key_migration_statements('orders') \gexec
SELECT key_migration_phase('orders');
SELECT table_name, column_name, check_name, row_count FROM key_migration_verify('orders') WHERE NOT ok OR (check_name = 'orphans' AND row_count > 0);
CREATE FUNCTION refers(OUT order_id bigint, OUT has_order boolean, OUT rows bigint) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE name text := CASE WHEN EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'log'::regclass AND attname = 'order_id_old') THEN 'order_id' ELSE 'order_id_new' END;
        old text := CASE name WHEN 'order_id' THEN 'order_id_old' ELSE 'order_id' END;
BEGIN
    RETURN QUERY EXECUTE format('SELECT CASE WHEN %1$I < 3 OR %1$I > 100 THEN %1$I END, %2$I IS NOT NULL, count(*) FROM log GROUP BY 1, 2 ORDER BY 1, 2', old, name);
END $$;
SELECT * FROM refers();
CALL key_migration_cutover('orders');
SELECT * FROM refers();
-- A new application writes NULL, an old one 0; either is none, and so is neither.
INSERT INTO log (order_id) VALUES (NULL);
INSERT INTO log (order_id_old) VALUES (0);
INSERT INTO log DEFAULT VALUES;
SELECT order_id_old, order_id IS NULL FROM log ORDER BY no DESC LIMIT 3;
INSERT INTO orders (id) VALUES ('00000000-0000-7000-8000-000000000001');
INSERT INTO log (order_id) VALUES ('00000000-0000-7000-8000-000000000001');
SELECT order_id_old > 50, order_id FROM log ORDER BY no DESC LIMIT 1;
-- References that are removed, by the new column and by the old one.
UPDATE log SET order_id = NULL WHERE order_id_old = 1 AND no < 5;
UPDATE log SET order_id_old = 0 WHERE order_id_old = 2 AND no < 5;
UPDATE log SET order_id_old = 3 WHERE no = (SELECT min(no) FROM log WHERE order_id_old = 0);
UPDATE log SET order_id = (SELECT id FROM orders WHERE id_old = 3) WHERE no = (SELECT min(no) FROM log WHERE order_id_old = 0);
SELECT l.order_id_old, l.order_id IS NOT DISTINCT FROM o.id FROM log AS l LEFT JOIN orders AS o ON o.id_old = l.order_id_old
    WHERE l.order_id_old IN (1, 2, 3) OR l.no IN (1, 2) ORDER BY l.no;
SELECT table_name, column_name, check_name, row_count FROM key_migration_verify('orders') WHERE NOT ok OR (check_name = 'orphans' AND row_count > 0);
-- The values are as they were, and NOT NULL is back.
CALL key_migration_rollback('orders');
SELECT * FROM refers();
SELECT attname, attnotnull FROM pg_attribute WHERE attrelid = 'log'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
CALL key_migration_cutover('orders');
-- A row that refers to nothing, and means something, is still to be looked at.
INSERT INTO log (order_id_old) VALUES (999);
CALL key_migration_finalize('orders', confirm => 'orders');
UPDATE log SET order_id_old = 0 WHERE order_id_old = 999;
CALL key_migration_finalize('orders', confirm => 'orders');
SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute WHERE attrelid = 'log'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
SELECT order_id IS NULL, count(*) FROM log GROUP BY 1 ORDER BY 1;
-- If old ids are kept, rows that mean none are still accepted, although nothing writes the value any more that says so.
DROP TABLE log, declared, keyed, orders CASCADE;
CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
INSERT INTO orders SELECT FROM generate_series(1, 10);
CREATE TABLE log (no serial PRIMARY KEY, order_id bigint NOT NULL DEFAULT 0, kind text, about_id bigint NOT NULL, UNIQUE (about_id, no));
CREATE UNIQUE INDEX log_once ON log (order_id, no);
INSERT INTO log (order_id, kind, about_id) SELECT i % 5, CASE WHEN i % 2 = 0 THEN 'Order' END, i % 3 FROM generate_series(1, 20) AS i;
SELECT key_migration_create('orders');
SELECT key_migration_add_reference('orders', 'log', '{order_id}', null_values => '{0}');
SELECT key_migration_add_reference('orders', 'log', '{about_id}', type_column => 'kind', type_values => '{Order}', null_values => '{0}');
SELECT action, detail FROM key_migration_plan('orders') WHERE action = 'warning' AND detail LIKE 'unique%' ORDER BY detail;
SELECT statement FROM key_migration_statements('orders') \gexec
SELECT tgname, pg_get_triggerdef(oid) LIKE '%<> ALL%' FROM pg_trigger WHERE tgrelid = 'log'::regclass AND tgname LIKE '%late%' ORDER BY 1;
CALL key_migration_cutover('orders');
INSERT INTO log (order_id, kind, about_id, about_id_new) VALUES (NULL, 'Order', NULL, NULL);
INSERT INTO log (kind, about_id) VALUES ('Page', 7);
SELECT order_id_old, order_id, kind, about_id, about_id_new FROM log ORDER BY no DESC LIMIT 2;
SELECT conname FROM pg_constraint WHERE conrelid = 'log'::regclass AND contype = 'c' ORDER BY 1;
CALL key_migration_finalize('orders', confirm => 'orders', keep_old_ids => true);
SELECT conname FROM pg_constraint WHERE conrelid = 'log'::regclass AND contype = 'c' ORDER BY 1;
INSERT INTO log (kind) VALUES ('Order'), ('Page');
SELECT order_id_old, order_id, kind, about_id, about_id_new FROM log ORDER BY no DESC LIMIT 2;

-- Texts that hold numbers.
DROP TABLE log, orders CASCADE;
CREATE TABLE orders (id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
INSERT INTO orders SELECT i FROM generate_series(-1, 60) AS i;
CREATE TABLE mails (no serial PRIMARY KEY, order_ref varchar(8) NOT NULL DEFAULT '', what text);
CREATE INDEX mails_order ON mails (order_ref);
INSERT INTO mails (order_ref) VALUES ('42'), ('0'), ('-1'), (' 42'), ('42 '), ('042'), ('+42'), ('-0'), ('4e1'), ('42.0'), ('99999999'), (''), ('A-42'), (E'42\n'), ('10');
CREATE TABLE notes (no serial PRIMARY KEY, record_type text, record_id text);
INSERT INTO notes (record_type, record_id) VALUES ('Order', '42'), ('Order', '9223372036854775807'), ('Order', '9223372036854775808'), ('Order', '99999999999999999999'),
    ('Page', 'index'), ('Page', '42'), ('Order', 'x'), (NULL, '1');
SELECT key_migration_create('orders');
SELECT key_migration_add_reference('orders', 'mails', '{order_ref}', null_values => '{""}');
SELECT key_migration_add_reference('orders', 'notes', '{record_id}', type_column => 'record_type', type_values => '{Order}');
SELECT action, detail FROM key_migration_plan('orders') WHERE action IN ('error', 'warning') AND table_name IN ('mails'::regclass, 'notes'::regclass) ORDER BY detail;
CALL key_migration_advance('orders', through => 'prepared');
INSERT INTO mails (order_ref) VALUES ('43'), ('043'), ('');
SELECT statement FROM key_migration_statements('orders') \gexec
SELECT key_migration_phase('orders');
SELECT format('%L', m.order_ref), o.id FROM mails AS m LEFT JOIN orders AS o ON o.id_new = m.order_ref_new ORDER BY m.no;
SELECT n.record_type, n.record_id, o.id FROM notes AS n LEFT JOIN orders AS o ON o.id_new = n.record_id_new ORDER BY n.no;
-- The texts that match nothing, with their number.
SELECT table_name, column_name, check_name, ok, row_count FROM key_migration_verify('orders')
    WHERE table_name <> 'orders'::regclass AND check_name NOT IN ('rows', 'digest') ORDER BY table_name::text, check_name;
CALL key_migration_cutover('orders');
-- Both directions, and a number that the column cannot hold.
INSERT INTO orders (id_old) VALUES (100), (123456789);
INSERT INTO mails (order_ref, what) SELECT id, 'by key' FROM orders WHERE id_old IN (100, 123456789);
INSERT INTO mails (order_ref_old, what) VALUES ('100', 'by text'), ('0100', 'by text');
INSERT INTO mails (what) VALUES ('none');
UPDATE mails SET order_ref_old = '7' WHERE order_ref_old = '10';
SELECT m.order_ref_old, o.id_old FROM mails AS m LEFT JOIN orders AS o ON o.id = m.order_ref WHERE what IS NOT NULL OR order_ref_old = '7' ORDER BY m.no;
CALL key_migration_rollback('orders');
SELECT count(*) FROM mails WHERE order_ref IS NULL;
UPDATE mails SET order_ref = '0' WHERE order_ref IS NULL;
CALL key_migration_advance('orders', through => 'validated');
SELECT key_migration_phase('orders');
CALL key_migration_rollback('orders', confirm => 'orders');
SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute WHERE attrelid = 'mails'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
SELECT count(*) FROM pg_constraint WHERE conrelid = 'mails'::regclass AND contype = 'c';
-- By queries.
SELECT key_migration_create('orders', fire_triggers => true);
SELECT key_migration_add_reference('orders', 'mails', '{order_ref}', null_values => '{""}');
SELECT key_migration_add_reference('orders', 'notes', '{record_id}', type_column => 'record_type', type_values => '{Order}');
CALL key_migration_advance('orders', through => 'backfilled');
SELECT format('%L', m.order_ref), o.id FROM mails AS m JOIN orders AS o ON o.id_new = m.order_ref_new ORDER BY m.no;
SELECT n.record_type, n.record_id, o.id FROM notes AS n LEFT JOIN orders AS o ON o.id_new = n.record_id_new ORDER BY n.no;
CALL key_migration_rollback('orders');
-- A table of another owner is looked up without a query over both.
CREATE ROLE owner_of_mails;
GRANT USAGE ON SCHEMA sentinels TO owner_of_mails;
GRANT SELECT ON orders TO owner_of_mails;
ALTER TABLE mails OWNER TO owner_of_mails;
ALTER TABLE notes OWNER TO owner_of_mails;
SELECT key_migration_create('orders', fire_triggers => true);
SELECT key_migration_add_reference('orders', 'mails', '{order_ref}', null_values => '{""}');
SELECT key_migration_add_reference('orders', 'notes', '{record_id}', type_column => 'record_type', type_values => '{Order}');
CALL key_migration_advance('orders', through => 'backfilled');
SELECT format('%L', m.order_ref), o.id FROM mails AS m JOIN orders AS o ON o.id_new = m.order_ref_new ORDER BY m.no;
SELECT table_name, column_name, check_name, ok, row_count FROM key_migration_verify('orders')
    WHERE table_name <> 'orders'::regclass AND check_name NOT IN ('rows', 'digest') ORDER BY table_name::text, check_name;
CALL key_migration_rollback('orders');
DROP SCHEMA sentinels CASCADE;
DROP ROLE owner_of_mails;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
