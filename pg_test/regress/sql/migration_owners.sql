-- Tables of one migration that have different owners: code of one owner never runs with the rights of the other.
-- fault_a07_two_owners
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE ROLE owner_of_roots;
CREATE ROLE owner_of_items;
CREATE SCHEMA owners;
GRANT CREATE, USAGE ON SCHEMA owners TO owner_of_roots, owner_of_items;
SET search_path = owners, public;
SET SESSION AUTHORIZATION owner_of_roots;
CREATE FUNCTION trap(at text, anyelement) RETURNS boolean IMMUTABLE LANGUAGE plpgsql SET search_path = owners, public AS $$
BEGIN
    IF current_user <> 'owner_of_roots' THEN
        RAISE EXCEPTION 'caught % at %', current_user, at;
    END IF;
    RETURN true;
END $$;
CREATE OPERATOR <<< (LEFTARG = text, RIGHTARG = anyelement, FUNCTION = trap);
CREATE TABLE root (id bigint PRIMARY KEY, created_at timestamptz NOT NULL, v integer);
INSERT INTO root SELECT i, '2024-01-01'::timestamptz + i * interval '1 day', i FROM generate_series(1, 300) AS i;
GRANT SELECT, REFERENCES ON root TO owner_of_items;
SET SESSION AUTHORIZATION owner_of_items;
CREATE TABLE item (id bigint PRIMARY KEY, root_id bigint NOT NULL REFERENCES root, size integer);
-- What no foreign key says: one that refers to nothing, one to the first row, one that is not there.
CREATE TABLE note (id bigint PRIMARY KEY, root_id integer);
INSERT INTO item SELECT i, i % 300 + 1, 1 FROM generate_series(1, 900) AS i;
INSERT INTO note VALUES (1, NULL), (2, 1), (3, 7777), (4, 2), (5, 1);
RESET SESSION AUTHORIZATION;
-- A table of a superuser refers to that of somebody else.
CREATE TABLE bill (id bigint PRIMARY KEY, root_id bigint REFERENCES root);
INSERT INTO bill SELECT i, i FROM generate_series(1, 300) AS i;

-- Which functions an expression calls, by way of operators, too; those of PostgreSQL and of whom the other owner trusts are no danger.
SET SESSION AUTHORIZATION owner_of_roots;
CREATE INDEX root_constant ON root (v) WHERE trap('constant', 1);
CREATE INDEX root_expression ON root (trap('expression', v));
CREATE INDEX root_operator ON root (v) WHERE 'operator'::text <<< 1;
CREATE STATISTICS root_statistics ON (trap('statistics', 1)), v FROM root;
CREATE INDEX root_harmless ON root (abs(v)) WHERE v > 0;
ALTER TABLE root ADD CONSTRAINT root_check CHECK (trap('constant check', 1)), ADD CONSTRAINT root_check_of_row CHECK (trap('check', v));
RESET SESSION AUTHORIZATION;
-- So it is: the planner runs them as whoever asks.
EXPLAIN (COSTS off) SELECT FROM bill JOIN root ON root.id = bill.root_id;
SELECT table_name, detail FROM key_migration_plan('root') WHERE action = 'error';
SELECT key_migration_create('root');
ALTER FUNCTION trap(text, anyelement) OWNER TO CURRENT_USER;
SELECT table_name, detail FROM key_migration_plan('root') WHERE action = 'error';
ALTER FUNCTION trap(text, anyelement) OWNER TO owner_of_roots;
-- Whose owner has the rights of the other could do the same without it.
DROP TABLE bill;
GRANT owner_of_items TO owner_of_roots;
SELECT table_name, detail FROM key_migration_plan('root') WHERE action = 'error';
REVOKE owner_of_items FROM owner_of_roots;
SELECT table_name, detail FROM key_migration_plan('root') WHERE action = 'error';
SET SESSION AUTHORIZATION owner_of_roots;
DROP INDEX root_constant, root_expression, root_operator;
DROP STATISTICS root_statistics;
RESET SESSION AUTHORIZATION;
SELECT table_name, detail FROM key_migration_plan('root') WHERE action = 'error';

