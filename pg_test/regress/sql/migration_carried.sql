-- Checks, defaults and publications on old ids, and the names that violations report.
-- fault_c14_checks_and_publications fault_c16_defaults fault_c21_names
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA shop;
SET search_path = shop, public;
CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
CREATE TABLE c (
    no serial PRIMARY KEY,
    o_id bigint NOT NULL DEFAULT 1 REFERENCES orders,
    a bigint REFERENCES orders DEFERRABLE INITIALLY DEFERRED,
    b integer DEFAULT '-1'::integer REFERENCES orders ON DELETE CASCADE,
    kind bigint DEFAULT length('xy'),
    CONSTRAINT c_once UNIQUE (o_id, kind),
    CONSTRAINT one_of CHECK ((a IS NULL) OR (b IS NULL)),
    CONSTRAINT differ CHECK (o_id <> a),
    CONSTRAINT small CHECK (o_id < 1000000)
);
COMMENT ON CONSTRAINT one_of ON c IS 'one of them';
INSERT INTO orders DEFAULT VALUES;
INSERT INTO orders SELECT i FROM generate_series(2, 20) AS i;
INSERT INTO orders VALUES (-1);
SELECT setval('orders_id_seq', 20);
INSERT INTO c (o_id, b) SELECT i, 21 - i FROM generate_series(2, 20) AS i;
-- Versions word the warning about wal_level differently.
SET client_min_messages = error;
CREATE PUBLICATION of_columns FOR TABLE c (no, o_id, a);
SET client_min_messages = warning;
-- fault_c21_names: what a program reads of a violation.
CREATE FUNCTION violation(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE s text; t text; c text; n text;
BEGIN
    EXECUTE statement;
    SET CONSTRAINTS ALL IMMEDIATE;
    RETURN 'none';
EXCEPTION WHEN integrity_constraint_violation THEN
    GET STACKED DIAGNOSTICS s = SCHEMA_NAME, t = TABLE_NAME, c = COLUMN_NAME, n = CONSTRAINT_NAME;
    RETURN concat_ws(' ', SQLSTATE, s, t, nullif(c, ''), nullif(n, ''));
END $$;
CREATE VIEW violations AS SELECT no, violation(statement) FROM (VALUES
    (1, 'INSERT INTO c (o_id, kind) SELECT o_id, kind FROM c WHERE no = 3'),
    (2, 'DELETE FROM orders WHERE id = (SELECT o_id FROM c WHERE no = 3)'),
    (3, 'INSERT INTO c (o_id) VALUES (NULL)'),
    (4, 'UPDATE c SET a = b WHERE no = 4'),
    (5, 'UPDATE c SET a = o_id, b = NULL WHERE no = 4'),
    (6, 'INSERT INTO orders (id) SELECT id FROM orders LIMIT 1')
) AS v (no, statement);
SELECT * FROM violations ORDER BY no;
SELECT violation('INSERT INTO c (o_id, b) VALUES (424242, NULL)');
\set VERBOSITY default
SELECT action, detail FROM key_migration_plan('orders') WHERE step IS NULL AND action <> 'note' ORDER BY detail COLLATE "C";
\set VERBOSITY terse
SELECT key_migration_create('orders');
SELECT key_migration_add_reference('orders', 'c', '{kind}');
SELECT detail FROM key_migration_plan('orders') WHERE step IS NULL AND detail LIKE '%kind%';
SELECT statement FROM key_migration_statements('orders') \gexec
SELECT key_migration_phase('orders');
SELECT * FROM violations ORDER BY no;
SELECT violation('INSERT INTO c (o_id, b) VALUES (424242, NULL)');
\set VERBOSITY default
INSERT INTO c (o_id, b) VALUES (424242, NULL);
\set VERBOSITY terse
CALL key_migration_cutover('orders');
SELECT * FROM violations WHERE no <> 2 ORDER BY no;
SELECT violation('DELETE FROM orders WHERE id = (SELECT o_id FROM c WHERE no = 3)');
SELECT violation('INSERT INTO c (o_id, b) VALUES (gen_random_uuid(), NULL)');
SELECT conname, pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE conrelid = 'c'::regclass AND contype = 'c' ORDER BY conname;
-- fault_c16_defaults: a value that is not given is the default, and NULL is NULL.
INSERT INTO c (kind) VALUES (NULL) RETURNING o_id_old, b_old;
INSERT INTO c (o_id, kind, b) SELECT id, id, NULL FROM orders WHERE id_old = 5 RETURNING o_id_old, b_old;
SELECT o_id = (SELECT id FROM orders WHERE id_old = 1) AS fits, b = (SELECT id FROM orders WHERE id_old = -1) AS b_fits FROM c WHERE no > 19 AND b IS NOT NULL;
DELETE FROM c WHERE no > 19;
CALL key_migration_rollback('orders');
SELECT conname, pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE conrelid = 'c'::regclass AND contype = 'c' ORDER BY conname;
SELECT attname, pg_get_expr(adbin, adrelid) FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum WHERE adrelid = 'c'::regclass ORDER BY 1;
SELECT * FROM violations ORDER BY no;
SELECT statement FROM key_migration_statements('orders') \gexec
-- By views, too.
CALL key_migration_cutover('orders', way => 'view');
SELECT * FROM violations WHERE no IN (1, 2, 3, 4, 5) ORDER BY no;
CALL key_migration_rollback('orders');
SELECT statement FROM key_migration_statements('orders') \gexec
CALL key_migration_cutover('orders', way => 'view');
-- What would be lost, or is in the way, is named.
\set VERBOSITY default
CALL key_migration_finalize('orders', confirm => 'orders');
\set VERBOSITY terse
ALTER TABLE c_old DROP CONSTRAINT small;
ALTER TABLE c_old ALTER kind DROP DEFAULT;
ALTER PUBLICATION of_columns DROP TABLE c_old;
CALL key_migration_finalize('orders', confirm => 'orders');
SELECT conname, pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE conrelid IN ('c'::regclass, 'orders'::regclass) AND contype <> 'n' ORDER BY conname;
SELECT attname, regexp_replace(pg_get_expr(adbin, adrelid), '[0-9a-f]{8}-[0-9a-f-]+', '...') AS "default", attnotnull FROM pg_attribute LEFT JOIN pg_attrdef ON attrelid = adrelid AND attnum = adnum
WHERE attrelid = 'c'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY 1;
INSERT INTO c (no) VALUES (1000);
SELECT * FROM violations ORDER BY no;
DROP SCHEMA shop CASCADE;
DROP PUBLICATION of_columns;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
