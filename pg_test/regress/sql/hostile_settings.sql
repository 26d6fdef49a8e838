-- Nothing of ours is written or read in another way because of the settings of a session: everything is called under
-- settings that change how texts, names, dates, arrays and bytes look, in a database that has them for everybody.
CREATE DATABASE regress_settings;
DO $$
DECLARE
    setting text[];
BEGIN
    FOREACH setting SLICE 1 IN ARRAY ARRAY[
        ['quote_all_identifiers', 'on'], ['escape_string_warning', 'off'], ['transform_null_equals', 'on'],
        ['array_nulls', 'off'], ['bytea_output', 'escape'], ['DateStyle', 'German, DMY'], ['IntervalStyle', 'sql_standard'],
        ['TimeZone', 'Asia/Kathmandu'], ['extra_float_digits', '-15'], ['xmlbinary', 'hex'], ['backslash_quote', 'on'],
        -- From PostgreSQL 19 on it cannot be off.
        ['standard_conforming_strings', 'off']]
    LOOP
        BEGIN
            EXECUTE format('ALTER DATABASE regress_settings SET %I = %L', setting[1], setting[2]);
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
END $$;
\c regress_settings
SHOW quote_all_identifiers;
SET client_min_messages = warning;
CREATE EXTENSION pg_keyspace;
CREATE SCHEMA s;
CREATE TABLE s.customer (id bigserial PRIMARY KEY, name text, created_at timestamptz NOT NULL);
CREATE TABLE s.orders (id serial PRIMARY KEY, customer_id bigint REFERENCES s.customer, created_at timestamptz NOT NULL);
INSERT INTO s.customer (name, created_at) SELECT 'c' || n, '2020-05-04 12:00:00+00'::timestamptz + n * interval '1 minute' FROM generate_series(1, 100) n;
INSERT INTO s.orders (customer_id, created_at) SELECT 1 + n % 100, '2021-05-04 12:00:00+00'::timestamptz + n * interval '1 minute' FROM generate_series(1, 500) n;

SELECT sequence, action, in_use, restart FROM setup_interleaved_sequences(2, 2) ORDER BY sequence::text;
SELECT sequence, node, nodes, in_order FROM interleaved_sequences ORDER BY sequence::text;
SELECT * FROM check_interleaved_sequences();
SELECT jsonb_object_keys(interleaved_node_state() -> 'sequences' -> 's') AS "sequence" ORDER BY 1;
SELECT table_name, action FROM guard_interleaved_sequences() ORDER BY 1;
INSERT INTO s.orders (customer_id, created_at) VALUES (1, now()) RETURNING id;
INSERT INTO s.orders (id, customer_id, created_at) VALUES (100001, 1, now());
SELECT table_name, action FROM unguard_interleaved_sequences() ORDER BY 1;

SELECT count(*) > 5 AS planned FROM key_migration_plan('s.customer', timestamp_column => 'created_at');
SELECT key_migration_create('s.customer', timestamp_column => 'created_at');
CALL key_migration_advance('s.customer', through => 'backfilled');
SELECT count(*) AS rows_without_key FROM s.customer WHERE id_new IS NULL;
SELECT statement FROM key_migration_statements('s.customer') \gexec
SELECT check_name, bool_and(ok) AS ok FROM key_migration_verify('s.customer') GROUP BY check_name ORDER BY check_name;
SELECT key_migration_phase('s.customer');
CALL key_migration_cutover('s.customer');
INSERT INTO s.customer (name, created_at) VALUES ('afterwards', now());
SELECT count(*) AS of_a_customer FROM s.orders o JOIN s.customer c ON o.customer_id = c.id;
CALL key_migration_finalize('s.customer', confirm => 'customer');
SELECT a.attname, a.atttypid::regtype, a.attnotnull FROM pg_attribute a
WHERE a.attrelid = 's.customer'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attname;
SELECT count(*) AS "reset" FROM reset_interleaved_sequences();
\c pg_keyspace_regression
DROP DATABASE regress_settings;