-- Checks are not evaluated for a query, whatever the caller has set.
SET constraint_exclusion = on;
SELECT key_migration_create('root', fire_triggers => true);
SELECT key_migration_add_reference('root', 'note', '{root_id}');
CALL key_migration_advance('root', through => 'prepared');
-- What comes later is seen, too.
SET SESSION AUTHORIZATION owner_of_roots;
CREATE INDEX root_constant ON root (v) WHERE trap('constant', 1);
RESET SESSION AUTHORIZATION;
CALL key_migration_advance('root', through => 'backfilled');
-- What has no foreign key to validate needs none of it: values are looked up there, not joined.
ALTER TABLE item DROP CONSTRAINT item_root_id_fkey;
SELECT table_name, detail FROM key_migration_plan('root') WHERE action = 'error';
CALL key_migration_advance('root', through => 'backfilled');
SELECT statement FROM key_migration_statements('root', through => 'verified') \gexec
SELECT table_name, column_name, check_name, ok, row_count, example FROM key_migration_verify('root') WHERE check_name <> 'digest' ORDER BY 1, 2, 3;
SELECT id, root_id, root_id_new = key_migration_uuid('2024-01-01'::timestamptz + root_id * interval '1 day', root_id, 'owners.root') AS same FROM note ORDER BY 1;
-- The same is found as by a query: another key, a key for what refers to nothing.
ALTER TABLE item DISABLE TRIGGER USER;
ALTER TABLE note DISABLE TRIGGER USER;
UPDATE item SET root_id_new = uuidv7() WHERE id IN (17, 3);
UPDATE item SET root_id_new = NULL WHERE id = 18;
UPDATE item SET root_id = 8888 WHERE id = 20;
UPDATE note SET root_id_new = '01890000-0000-7000-8000-000000000001' WHERE id = 1;
ALTER TABLE item ENABLE TRIGGER USER;
ALTER TABLE note ENABLE TRIGGER USER;
SELECT table_name, column_name, check_name, ok, row_count, example FROM key_migration_verify('root') WHERE NOT ok OR check_name = 'orphans' ORDER BY 1, 2, 3;
SET SESSION AUTHORIZATION owner_of_roots;
DROP INDEX root_constant;
RESET SESSION AUTHORIZATION;
-- More rows than fit into the memory for one comparison, in no order of what they refer to.
INSERT INTO item (id, root_id, size) SELECT i, i * 7919 % 300 + 1, 1 FROM generate_series(1001, 40000) AS i;
UPDATE item SET root_id = 9999 WHERE id IN (30011, 1234);
ALTER TABLE item DISABLE TRIGGER USER;
UPDATE item SET root_id_new = uuidv7() WHERE id IN (20000, 39000);
ALTER TABLE item ENABLE TRIGGER USER;
SET maintenance_work_mem = '1MB';
SELECT column_name, check_name, ok, row_count, example FROM key_migration_verify('root')
    WHERE table_name = 'item'::regclass AND check_name <> 'digest' ORDER BY 1, 2;
CREATE TEMP TABLE by_lookup AS SELECT * FROM key_migration_verify('root');
ALTER TABLE root OWNER TO owner_of_items;
ALTER FUNCTION trap(text, anyelement) OWNER TO owner_of_items;
SELECT * FROM key_migration_verify('root') EXCEPT SELECT * FROM by_lookup;
SELECT count(*) FROM by_lookup;
DROP TABLE by_lookup;
RESET maintenance_work_mem;
DELETE FROM item WHERE id > 900;
CALL key_migration_rollback('root');
RESET constraint_exclusion;
ALTER TABLE root OWNER TO owner_of_roots;

