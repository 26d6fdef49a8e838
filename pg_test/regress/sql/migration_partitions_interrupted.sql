-- Foreign keys that a rollback adds to partitions, when it is interrupted before their table has them.
-- fault_a07_two_owners
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE ROLE owner_of_person;
CREATE ROLE owner_of_visit;
CREATE SCHEMA halfway;
GRANT CREATE, USAGE ON SCHEMA halfway TO owner_of_person, owner_of_visit;
SET search_path = halfway, public;
SET check_function_bodies = off;
CREATE FUNCTION foreign_keys() RETURNS TABLE (table_name text, name name, validated boolean, belongs boolean, comment text) LANGUAGE sql AS $$
    SELECT conrelid::regclass::text COLLATE "C", conname, convalidated, conparentid <> 0, obj_description(oid, 'pg_constraint') FROM pg_constraint
    WHERE contype = 'f' AND confrelid = 'halfway.person'::regclass AND conrelid <> 0 ORDER BY 1, 2
$$;
CREATE FUNCTION comment_of_column() RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(col_description(attrelid, attnum), '\[.*\]', '[...]') FROM pg_attribute
    WHERE attrelid = 'halfway.visit'::regclass AND attname = 'person_id_new'
$$;
SET SESSION AUTHORIZATION owner_of_person;
CREATE TABLE person (id serial PRIMARY KEY, name text);
INSERT INTO person (name) SELECT 'n' || i FROM generate_series(1, 20) AS i;
GRANT SELECT, REFERENCES ON person TO owner_of_visit;
CREATE FUNCTION evil(integer) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'owner_of_person' THEN
        RAISE EXCEPTION 'caught %', current_user;
    END IF;
    RETURN true;
END $$;
SET SESSION AUTHORIZATION owner_of_visit;
CREATE TABLE visit (day integer NOT NULL, person_id integer NOT NULL REFERENCES person ON DELETE CASCADE) PARTITION BY LIST (day);
COMMENT ON CONSTRAINT visit_person_id_fkey ON visit IS 'the "person"';
CREATE TABLE visit_1 PARTITION OF visit FOR VALUES IN (1);
CREATE TABLE visit_2 PARTITION OF visit FOR VALUES IN (2);
INSERT INTO visit SELECT i % 2 + 1, i % 20 + 1 FROM generate_series(1, 40) AS i;
RESET SESSION AUTHORIZATION;
SELECT key_migration_create('person', target => 'bigint');
-- PostgreSQL copies the triggers to a new partition with the privileges of whoever creates it.
SELECT table_name, detail FROM key_migration_plan('person') WHERE detail LIKE 'role%';
GRANT EXECUTE ON FUNCTION keyspace_internal.key_migration_copy(), keyspace_internal.key_migration_copy_applied() TO owner_of_visit;
SELECT statement FROM key_migration_statements('person') \gexec
CALL key_migration_cutover('person');
SELECT * FROM foreign_keys();

-- After the cut-over, the owner of the key adds code of their own. The rollback is done, but no row is validated.
SET SESSION AUTHORIZATION owner_of_person;
CREATE INDEX person_evil ON person (name) WHERE evil(1);
RESET SESSION AUTHORIZATION;
CALL key_migration_rollback('person');
SELECT * FROM foreign_keys();
SELECT comment_of_column();
SELECT table_name, split_part(detail, '. ', 1) AS detail FROM key_migration_plan('person') WHERE action = 'error' ORDER BY 1, 2;
CALL key_migration_advance('person', through => 'validated');
-- Whatever comes meanwhile has no foreign key.
SET SESSION AUTHORIZATION owner_of_visit;
CREATE TABLE visit_4 PARTITION OF visit FOR VALUES IN (4);
INSERT INTO visit VALUES (4, 7), (4, 1000);
SET SESSION AUTHORIZATION owner_of_person;
DROP INDEX person_evil;
RESET SESSION AUTHORIZATION;
-- It gets one first, so that rows are checked from then on.
SELECT statement FROM key_migration_statements('person', through => 'validated') \gexec
SELECT * FROM foreign_keys();
INSERT INTO visit VALUES (4, 1001);
DELETE FROM person WHERE id = 7;
SELECT count(*) FROM visit WHERE person_id = 7;
DELETE FROM visit WHERE person_id = 1000;
CALL key_migration_advance('person', through => 'verified');
SELECT key_migration_phase('person');
SELECT * FROM foreign_keys();
SELECT comment_of_column();

