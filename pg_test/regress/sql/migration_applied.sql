-- Rows that replication applies, or that a session in the role of a replica writes, where the trigger on UPDATE does not
-- fire: they are corrected at once. What cannot be corrected is marked, and the cut-over refuses until all values were
-- compared again.
-- fault_c09 trap_m20 trap_m24
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA applied;
SET search_path = applied, public;
CREATE TABLE o (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00', n integer);
CREATE TABLE c (no bigint PRIMARY KEY, o_id bigint NOT NULL REFERENCES o, n integer);
CREATE TABLE optional (no bigint PRIMARY KEY, o_id bigint REFERENCES o);
CREATE TABLE log (no bigint PRIMARY KEY, o_id bigint);
INSERT INTO o (n) SELECT i FROM generate_series(1, 100) AS i;
INSERT INTO c SELECT i, i FROM generate_series(1, 100) AS i;
INSERT INTO optional SELECT i, i FROM generate_series(1, 10) AS i;
INSERT INTO log SELECT i, i FROM generate_series(1, 10) AS i;
SELECT key_migration_create('o');
SELECT key_migration_add_reference('o', 'log', '{o_id}');
SELECT statement FROM key_migration_statements('o') \gexec
SELECT key_migration_phase('o');
SELECT tgrelid::regclass, tgname, tgenabled, tgtype, tgattr FROM pg_trigger WHERE tgname LIKE '~key\_migration\_applied%' ORDER BY 1, 2;
-- Whether each key is that of the row that the number names.
CREATE VIEW wrong AS
    SELECT 'c' AS of, t.no, t.o_id FROM c AS t LEFT JOIN o ON o.id = t.o_id WHERE t.o_id_new IS DISTINCT FROM o.id_new
    UNION ALL SELECT 'optional', t.no, t.o_id FROM optional AS t LEFT JOIN o ON o.id = t.o_id WHERE t.o_id_new IS DISTINCT FROM o.id_new
    UNION ALL SELECT 'log', t.no, t.o_id FROM log AS t LEFT JOIN o ON o.id = t.o_id WHERE t.o_id_new IS DISTINCT FROM o.id_new;
CREATE TABLE keys AS SELECT id, id_new FROM o;
SET session_replication_role = replica;
-- Another parent, another key, no key, no parent; and nothing of the kind.
UPDATE c SET o_id = 2 WHERE no = 1;
UPDATE c SET o_id_new = (SELECT id_new FROM o WHERE id = 3) WHERE no = 4;
UPDATE optional SET o_id_new = NULL WHERE no = 5;
UPDATE optional SET o_id = NULL WHERE no = 6;
UPDATE c SET n = 1;
UPDATE o SET created_at = '2020-01-01', n = n;
-- Rows with both values, of which one is wrong; with the number alone; and orphans that nothing forbids.
INSERT INTO c (no, o_id, o_id_new) SELECT 201, 8, id_new FROM o WHERE id = 9;
INSERT INTO c (no, o_id) VALUES (202, 10);
INSERT INTO log (no, o_id) VALUES (203, 4711);
UPDATE log SET o_id = 4712 WHERE no = 203;
-- A row whose parent comes later in the transaction.
BEGIN;
INSERT INTO optional (no, o_id) VALUES (204, 300);
INSERT INTO o (id, n) VALUES (300, 300);
COMMIT;
RESET session_replication_role;
SELECT * FROM wrong ORDER BY 1, 2;
SELECT count(*) FROM keys JOIN o USING (id) WHERE keys.id_new IS DISTINCT FROM o.id_new;
SELECT o_id, o_id_new FROM optional WHERE no = 6;
SELECT count(*) AS marks FROM keyspace_internal.key_migration_mark;
SELECT key_migration_phase('o');
-- What cannot be corrected: a parent that is still to come, and a key that others may refer to. A mark for each
-- transaction, however many rows.
SET session_replication_role = replica;
UPDATE optional SET o_id = 1000 + no WHERE no < 3;
BEGIN;
UPDATE o SET id_new = uuidv7() WHERE id > 98 AND id < 101;
UPDATE o SET id_new = uuidv7() WHERE id = 98;
SAVEPOINT s;
UPDATE optional SET o_id = 1003 WHERE no = 3;
ROLLBACK TO s;
UPDATE optional SET o_id = 1004 WHERE no = 4;
COMMIT;
BEGIN;
UPDATE o SET id_new = uuidv7() WHERE id = 97;
ROLLBACK;
RESET session_replication_role;
SELECT relation::regclass, count(*) FROM keyspace_internal.key_migration_mark GROUP BY 1 ORDER BY 1;
SELECT key_migration_phase('o');
\set VERBOSITY default
CALL key_migration_cutover('o');
CALL key_migration_advance('o');
\set VERBOSITY terse
SELECT key_migration_phase('o');
-- The parents arrive. Nothing but the comparison shows that all is well.
INSERT INTO o (id) VALUES (1001), (1002), (1004);
UPDATE c SET o_id_new = NULL WHERE no IN (98, 99, 100);
SET client_min_messages = notice;
CALL key_migration_advance('o');
SET client_min_messages = warning;
SELECT * FROM wrong ORDER BY 1, 2;
SELECT count(*) AS marks FROM keyspace_internal.key_migration_mark;
SELECT key_migration_phase('o');
CALL key_migration_cutover('o');
-- After the cut-over the key leads.
SET session_replication_role = replica;
UPDATE c SET o_id = (SELECT id FROM o WHERE id_old = 50) WHERE no = 51;
UPDATE c SET o_id_old = 50 WHERE no = 52;
UPDATE optional SET o_id = NULL WHERE no = 7;
RESET session_replication_role;
SELECT c.no, c.o_id_old, o.id_old FROM c JOIN o ON o.id = c.o_id WHERE no IN (51, 52) ORDER BY 1;
SELECT o_id, o_id_old FROM optional WHERE no = 7;
DROP VIEW wrong;
CALL key_migration_rollback('o');
SELECT key_migration_phase('o');
-- Nobody but the library writes marks, and they go with their migration.
CREATE ROLE regress_marker;
GRANT USAGE ON SCHEMA keyspace_internal TO regress_marker;
SET ROLE regress_marker;
SELECT * FROM keyspace_internal.key_migration_mark;
INSERT INTO keyspace_internal.key_migration_mark VALUES (1, 1, 1, 1);
CREATE TEMPORARY TABLE own (a integer);
CREATE TRIGGER own AFTER UPDATE ON own FOR EACH ROW EXECUTE FUNCTION keyspace_internal.key_migration_applied();
DROP TABLE own;
RESET ROLE;
REVOKE USAGE ON SCHEMA keyspace_internal FROM regress_marker;
DROP ROLE regress_marker;
SET session_replication_role = replica;
UPDATE o SET id_new = uuidv7() WHERE id = 1;
RESET session_replication_role;
SELECT count(*) AS marks FROM keyspace_internal.key_migration_mark;
CALL key_migration_rollback('o', confirm => 'o');
SELECT count(*) AS marks FROM keyspace_internal.key_migration_mark;
-- Rows that have no key yet get the one that they would have had, and rows of servers that have none keep theirs.
SELECT key_migration_create('o');
CALL key_migration_advance('o', through => 'prepared');
SET session_replication_role = replica;
UPDATE o SET id = 5000, created_at = '2030-01-01' WHERE id = 5;
UPDATE c SET n = 9 WHERE no = 8;
RESET session_replication_role;
SELECT id_new = key_migration_uuid('2020-01-01', 5, 'applied.o') AS as_before FROM o WHERE id = 5000;
SELECT o_id_new = key_migration_uuid('2020-01-01', 8, 'applied.o') AS derived FROM c WHERE no = 8;
DELETE FROM c WHERE o_id = 5;
DELETE FROM optional WHERE o_id = 5;
CALL key_migration_advance('o', through => 'backfilled');
SET session_replication_role = replica;
UPDATE o SET id_new = NULL, n = 7 WHERE id IN (7, 5000);
RESET session_replication_role;
SELECT id, id_new = key_migration_uuid('2020-01-01', CASE id WHEN 5000 THEN 5 ELSE id END, 'applied.o') AS kept FROM o WHERE n = 7 ORDER BY 1;
SELECT count(*) AS marks FROM keyspace_internal.key_migration_mark;
CALL key_migration_rollback('o');
SELECT count(*) AS triggers FROM pg_trigger WHERE tgname LIKE '~key\_migration\_%' AND tgrelid::regclass::text IN ('o', 'c', 'optional', 'log');
DROP SCHEMA applied CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