-- The owner of a referring table needs no more than his foreign key, to have values compared, too; keys of the other target.
UPDATE item SET root_id = 1 WHERE id = 20;
ALTER TABLE item ADD FOREIGN KEY (root_id) REFERENCES root;
REVOKE SELECT ON root FROM owner_of_items;
ALTER TABLE root DROP CONSTRAINT root_check, DROP CONSTRAINT root_check_of_row;
GRANT REFERENCES ON root TO owner_of_items;
SET SESSION AUTHORIZATION owner_of_items;
CREATE TABLE pair (id bigint PRIMARY KEY, one smallint REFERENCES root, other bigint REFERENCES root);
INSERT INTO pair SELECT i, i, nullif(i % 7, 0) FROM generate_series(1, 300) AS i;
RESET SESSION AUTHORIZATION;
SELECT table_name, detail FROM key_migration_plan('root') WHERE detail ~ 'owner_of';
SELECT key_migration_create('root', target => 'ulid', fire_triggers => true);
CALL key_migration_advance('root', through => 'backfilled');
SELECT count(root_id_new), count(*) FROM item;
SELECT count(*), count(one_new), count(other_new), count(other) FROM pair;
SELECT statement FROM key_migration_statements('root', through => 'verified') \gexec
SELECT ok, count(*) FROM key_migration_verify('root') GROUP BY ok;
CALL key_migration_rollback('root');
DROP TABLE pair;
-- A column to which he may not get by its schema is one that he may not read.
ALTER TABLE item DROP CONSTRAINT item_root_id_fkey;
GRANT SELECT ON root TO owner_of_items;
REVOKE USAGE ON SCHEMA owners FROM owner_of_items;
SELECT key_migration_create('root');
SELECT key_migration_add_reference('root', 'item', '{root_id}');
GRANT USAGE ON SCHEMA owners TO owner_of_items;
REVOKE SELECT ON root FROM owner_of_items;
SELECT key_migration_add_reference('root', 'item', '{root_id}');
GRANT SELECT (id, created_at) ON root TO owner_of_items;
SELECT key_migration_add_reference('root', 'item', '{root_id}');
GRANT SELECT ON root TO owner_of_items;
SELECT key_migration_add_reference('root', 'item', '{root_id}');
CALL key_migration_rollback('root');

-- Old rows that violate a check which is not valid are counted, as the owner of the table.
SET SESSION AUTHORIZATION owner_of_items;
CREATE FUNCTION is_small(i integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'owner_of_items' THEN
        RAISE EXCEPTION 'caught %', current_user;
    END IF;
    RETURN i < 100;
END $$;
CREATE TABLE checked (id bigint PRIMARY KEY, created_at timestamptz NOT NULL, size integer, "Größe" integer);
INSERT INTO checked SELECT i, '2024-01-01', i, nullif(i % 3, 0) FROM generate_series(1, 150) AS i;
ALTER TABLE checked ADD CONSTRAINT small CHECK (owners.is_small(size)) NOT VALID, ADD CONSTRAINT "Not 2" CHECK ("Größe" <> 2) NOT VALID,
    ADD CONSTRAINT whole_row CHECK (checked IS NOT NULL) NOT VALID, ADD CONSTRAINT nobody CHECK (size > 0) NOT VALID,
    ADD CONSTRAINT fails CHECK (1 / (size - 7) < 1) NOT VALID, ADD CONSTRAINT valid CHECK (size < 1000);
RESET SESSION AUTHORIZATION;
SELECT action, detail FROM key_migration_plan('checked') WHERE detail ~ 'not valid';
SELECT action, detail FROM key_migration_plan('checked', fire_triggers => true) WHERE detail ~ 'not valid';
-- Only for whom the table's owner is.
SET SESSION AUTHORIZATION owner_of_roots;
SELECT action, detail FROM key_migration_plan('checked') WHERE detail ~ 'not valid';
RESET SESSION AUTHORIZATION;
-- Nothing is counted where policies hide rows from the owner.
ALTER TABLE checked ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT action, detail FROM key_migration_plan('checked') WHERE detail ~ 'not valid';
SET client_min_messages = error;
-- Publications of a table, of a schema, of all tables; what is not logged is in none of the latter two.
CREATE TABLE published (id bigint PRIMARY KEY, created_at timestamptz NOT NULL);
CREATE PUBLICATION of_table FOR TABLE published (id, created_at);
CREATE PUBLICATION of_other FOR TABLE note;
CREATE PUBLICATION of_schema FOR TABLES IN SCHEMA owners;
CREATE PUBLICATION of_all FOR ALL TABLES;
SELECT detail FROM key_migration_plan('published') WHERE detail ~ 'published by';
DROP PUBLICATION of_table;
ALTER TABLE published SET UNLOGGED;
SELECT detail FROM key_migration_plan('published') WHERE detail ~ 'published by';
DROP PUBLICATION of_other, of_schema, of_all;
DROP SCHEMA owners CASCADE;
DROP ROLE owner_of_roots, owner_of_items;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
