-- Keys of rows whose time is that of the row that they refer to.
-- trap_m26
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CALL keyspace_test.forget_node();
CREATE ROLE regress_time_owner;
CREATE ROLE regress_time_parent;
CREATE SCHEMA refs;
GRANT USAGE, CREATE ON SCHEMA refs TO regress_time_owner, regress_time_parent;
SET search_path = refs, public;
CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL, local timestamp, code uuid UNIQUE, name text UNIQUE, tag char(5) UNIQUE, no numeric(9) UNIQUE);
CREATE TABLE audit (id serial PRIMARY KEY, order_id integer REFERENCES orders, code uuid REFERENCES orders (code), name varchar COLLATE "C" REFERENCES orders (name), tag char(5) REFERENCES orders (tag), no integer REFERENCES orders (no), what text);
CREATE TABLE mark (id serial PRIMARY KEY, audit_id integer NOT NULL REFERENCES audit, parent_id integer REFERENCES mark);
INSERT INTO orders (created_at, local, code, name, no) SELECT '2024-01-01 00:00:00+00'::timestamptz + i * interval '1 day', '2020-01-01'::timestamp + i * interval '1 day',
    lpad(i::text, 32, '0')::uuid, 'order ' || i, i FROM generate_series(1, 20) AS i;
INSERT INTO audit (order_id, code, name, no, what) SELECT i % 21 + 1, lpad((i % 20 + 1)::text, 32, '0')::uuid, 'order ' || (i % 20 + 1), i % 20 + 1, 'first' FROM generate_series(1, 60) AS i WHERE i % 21 <> 20;
INSERT INTO audit (order_id, what) VALUES (NULL, 'of none');
INSERT INTO mark (audit_id, parent_id) SELECT id, nullif(row_number() OVER (ORDER BY id) - 1, 0) FROM audit;
ANALYZE;
SELECT action, detail FROM key_migration_plan('audit') WHERE action = 'error';
-- What it cannot be.
SELECT key_migration_create('audit', timestamp_reference => 'no_such');
SELECT key_migration_create('audit', timestamp_reference => 'what');
SELECT key_migration_create('audit', timestamp_reference => 'tag');
SELECT key_migration_create('audit', 'local', timestamp_reference => 'order_id');
SELECT key_migration_create('audit', 'no_such', timestamp_reference => 'order_id');
SELECT key_migration_create('audit', 'name', timestamp_reference => 'order_id');
SELECT key_migration_create('audit', timestamp_reference => 'order_id', without_timestamp => true);
SELECT action, detail FROM key_migration_plan('audit', timestamp_reference => 'order_id') WHERE step IS NULL AND action <> 'note';
SELECT key_migration_create('audit', timestamp_reference => 'order_id');
SELECT regexp_replace(time_source, ' \d{5,} ', ' OID ') FROM keyspace_internal.key_migration_key;
SELECT statement FROM key_migration_plan('audit') WHERE action = 'backfill existing rows' ORDER BY step;
CALL key_migration_advance('audit', through => 'prepared');
-- Rows that come now; the row with the time in the same statement, and later.
WITH o AS (INSERT INTO orders (id, created_at) VALUES (101, '2024-06-01') RETURNING id) INSERT INTO audit (order_id, what) SELECT id, 'same statement' FROM o;
INSERT INTO audit (order_id, what) VALUES (5, 'then'), (NULL, 'of none');
INSERT INTO mark (audit_id) SELECT id FROM audit WHERE what <> 'first';
INSERT INTO mark (audit_id) SELECT id FROM audit WHERE what = 'first' ORDER BY id LIMIT 10;
CALL key_migration_advance('audit', through => 'backfilled');
CREATE VIEW fits AS SELECT a.what, count(*), count(*) FILTER (WHERE a.id_new = key_migration_uuid(o.created_at, a.id, 'refs.audit')) AS same FROM audit a LEFT JOIN orders o ON o.id = a.order_id GROUP BY 1;
SELECT * FROM fits ORDER BY 1;
SELECT count(*), count(*) FILTER (WHERE m.audit_id_new = a.id_new) AS same FROM mark m JOIN audit a ON a.id = m.audit_id;
DROP VIEW fits;
SELECT array_agg(order_id ORDER BY id_new) = array_agg(order_id ORDER BY order_id) AS in_order FROM audit WHERE what = 'first';
SELECT statement FROM key_migration_statements('audit') \gexec
SELECT table_name, column_name, check_name, ok, row_count FROM key_migration_verify('audit') WHERE check_name <> 'digest' ORDER BY 1, 2, 3;
-- If the other row changes, or this one refers to another, the key stays.
UPDATE orders SET created_at = '2020-01-01' WHERE id = 5;
UPDATE audit SET order_id = 7 WHERE what = 'of none';
SELECT check_name, ok, row_count FROM key_migration_verify('audit') WHERE check_name = 'rows changed since';
CALL key_migration_cutover('audit');
INSERT INTO audit (order_id, what) VALUES (6, 'cut over');
CALL key_migration_rollback('audit');
SELECT what, uuidv7_to_timestamp(id_new) > now() - interval '1 hour' AS generated FROM audit WHERE what = 'cut over';
CALL key_migration_rollback('audit', confirm => 'audit');

