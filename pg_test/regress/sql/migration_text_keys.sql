-- Keys of type text and varchar.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
SET timezone = 'UTC';
CREATE SCHEMA texts;
SET search_path = texts, public;
CREATE DOMAIN code AS varchar(3000) COLLATE "C" CHECK (VALUE <> 'forbidden');
-- Short, empty, long enough to be compressed or out of line, with spaces, other letters, and what SQL and JSON have to quote.
CREATE FUNCTION old_of(i integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN i = 1 THEN '' WHEN i = 2 THEN ' ' WHEN i = 3 THEN 'a' WHEN i = 4 THEN 'a ' WHEN i = 5 THEN 'A' WHEN i = 6 THEN 'O''Hara \"' WHEN i = 7 THEN 'Öl'
                WHEN i = 8 THEN U&'O\0308l' WHEN i = 9 THEN '"q"' WHEN i % 50 = 0 THEN i || repeat('long ', 590)
                ELSE 'cus_' || md5(i::text) END $$;
CREATE TABLE customer (
    id code PRIMARY KEY,
    name text,
    created_at timestamptz NOT NULL DEFAULT '2024-05-05',
    parent varchar(3000) COLLATE "POSIX" REFERENCES customer,
    CHECK (parent IS NULL OR created_at IS NOT NULL)
);
CREATE TABLE bill (
    no integer PRIMARY KEY,
    customer_id varchar(3000) NOT NULL DEFAULT 'a' REFERENCES customer ON UPDATE CASCADE,
    loose text,
    kind character(20),
    part text DEFAULT lower('X')
);
CREATE INDEX bill_customer ON bill (customer_id varchar_pattern_ops);
CREATE INDEX bill_some ON bill (customer_id COLLATE "POSIX" DESC, no) INCLUDE (part) WHERE loose IS NOT NULL AND customer_id <> loose;
INSERT INTO customer SELECT old_of(i), 'customer ' || i, '2024-01-01'::timestamptz + i / 2 * interval '1 second', CASE WHEN i > 2 THEN old_of(i / 2) END
FROM generate_series(1, 400) AS i;
INSERT INTO bill SELECT i, old_of(i % 400 + 1), CASE WHEN i % 3 = 0 THEN old_of(i % 500 + 1) END FROM generate_series(1, 2000) AS i;
ANALYZE customer, bill;
CREATE TABLE customers_before AS TABLE customer;
CREATE TABLE bills_before AS TABLE bill;
-- How many rows are not as they should be.
CREATE FUNCTION wrong(suffix text, derivation text) RETURNS TABLE (customers bigint, bills bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format($q$
        SELECT (SELECT count(*) FROM customers_before AS b LEFT JOIN customer AS a USING (name)
                LEFT JOIN customers_before AS p ON p.id = b.parent COLLATE "C"
                WHERE a.id%1$s::text IS DISTINCT FROM %2$s(b.created_at, b.id, 'texts.customer')::text
                   OR a.parent%1$s::text IS DISTINCT FROM CASE WHEN b.parent IS NOT NULL THEN %2$s(p.created_at, p.id, 'texts.customer')::text END),
               (SELECT count(*) FROM bills_before AS b LEFT JOIN bill AS i USING (no)
                LEFT JOIN customers_before AS p ON p.id = b.customer_id COLLATE "C" LEFT JOIN customers_before AS l ON l.id = b.loose COLLATE "C"
                WHERE i.customer_id%1$s::text IS DISTINCT FROM %2$s(p.created_at, p.id, 'texts.customer')::text
                   OR i.loose%1$s::text IS DISTINCT FROM CASE WHEN l.id IS NOT NULL THEN %2$s(l.created_at, l.id, 'texts.customer')::text END)
    $q$, suffix, derivation);
END $$;
SELECT key_migration_create('customer', target => 'bigint');
SELECT action, statement FROM key_migration_plan('customer') WHERE step IS NULL AND action <> 'note' AND table_name <> 'bill'::regclass;
DROP INDEX bill_some;
CREATE INDEX bill_some ON bill (customer_id COLLATE "POSIX" DESC, no) INCLUDE (part) WHERE loose IS NOT NULL;
SELECT key_migration_create('customer');
SELECT key_migration_add_reference('customer', 'bill', '{kind}');
SELECT key_migration_add_reference('customer', 'bill', '{loose}');
CALL key_migration_advance('customer', through => 'prepared');
WITH a AS (INSERT INTO customer (id, name, created_at) VALUES ('new', 'new', '2024-03-03') RETURNING id)
INSERT INTO bill (no, customer_id) SELECT 3001, id FROM a;
INSERT INTO bill (no, loose) VALUES (3002, old_of(350));
UPDATE bill SET loose = old_of(4) WHERE no = 3002;
SELECT i.no, a.id, i.customer_id_new = a.id_new AS same, i.loose_new = uuidv7_from_timestamp_hashed('2024-01-01 00:00:02+00', 'a ', 'texts.customer') AS loose
FROM bill AS i LEFT JOIN customer AS a ON a.id = i.customer_id COLLATE "C" WHERE i.no > 3000 ORDER BY i.no;
INSERT INTO bill (no, customer_id) VALUES (3003, 'missing');
CALL key_migration_advance('customer', through => 'backfilled');
SELECT statement FROM key_migration_statements('customer') \gexec
SELECT * FROM wrong('_new', 'uuidv7_from_timestamp_hashed');
SELECT check_name, column_name, ok, row_count, left(example, 30) AS example FROM key_migration_verify('customer') WHERE check_name IN ('orphans', 'rows changed since') AND row_count > 0;
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid IN ('customer'::regclass, 'bill'::regclass) AND pg_get_indexdef(indexrelid) ~ '_new' ORDER BY 1;
\set VERBOSITY default
CALL key_migration_cutover('customer');
\set VERBOSITY terse
ALTER TABLE customer ALTER COLUMN id SET DEFAULT 'c' || gen_random_uuid()::text;
-- A reference that would be too short for the old ids of new rows.
ALTER TABLE bill ADD short varchar(5);
\set VERBOSITY default
SELECT key_migration_add_reference('customer', 'bill', '{short}');
\set VERBOSITY terse
ALTER TABLE bill ALTER COLUMN short TYPE character varying(3000);
SELECT key_migration_add_reference('customer', 'bill', '{short}');
CALL key_migration_advance('customer', through => 'backfilled');
SELECT statement FROM key_migration_statements('customer') \gexec
CALL key_migration_cutover('customer');
SELECT column_name, replace(column_default, 'public.', '') AS column_default FROM information_schema.columns
WHERE table_schema = 'texts' AND table_name IN ('customer', 'bill') AND column_default IS NOT NULL ORDER BY table_name, column_name;
WITH a AS (INSERT INTO customer (name) VALUES ('after') RETURNING id) INSERT INTO bill (no, customer_id, short) SELECT 3004, id, id FROM a;
INSERT INTO bill (no, short) SELECT 3005, id FROM customer WHERE id_old = 'a ';
SELECT i.no, a.name, o.name AS by_old_id, s.name AS short, i.short_old = s.id_old AS same_id FROM bill AS i JOIN customer AS a ON a.id = i.customer_id
JOIN customer AS o ON o.id_old = i.customer_id_old COLLATE "C" JOIN customer AS s ON s.id = i.short WHERE i.no > 3003 ORDER BY i.no;
SELECT * FROM wrong('', 'uuidv7_from_timestamp_hashed');
CALL key_migration_rollback('customer');
SELECT column_name, replace(column_default, 'public.', '') AS column_default FROM information_schema.columns
WHERE table_schema = 'texts' AND table_name IN ('customer', 'bill') AND column_default IS NOT NULL ORDER BY table_name, column_name;
CALL key_migration_advance('customer', through => 'backfilled');
SELECT statement FROM key_migration_statements('customer') \gexec
CALL key_migration_cutover('customer');
UPDATE bill SET loose_old = NULL WHERE loose IS NULL;
\set VERBOSITY default
CALL key_migration_finalize('customer', confirm => 'customer');
\set VERBOSITY terse
DROP INDEX bill_customer;
CALL key_migration_finalize('customer', confirm => 'customer');
SELECT * FROM wrong('', 'uuidv7_from_timestamp_hashed');
ALTER TABLE customer ALTER COLUMN id DROP DEFAULT;
\d customer
\d bill
-- The same by queries, so that triggers fire, and as a ULID; by an owner who must not run the code of the other one.
DROP TABLE bill, customer;
CREATE TABLE customer (LIKE customers_before INCLUDING ALL, PRIMARY KEY (id));
INSERT INTO customer TABLE customers_before;
CREATE TABLE bill (LIKE bills_before, PRIMARY KEY (no));
INSERT INTO bill TABLE bills_before;
ALTER TABLE bill ADD FOREIGN KEY (customer_id) REFERENCES customer;
SELECT key_migration_create('customer', target => 'ulid', fire_triggers => true);
SELECT key_migration_add_reference('customer', 'bill', '{loose}');
SELECT key_migration_add_reference('customer', 'customer', '{parent}');
CALL key_migration_advance('customer', through => 'backfilled');
SELECT statement FROM key_migration_statements('customer') \gexec
SELECT * FROM wrong('_new', 'ulid_from_timestamp_hashed');
CALL key_migration_rollback('customer');
CREATE ROLE owner_of_bills;
GRANT USAGE, CREATE ON SCHEMA texts TO owner_of_bills;
GRANT SELECT ON customer TO owner_of_bills;
ALTER TABLE bill OWNER TO owner_of_bills;
SELECT key_migration_create('customer', fire_triggers => true);
SELECT key_migration_add_reference('customer', 'bill', '{loose}');
SELECT key_migration_add_reference('customer', 'customer', '{parent}');
CALL key_migration_advance('customer', through => 'backfilled');
SELECT * FROM wrong('_new', 'uuidv7_from_timestamp_hashed');
SELECT check_name, column_name, ok, row_count, left(example, 20) AS example FROM key_migration_verify('customer') WHERE check_name IN ('orphans', 'other than referenced') ORDER BY 1, 2;
CALL key_migration_rollback('customer');
ALTER TABLE bill OWNER TO CURRENT_USER;
DROP OWNED BY owner_of_bills;
DROP ROLE owner_of_bills;
-- An id that is given to another row. The row that had it before keeps the key derived from it, so another one is needed; also if the
-- trigger of a reference to the row itself comes first, as its column does.
CREATE TABLE account (parent text, id text PRIMARY KEY, name text, FOREIGN KEY (parent) REFERENCES account ON UPDATE CASCADE);
CREATE TABLE login (no integer PRIMARY KEY, account_id text REFERENCES account ON UPDATE CASCADE);
INSERT INTO account (id, name) VALUES ('bob', 'first'), ('eve', 'other');
INSERT INTO login VALUES (1, 'bob');
SELECT action, table_name FROM key_migration_plan('account', without_timestamp => true) WHERE detail ~ '^keys of table .* have no time';
SELECT key_migration_create('account', without_timestamp => true);
CALL key_migration_advance('account', through => 'prepared');
-- Before there is an index on keys, nobody knows.
UPDATE account SET id = 'bob2' WHERE id = 'bob';
INSERT INTO account (id, name) VALUES ('bob', 'second');
INSERT INTO login VALUES (2, 'bob');
CALL key_migration_advance('account', through => 'backfilled');
SELECT check_name, column_name, row_count FROM key_migration_verify('account') WHERE NOT ok;
CREATE UNIQUE INDEX CONCURRENTLY account_pkey_new ON account (id_new);
DROP INDEX account_pkey_new;
INSERT INTO account (id, name) VALUES ('bob#', 'second');
UPDATE login SET account_id = 'bob#' WHERE account_id = 'bob';
DELETE FROM account WHERE id = 'bob';
UPDATE account SET id = 'bob' WHERE id = 'bob#';
SELECT statement FROM key_migration_statements('account') \gexec
-- Then each one gets another key.
UPDATE account SET id = 'eve2' WHERE id = 'eve';
WITH a AS (INSERT INTO account (id, name, parent) VALUES ('eve', 'second eve', 'eve') RETURNING id) INSERT INTO login SELECT 3, id FROM a;
UPDATE account SET id = 'eve3' WHERE id = 'eve';
INSERT INTO account (id, name, parent) VALUES ('eve', 'third eve', 'eve');
INSERT INTO login VALUES (4, 'eve');
INSERT INTO account (id, name) VALUES ('eve', 'not new') ON CONFLICT (id) DO UPDATE SET name = 'still third';
WITH RECURSIVE key (n, key) AS (
    SELECT 1, uuidv7_from_timestamp_hashed('epoch', 'eve', 'texts.account')
    UNION ALL SELECT n + 1, uuidv7_from_timestamp_hashed('epoch', key, 'texts.account') FROM key WHERE n < 4
)
SELECT n, id, name FROM key JOIN account ON id_new = key ORDER BY n;
SELECT l.no, l.account_id, l.account_id_new = a.id_new AS same FROM login AS l JOIN account AS a ON a.id = l.account_id ORDER BY l.no;
SELECT check_name, column_name, row_count FROM key_migration_verify('account') WHERE NOT ok;
CALL key_migration_rollback('account');
DROP TABLE login, account;
-- What is refused, and what lifts it.
CREATE TABLE fixed (id character(5) PRIMARY KEY, created_at timestamptz);
CREATE TABLE number (id real PRIMARY KEY, created_at timestamptz);
CREATE COLLATION ignoring_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE loosely (id text COLLATE ignoring_case PRIMARY KEY, created_at timestamptz);
CREATE TABLE exactly (id text PRIMARY KEY, created_at timestamptz);
CREATE TABLE note (exact text COLLATE ignoring_case);
\set VERBOSITY default
SELECT key_migration_create('fixed');
SELECT key_migration_create('number');
SELECT key_migration_create('loosely');
SELECT key_migration_create('exactly');
SELECT key_migration_add_reference('exactly', 'note', '{exact}');
ALTER TABLE note ALTER COLUMN exact TYPE text COLLATE "C";
SELECT key_migration_add_reference('exactly', 'note', '{exact}');
CALL key_migration_rollback('exactly');
\set VERBOSITY terse
DROP SCHEMA texts CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
