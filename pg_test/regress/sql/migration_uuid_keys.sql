-- Keys of type uuid: version 4 becomes version 7, or a ULID.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
SET timezone = 'UTC';
CREATE SCHEMA uuids;
SET search_path = uuids, public;
CREATE DOMAIN uid AS uuid CHECK (VALUE <> '00000000-0000-0000-0000-000000000000');
CREATE FUNCTION old_of(i integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5(i::text)::uuid $$;
-- A domain, a reference to the same table, references with and without a foreign key, a default that is a row, and an index of each kind.
CREATE TABLE account (
    id uid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT '2024-05-05',
    parent uuid REFERENCES account ON DELETE SET NULL,
    CHECK (parent <> id)
);
CREATE TABLE invoice (
    no integer PRIMARY KEY,
    account_id uuid NOT NULL DEFAULT 'c4ca4238-a0b9-2382-0dcc-509a6f75849b' REFERENCES account ON UPDATE CASCADE,
    loose uid,
    part text,
    UNIQUE (account_id, part)
);
CREATE INDEX invoice_hash ON invoice USING hash (loose);
CREATE INDEX invoice_some ON invoice (account_id DESC) WHERE loose IS NOT NULL;
INSERT INTO account SELECT old_of(i), 'account ' || i, '2024-01-01'::timestamptz + i / 2 * interval '1 second', CASE WHEN i > 2 THEN old_of(i / 2) END
FROM generate_series(1, 400) AS i;
INSERT INTO invoice SELECT i, old_of(i % 400 + 1), CASE WHEN i % 3 = 0 THEN old_of(i % 500 + 1) END, i::text FROM generate_series(1, 2000) AS i;
ANALYZE account, invoice;
CREATE TABLE accounts_before AS TABLE account;
CREATE TABLE invoices_before AS TABLE invoice;
-- How many rows are not as they should be. `id` is what the columns of keys are called.
CREATE FUNCTION wrong(suffix text, derivation text) RETURNS TABLE (accounts bigint, invoices bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format($q$
        SELECT (SELECT count(*) FROM accounts_before AS b LEFT JOIN account AS a USING (name)
                LEFT JOIN accounts_before AS p ON p.id = b.parent
                WHERE a.id%1$s::text IS DISTINCT FROM %2$s(b.created_at, b.id, 'uuids.account')::text
                   OR a.parent%1$s::text IS DISTINCT FROM CASE WHEN b.parent IS NOT NULL THEN %2$s(p.created_at, p.id, 'uuids.account')::text END),
               (SELECT count(*) FROM invoices_before AS b LEFT JOIN invoice AS i USING (no)
                LEFT JOIN accounts_before AS p ON p.id = b.account_id LEFT JOIN accounts_before AS l ON l.id = b.loose
                WHERE i.account_id%1$s::text IS DISTINCT FROM %2$s(p.created_at, p.id, 'uuids.account')::text
                   OR i.loose%1$s::text IS DISTINCT FROM CASE WHEN l.id IS NOT NULL THEN %2$s(l.created_at, l.id, 'uuids.account')::text END)
    $q$, suffix, derivation);
END $$;
SELECT action, statement FROM key_migration_plan('account') WHERE step IS NULL AND action <> 'note';
SELECT key_migration_create('account', target => 'bigint');
SELECT key_migration_create('account');
SELECT key_migration_add_reference('account', 'invoice', '{part}');
SELECT key_migration_add_reference('account', 'invoice', '{loose}');
CALL key_migration_advance('account', through => 'prepared');
-- Writers before the backfill: a row and one that refers to it in one statement, a row that refers to one without a key, a change of a reference.
WITH a AS (INSERT INTO account (id, name, created_at) VALUES (old_of(1001), 'new', '2024-03-03') RETURNING id)
INSERT INTO invoice (no, account_id) SELECT 3001, id FROM a;
INSERT INTO invoice (no, loose) VALUES (3002, old_of(399));
UPDATE invoice SET loose = old_of(2) WHERE no = 3002;
SELECT i.no, i.account_id_new = a.id_new AS same, i.account_id_new = uuidv7_from_timestamp_hashed(a.created_at, a.id, 'uuids.account') AS derived
FROM invoice AS i LEFT JOIN account AS a ON a.id = i.account_id WHERE i.no > 3000 ORDER BY i.no;
UPDATE account SET id_new = public.uuidv7() WHERE name = 'new';
INSERT INTO invoice (no, account_id) VALUES (3003, old_of(5000));
CALL key_migration_advance('account', through => 'backfilled');
SELECT statement FROM key_migration_statements('account') \gexec
SELECT * FROM wrong('_new', 'uuidv7_from_timestamp_hashed');
SELECT check_name, column_name, ok, row_count, example FROM key_migration_verify('account') WHERE check_name IN ('orphans', 'rows changed since') AND row_count > 0;
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid IN ('account'::regclass, 'invoice'::regclass) AND pg_get_indexdef(indexrelid) ~ '_new' ORDER BY 1;
CALL key_migration_cutover('account');
SELECT column_name, replace(column_default, 'public.', '') AS column_default FROM information_schema.columns
WHERE table_schema = 'uuids' AND table_name IN ('account', 'invoice') AND column_default IS NOT NULL ORDER BY table_name, column_name;
-- New rows have a key and an old id; a reference without a value is to the row of the default.
WITH a AS (INSERT INTO account (name) VALUES ('after') RETURNING id) INSERT INTO invoice (no, account_id) SELECT 3004, id FROM a;
INSERT INTO invoice (no) VALUES (3005);
SELECT i.no, a.name, substr(a.id::text, 15, 1) AS version, o.name AS by_old_id, a.id_old <> a.id AS has_old_id
FROM invoice AS i JOIN account AS a ON a.id = i.account_id JOIN account AS o ON o.id_old = i.account_id_old WHERE i.no > 3003 ORDER BY i.no;
-- A client that has read an old id before the cut-over may not use it as a key, in a reference without a foreign key, either.
\set VERBOSITY default
INSERT INTO invoice (no, loose) VALUES (3010, old_of(7));
UPDATE invoice SET loose = old_of(7) WHERE no = 3005;
\set VERBOSITY terse
INSERT INTO invoice (no, account_id) VALUES (3010, old_of(7));
INSERT INTO invoice (no, loose) VALUES (3010, old_of(5000));
UPDATE invoice SET part = 'a' WHERE no = 3010;
INSERT INTO invoice (no, loose_old) VALUES (3011, old_of(7));
SELECT i.no, a.name, i.loose_old IS NOT NULL AS has_old_id FROM invoice AS i LEFT JOIN account AS a ON a.id = i.loose WHERE i.no > 3009 ORDER BY i.no;
DELETE FROM invoice WHERE no > 3009;
SELECT * FROM wrong('', 'uuidv7_from_timestamp_hashed');
CALL key_migration_rollback('account');
INSERT INTO invoice (no, account_id) SELECT 3006, id FROM account WHERE name = 'after';
SELECT column_name, replace(column_default, 'public.', '') AS column_default FROM information_schema.columns
WHERE table_schema = 'uuids' AND table_name IN ('account', 'invoice') AND column_default IS NOT NULL ORDER BY table_name, column_name;
SELECT check_name, column_name, row_count FROM key_migration_verify('account') WHERE NOT ok;
CALL key_migration_advance('account', through => 'backfilled');
SELECT statement FROM key_migration_statements('account') \gexec
CALL key_migration_cutover('account');
CALL key_migration_finalize('account', confirm => 'account');
UPDATE invoice SET loose = NULL, loose_old = NULL WHERE loose IS NULL;
CALL key_migration_finalize('account', confirm => 'account');
SELECT * FROM wrong('', 'uuidv7_from_timestamp_hashed');
ALTER TABLE account ALTER COLUMN id DROP DEFAULT;
\d account
\d invoice
-- It is one now.
SELECT key_migration_create('account');
-- The same by queries, so that triggers fire, and as a ULID.
DROP TABLE invoice, account;
CREATE TABLE account (LIKE accounts_before INCLUDING ALL, PRIMARY KEY (id));
INSERT INTO account TABLE accounts_before;
CREATE TABLE invoice (LIKE invoices_before, PRIMARY KEY (no));
INSERT INTO invoice TABLE invoices_before;
ALTER TABLE account ADD FOREIGN KEY (parent) REFERENCES account;
ALTER TABLE invoice ADD FOREIGN KEY (account_id) REFERENCES account;
SELECT key_migration_create('account', target => 'ulid', fire_triggers => true);
SELECT key_migration_add_reference('account', 'invoice', '{loose}');
CALL key_migration_advance('account', through => 'backfilled');
SELECT statement FROM key_migration_statements('account') \gexec
SELECT * FROM wrong('_new', 'ulid_from_timestamp_hashed');
-- New rows would have no old id.
CALL key_migration_cutover('account');
CALL key_migration_rollback('account');
-- Tables of two owners: nothing is planned over both.
CREATE ROLE owner_of_invoices;
GRANT USAGE, CREATE ON SCHEMA uuids TO owner_of_invoices;
GRANT SELECT ON account TO owner_of_invoices;
ALTER TABLE invoice OWNER TO owner_of_invoices;
SELECT key_migration_create('account', fire_triggers => true);
SELECT key_migration_add_reference('account', 'invoice', '{loose}');
CALL key_migration_advance('account', through => 'backfilled');
SELECT * FROM wrong('_new', 'uuidv7_from_timestamp_hashed');
SELECT check_name, column_name, ok, row_count, example FROM key_migration_verify('account') WHERE check_name IN ('orphans', 'other than referenced') ORDER BY 1, 2;
CALL key_migration_rollback('account');
ALTER TABLE invoice OWNER TO CURRENT_USER;
DROP OWNED BY owner_of_invoices;
DROP ROLE owner_of_invoices;
-- Other sources of time: none; the id itself, if it has one; and a row that a uuid refers to.
SELECT key_migration_create('account', without_timestamp => true);
CALL key_migration_advance('account', through => 'backfilled');
SELECT count(*) FILTER (WHERE id_new <> uuidv7_from_timestamp_hashed('epoch', id, 'uuids.account')) AS wrong FROM account;
CALL key_migration_rollback('account');
CREATE TABLE event (id uuid PRIMARY KEY DEFAULT uuidv7(), account_id uuid NOT NULL REFERENCES account);
INSERT INTO event SELECT uuidv7_from_timestamp('2024-06-06'::timestamptz + i * interval '1 hour', i), old_of(i) FROM generate_series(1, 300) AS i;
SELECT key_migration_create('event', target => 'ulid', timestamp_expression => 'public.uuidv7_to_timestamp(id)');
CALL key_migration_advance('event', through => 'backfilled');
SELECT statement FROM key_migration_statements('event') \gexec
SELECT count(*) FILTER (WHERE id_new <> ulid_from_timestamp_hashed(uuidv7_to_timestamp(id), id, 'uuids.event')) AS wrong, min(ulid_to_timestamp(id_new)) FROM event;
CALL key_migration_rollback('event');
SELECT key_migration_create('event', target => 'ulid', timestamp_reference => 'account_id', timestamp_column => 'created_at');
CALL key_migration_advance('event', through => 'backfilled');
SELECT statement FROM key_migration_statements('event') \gexec
SELECT count(*) FILTER (WHERE e.id_new <> ulid_from_timestamp_hashed(a.created_at, e.id, 'uuids.event')) AS wrong FROM event AS e JOIN account AS a ON a.id = e.account_id;
CALL key_migration_rollback('event');
DROP SCHEMA uuids CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