-- All partitions with it are dropped, so that no foreign key is left.
CALL key_migration_cutover('person');
COMMENT ON COLUMN visit.person_id IS 'who''s here';
SET SESSION AUTHORIZATION owner_of_person;
CREATE INDEX person_evil ON person (name) WHERE evil(1);
RESET SESSION AUTHORIZATION;
CALL key_migration_rollback('person');
SET SESSION AUTHORIZATION owner_of_visit;
DROP TABLE visit_1, visit_2, visit_4;
CREATE TABLE visit_5 PARTITION OF visit FOR VALUES IN (5);
INSERT INTO visit VALUES (5, 3);
RESET SESSION AUTHORIZATION;
SELECT * FROM foreign_keys();
SELECT comment_of_column();
-- Statements that are made from a note do no more than its owner may.
SET SESSION AUTHORIZATION owner_of_person;
DROP INDEX person_evil;
REVOKE REFERENCES ON person FROM owner_of_visit;
RESET SESSION AUTHORIZATION;
SELECT statement FROM key_migration_statements('person', through => 'validated') \gexec
SELECT * FROM foreign_keys();
GRANT REFERENCES ON person TO owner_of_visit;
CALL key_migration_advance('person', through => 'verified');
SELECT key_migration_phase('person');
SELECT * FROM foreign_keys();
SELECT comment_of_column();
INSERT INTO visit VALUES (5, 999);
CALL key_migration_cutover('person');
CALL key_migration_finalize('person', confirm => 'person');
SELECT * FROM foreign_keys();
-- A migration that is removed before the table has its foreign key again: it gets it first, and new partitions with it.
SET SESSION AUTHORIZATION owner_of_person;
CREATE TABLE member (id serial PRIMARY KEY, name text);
INSERT INTO member (name) SELECT 'n' || i FROM generate_series(1, 20) AS i;
GRANT SELECT, REFERENCES ON member TO owner_of_visit;
SET SESSION AUTHORIZATION owner_of_visit;
CREATE TABLE stay (day integer NOT NULL, member_id integer NOT NULL REFERENCES member ON DELETE CASCADE) PARTITION BY LIST (day);
CREATE TABLE stay_1 PARTITION OF stay FOR VALUES IN (1);
CREATE TABLE stay_2 PARTITION OF stay FOR VALUES IN (2);
INSERT INTO stay SELECT i % 2 + 1, i % 20 + 1 FROM generate_series(1, 40) AS i;
RESET SESSION AUTHORIZATION;
SELECT key_migration_create('member', target => 'bigint');
SELECT statement FROM key_migration_statements('member') \gexec
CALL key_migration_cutover('member');
SET SESSION AUTHORIZATION owner_of_person;
CREATE INDEX member_evil ON member (name) WHERE evil(1);
RESET SESSION AUTHORIZATION;
CALL key_migration_rollback('member');
CALL key_migration_rollback('member', confirm => 'member');
SET SESSION AUTHORIZATION owner_of_visit;
CREATE TABLE stay_3 PARTITION OF stay FOR VALUES IN (3);
SET SESSION AUTHORIZATION owner_of_person;
DROP INDEX member_evil;
RESET SESSION AUTHORIZATION;
SELECT conrelid::regclass, conname, convalidated, conparentid <> 0 AS belongs FROM pg_constraint
WHERE contype = 'f' AND confrelid = 'member'::regclass ORDER BY conrelid::regclass::text COLLATE "C";
CALL key_migration_rollback('member', confirm => 'member');
SELECT conrelid::regclass, conname, convalidated, conparentid <> 0 AS belongs FROM pg_constraint
WHERE contype = 'f' AND confrelid = 'member'::regclass ORDER BY conrelid::regclass::text COLLATE "C";
CREATE TABLE stay_4 PARTITION OF stay FOR VALUES IN (4);
INSERT INTO stay VALUES (4, 1000);
SELECT attname FROM pg_attribute WHERE attrelid = 'stay'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
DROP SCHEMA halfway CASCADE;
REVOKE EXECUTE ON FUNCTION keyspace_internal.key_migration_copy(), keyspace_internal.key_migration_copy_applied() FROM owner_of_visit;
DROP ROLE owner_of_person, owner_of_visit;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