-- A key that a referring row derived with a time that changed before the row itself got its key: the backfill takes that of the row.
SELECT key_migration_create('audit', timestamp_reference => 'order_id');
CALL key_migration_advance('audit', through => 'prepared');
UPDATE mark SET audit_id = audit_id WHERE audit_id <= 5;
SELECT count(audit_id_new) > 0 AS derived FROM mark WHERE audit_id = 2;
UPDATE orders SET created_at = '2021-01-01' WHERE id IN (SELECT order_id FROM audit WHERE id = 2);
SELECT statement FROM key_migration_statements('audit') \gexec
SELECT table_name, check_name, ok FROM key_migration_verify('audit') WHERE NOT ok;
SELECT key_migration_phase('audit');
CALL key_migration_rollback('audit');

-- By a uuid, with a local time, by queries with triggers.
SELECT key_migration_create('audit', 'local', timestamp_reference => 'code', time_zone => 'Asia/Tokyo', fire_triggers => true);
CALL key_migration_advance('audit', through => 'backfilled');
SELECT count(*), count(*) FILTER (WHERE a.id_new = key_migration_uuid(o.local AT TIME ZONE 'Asia/Tokyo', a.id, 'refs.audit')) AS same FROM audit a LEFT JOIN orders o ON o.code = a.code;
SELECT count(*), count(*) FILTER (WHERE m.audit_id_new = a.id_new) AS same FROM mark m JOIN audit a ON a.id = m.audit_id;
CALL key_migration_rollback('audit');

-- By a text whose collation is another one, and by a number of another type.
SELECT key_migration_create('audit', timestamp_reference => 'name');
SELECT statement FROM key_migration_plan('audit') WHERE action = 'backfill existing rows' ORDER BY step LIMIT 1;
CALL key_migration_advance('audit', through => 'prepared');
INSERT INTO audit (name, what) VALUES ('order 20', 'by name'), ('order 20', 'by name'), ('order 19', 'by name');
CALL key_migration_advance('audit', through => 'backfilled');
SELECT a.what, count(*), count(*) FILTER (WHERE a.id_new = key_migration_uuid(o.created_at, a.id, 'refs.audit')) AS same FROM audit a LEFT JOIN orders o ON o.name = a.name COLLATE "default" GROUP BY 1 ORDER BY 1;
SELECT check_name, ok FROM key_migration_verify('audit') WHERE NOT ok;
CALL key_migration_rollback('audit');
SELECT key_migration_create('audit', timestamp_reference => 'no', fire_triggers => true);
CALL key_migration_advance('audit', through => 'backfilled');
SELECT a.what, count(*), count(*) FILTER (WHERE a.id_new = key_migration_uuid(o.created_at, a.id, 'refs.audit')) AS same FROM audit a LEFT JOIN orders o ON o.no = a.no GROUP BY 1 ORDER BY 1;
CALL key_migration_rollback('audit');

-- The owner must be allowed to read the time: a foreign key alone says nothing of it.
ALTER TABLE orders OWNER TO regress_time_parent;
ALTER TABLE audit OWNER TO regress_time_owner;
ALTER TABLE mark OWNER TO regress_time_owner;
GRANT REFERENCES ON orders TO regress_time_owner;
SELECT detail FROM key_migration_plan('audit', timestamp_reference => 'order_id') WHERE action = 'error';
SELECT detail FROM key_migration_plan('audit') WHERE action = 'error';
SELECT key_migration_create('audit', timestamp_reference => 'order_id');
GRANT SELECT (id, created_at) ON orders TO regress_time_owner;
SELECT key_migration_create('audit', timestamp_reference => 'order_id');
CALL key_migration_advance('audit', through => 'backfilled');
SELECT count(*), count(*) FILTER (WHERE a.id_new = key_migration_uuid(o.created_at, a.id, 'refs.audit')) AS same FROM audit a LEFT JOIN orders o ON o.id = a.order_id;
-- A privilege that is taken back closes the table to nobody.
REVOKE SELECT (id, created_at) ON orders FROM regress_time_owner;
INSERT INTO audit (order_id, what) VALUES (9, 'revoked');
SELECT uuidv7_to_timestamp(id_new) AS at FROM audit WHERE what = 'revoked';
SELECT detail FROM key_migration_plan('audit') WHERE action = 'error';
CALL key_migration_rollback('audit');

RESET TimeZone;
DROP SCHEMA refs CASCADE;
DROP ROLE regress_time_owner, regress_time_parent;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
