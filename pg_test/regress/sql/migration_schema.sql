-- What else schemas have: self reference, composite and multi-level references, actions, identity, generated columns,
-- policies, triggers of the user, mixed-case names, two references in one table. To ULID.
-- trap_m07 trap_m11 trap_m13 trap_m17 trap_m19 trap_m22
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA "Shop";
SET search_path = "Shop", public;
CREATE TABLE "Orders" (
    "Id" integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant integer NOT NULL DEFAULT 1,
    "Replaces" integer REFERENCES "Orders" ON DELETE SET NULL,
    created_at timestamptz,
    total numeric NOT NULL DEFAULT 0,
    doubled numeric GENERATED ALWAYS AS (total * 2) STORED,
    updated_at timestamptz,
    UNIQUE (tenant, "Id")
);
CREATE INDEX by_total ON "Orders" (total);
CREATE TABLE item (
    order_id integer REFERENCES "Orders" ON DELETE CASCADE,
    line smallint,
    PRIMARY KEY (order_id, line)
);
CREATE TABLE shipment (
    id serial PRIMARY KEY,
    order_id integer,
    line smallint,
    tenant integer,
    FOREIGN KEY (order_id, line) REFERENCES item ON DELETE CASCADE,
    FOREIGN KEY (tenant, order_id) REFERENCES "Orders" (tenant, "Id") MATCH FULL ON DELETE SET NULL
);
CREATE TABLE log (note text, about bigint);
ALTER TABLE "Orders" ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON "Orders" USING (true);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := 'infinity'; RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON "Orders" FOR EACH ROW EXECUTE FUNCTION touch();
CREATE VIEW totals AS SELECT "Id", total FROM "Orders";
INSERT INTO "Orders" ("Replaces", created_at, total)
SELECT CASE WHEN i > 10 THEN i - 10 END,
       CASE WHEN i % 50 = 0 THEN NULL WHEN i % 51 = 0 THEN '-infinity' WHEN i % 52 = 0 THEN '1950-01-01' ELSE '2024-01-01'::timestamptz + i * interval '1 min' END, i
FROM generate_series(1, 300) AS i;
INSERT INTO item SELECT i, l FROM generate_series(1, 300) AS i, generate_series(1, 2) AS l;
INSERT INTO shipment (order_id, line, tenant) SELECT i, 1, 1 FROM generate_series(1, 300) AS i;
INSERT INTO shipment DEFAULT VALUES;
INSERT INTO log SELECT 'n', i FROM generate_series(1, 310) AS i;
ANALYZE;
CREATE TEMPORARY TABLE before AS SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) AS def FROM pg_constraint
WHERE connamespace = '"Shop"'::regnamespace AND contype <> 'n';
SELECT table_name, action, detail FROM key_migration_plan('"Orders"', target => 'ulid') WHERE step IS NULL AND action <> 'note';
SELECT key_migration_create('"Orders"', target => 'ulid');
SELECT key_migration_add_reference('"Orders"', 'log', '{about}');
SELECT statement FROM key_migration_statements('"Orders"');
CALL key_migration_advance('"Orders"', through => 'prepared');
-- Rows that refer to themselves, to a row of the same statement, and to none.
INSERT INTO "Orders" ("Id", "Replaces", created_at) OVERRIDING SYSTEM VALUE VALUES (1000, 1000, now()), (1001, 1002, now()), (1002, NULL, now());
WITH o AS (INSERT INTO "Orders" (created_at) VALUES (now()) RETURNING "Id"), i AS (INSERT INTO item SELECT "Id", 1 FROM o)
INSERT INTO log SELECT 'same statement', "Id" FROM o;
INSERT INTO log VALUES ('to nothing', 99999), ('null', NULL);
BEGIN;
INSERT INTO log VALUES ('before', 2000);
INSERT INTO "Orders" ("Id", created_at) OVERRIDING SYSTEM VALUE VALUES (2000, now());
COMMIT;
SELECT o."Id", o."Replaces_new" = p."Id_new" AS fits FROM "Orders" o LEFT JOIN "Orders" p ON p."Id" = o."Replaces" WHERE o."Id" >= 1000 ORDER BY 1;
SELECT note, about_new = "Id_new" AS fits FROM log LEFT JOIN "Orders" ON about = "Id" WHERE note <> 'n' ORDER BY note;
SELECT statement FROM key_migration_statements('"Orders"', through => 'backfilled') \gexec
-- The user's trigger has not fired, for the row that referred to a later one either; generated columns are as they were.
SELECT count(updated_at) AS touched, count(*) FILTER (WHERE doubled = total * 2) AS doubled FROM "Orders";
SELECT count(*), count("Id_new"), count("Replaces"), count("Replaces_new") FROM "Orders";
SELECT statement FROM key_migration_statements('"Orders"') \gexec
SELECT table_name, column_name, check_name, ok, row_count, example FROM key_migration_verify('"Orders"') WHERE check_name NOT IN ('digest', 'rows') AND (NOT ok OR row_count > 0);
-- Rows without a usable time come first, by their numbers.
SELECT array_agg("Id" ORDER BY "Id_new") FILTER (WHERE ulid_to_timestamp("Id_new") = 'epoch') AS first FROM "Orders";
CALL key_migration_cutover('"Orders"');
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = '"Shop"'::regnamespace AND contype <> 'n' ORDER BY conrelid::regclass::text COLLATE "C", conname COLLATE "C";
-- Actions, by either way.
DELETE FROM "Orders" WHERE "Id_old" = 20;
SELECT count(*) AS items FROM item WHERE order_id_old = 20;
SELECT "Replaces_old", "Replaces" FROM "Orders" WHERE "Id_old" = 30;
INSERT INTO "Orders" (created_at, "Replaces") SELECT now(), "Id" FROM "Orders" WHERE "Id_old" = 5 RETURNING "Id_old", "Replaces_old";
UPDATE "Orders" SET "Replaces" = (SELECT "Id" FROM "Orders" WHERE "Id_old" = 6) WHERE "Id_old" = 1001 RETURNING "Replaces_old";
UPDATE "Orders" SET "Replaces" = NULL WHERE "Id_old" = 1001 RETURNING "Replaces_old";
SELECT table_name, column_name, check_name, ok, row_count, example FROM key_migration_verify('"Orders"') WHERE NOT ok;
-- What still uses the numbers keeps them.
CALL key_migration_finalize('"Orders"', confirm => 'Orders');
DROP VIEW totals;
CALL key_migration_finalize('"Orders"', confirm => 'Orders');
-- A row that refers to one that came after it has no key, and would lose its number.
UPDATE log SET about_old = NULL WHERE about IS NULL;
CALL key_migration_finalize('"Orders"', confirm => 'Orders');
-- Constraints are as they were.
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = '"Shop"'::regnamespace AND contype <> 'n' EXCEPT SELECT * FROM before;
SELECT attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull, attidentity FROM pg_attribute
WHERE attrelid IN ('"Orders"'::regclass, 'item'::regclass, 'shipment'::regclass, 'log'::regclass) AND attnum > 0 AND NOT attisdropped
ORDER BY attrelid::regclass::text COLLATE "C", attnum;
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = '"Orders"'::regclass;
DROP SCHEMA "Shop" CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
