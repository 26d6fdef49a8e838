-- Partitioned tables that refer to a key which becomes bigint: from the plan to the end, and back.
-- trap_m11
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA wide;
SET search_path = wide, public;
CREATE TABLE person (id serial PRIMARY KEY, name text);
INSERT INTO person (name) SELECT 'n' || i FROM generate_series(1, 50) AS i;
CREATE TABLE visit (
    day integer NOT NULL,
    no integer NOT NULL,
    person_id integer NOT NULL DEFAULT 1 REFERENCES person ON DELETE CASCADE,
    guest integer CONSTRAINT of_guest REFERENCES person ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
    PRIMARY KEY (day, no),
    CONSTRAINT visit_once UNIQUE (person_id, day, no),
    CONSTRAINT not_alone CHECK (guest IS NULL OR guest <> person_id)
) PARTITION BY RANGE (day);
COMMENT ON CONSTRAINT of_guest ON visit IS 'a guest';
CREATE TABLE visit_0 PARTITION OF visit FOR VALUES FROM (0) TO (100);
CREATE TABLE visit_1 PARTITION OF visit (person_id DEFAULT 2) FOR VALUES FROM (100) TO (200) PARTITION BY HASH (no);
CREATE TABLE visit_1_0 PARTITION OF visit_1 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE visit_1_1 PARTITION OF visit_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
ALTER TABLE visit_1_1 ALTER COLUMN person_id DROP DEFAULT;
CREATE TABLE odd (guest integer, gone text, person_id integer NOT NULL DEFAULT 3, no integer NOT NULL, day integer NOT NULL,
    CONSTRAINT not_alone CHECK (guest IS NULL OR guest <> person_id), CONSTRAINT own CHECK (person_id > 0));
ALTER TABLE odd DROP COLUMN gone;
ALTER TABLE visit ATTACH PARTITION odd FOR VALUES FROM (200) TO (300);
CREATE TABLE rest PARTITION OF visit DEFAULT;
CREATE INDEX visit_guest ON visit (guest) WHERE guest IS NOT NULL;
INSERT INTO visit (day, no, person_id, guest) SELECT i % 400, i, i % 50 + 1, CASE WHEN i % 4 > 0 THEN (i + 7) % 50 + 1 END FROM generate_series(1, 600) AS i;
CREATE TABLE before AS TABLE visit;
SET check_function_bodies = off;
CREATE FUNCTION differences() RETURNS bigint LANGUAGE sql AS $$
    SELECT (SELECT count(*) FROM visit WHERE (person_id_new, guest_new) IS DISTINCT FROM (person_id::bigint, guest::bigint))
$$;
CREATE FUNCTION foreign_keys() RETURNS TABLE (table_name text, name name, validated boolean, belongs boolean, comment text) LANGUAGE sql AS $$
    -- If the name is taken, PostgreSQL chooses another one, which is of_person_1 since version 18.
    SELECT conrelid::regclass::text COLLATE "C", replace(conname, 'of_person_1', 'visit_3_person_id_fkey')::name, convalidated, conparentid <> 0,
           obj_description(oid, 'pg_constraint') FROM pg_constraint
    WHERE contype = 'f' AND confrelid = 'person'::regclass AND conrelid <> 0 ORDER BY 1, 2
$$;
-- What stays on old ids must permit NULL.
ALTER TABLE odd ALTER COLUMN guest SET NOT NULL;
SELECT table_name, detail FROM key_migration_plan('person', target => 'bigint') WHERE action = 'error';
UPDATE visit SET guest = person_id % 50 + 1 WHERE guest IS NULL;
ALTER TABLE odd ALTER COLUMN guest SET NOT NULL;
SELECT table_name, detail FROM key_migration_plan('person', target => 'bigint') WHERE action = 'error';
ALTER TABLE odd ALTER COLUMN guest DROP NOT NULL;
ALTER TABLE odd ADD CONSTRAINT bits CHECK (bit_length(person_id::text) > 0);
SELECT table_name, detail FROM key_migration_plan('person', target => 'bigint') WHERE action = 'error';
ALTER TABLE odd DROP CONSTRAINT bits;
TRUNCATE before;
INSERT INTO before TABLE visit;
SELECT key_migration_create('person', target => 'bigint');
CALL key_migration_advance('person', through => 'prepared');
INSERT INTO visit (day, no, person_id, guest) SELECT 90 + i % 120, 1000 + i, i, i + 1 FROM generate_series(1, 20) AS i;
UPDATE visit SET day = day + 100 WHERE no BETWEEN 1001 AND 1010;
UPDATE visit SET person_id_new = 9 WHERE no = 1020;
UPDATE visit SET guest = NULL WHERE no = 1003;
SELECT count(*), count(*) FILTER (WHERE (person_id_new, guest_new) IS DISTINCT FROM (person_id::bigint, guest::bigint)) AS other FROM visit WHERE no > 1000;
SELECT statement FROM key_migration_statements('person') \gexec
SELECT key_migration_phase('person'), differences();
CALL key_migration_cutover('person');
SELECT * FROM foreign_keys();
SELECT adrelid::regclass AS table_name, attname, pg_get_expr(adbin, adrelid) AS value FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
WHERE adrelid IN (SELECT relid FROM pg_partition_tree('visit')) ORDER BY adrelid::regclass::text COLLATE "C";
-- Keys beyond what the old columns can hold, in each partition.
SELECT setval('person_id_seq', 3000000000);
INSERT INTO person (name) VALUES ('beyond');
INSERT INTO visit (day, no, person_id, guest) SELECT 95 + i * 60, 2000 + i, 3000000001, i FROM generate_series(0, 3) AS i WHERE i > 0;
INSERT INTO visit (day, no, person_id, guest) VALUES (96, 2100, 1, 3000000001), (97, 2101, 4, NULL);
UPDATE visit SET day = day + 100 WHERE no IN (2001, 2100);
SELECT tableoid::regclass AS partition, day, no, person_id, person_id_old, guest, guest_old FROM visit WHERE no >= 2000 ORDER BY no;
-- A partition that comes after the cut-over.
CREATE TABLE visit_5 PARTITION OF visit FOR VALUES FROM (500) TO (600);
INSERT INTO visit (day, no, person_id) VALUES (500, 2200, 3000000001);
\set VERBOSITY default
CALL key_migration_rollback('person');
\set VERBOSITY terse
SELECT conname FROM pg_constraint WHERE conname LIKE '%\_filled' OR conname LIKE '%\_held';
UPDATE visit SET guest = NULL WHERE guest > 2147483647;
DELETE FROM person WHERE id > 2147483647;
SELECT count(*) FROM visit WHERE person_id > 2147483647;
CALL key_migration_rollback('person');
SELECT setval('person_id_seq', 50);
CALL key_migration_rollback('person');
SELECT key_migration_phase('person'), differences();
SELECT * FROM foreign_keys();
SELECT attrelid::regclass AS table_name, attname, attnotnull FROM pg_attribute WHERE attname IN ('person_id', 'guest') AND attrelid IN (SELECT relid FROM pg_partition_tree('visit'))
ORDER BY attrelid::regclass::text COLLATE "C", attname COLLATE "C";
INSERT INTO visit (day, no, person_id) VALUES (98, 2300, 99);
INSERT INTO visit_1_0 (day, no) SELECT 150, i FROM generate_series(3000, 3020) AS i WHERE satisfies_hash_partition('visit_1'::regclass, 2, 0, i) LIMIT 1;
SELECT person_id, person_id_new FROM visit WHERE no >= 3000;
-- Again, and to the end.
SELECT statement FROM key_migration_statements('person') \gexec
SELECT key_migration_phase('person'), differences();
CALL key_migration_cutover('person');
CALL key_migration_finalize('person', confirm => 'person');
SELECT * FROM foreign_keys();
SELECT attrelid::regclass AS table_name, attname, format_type(atttypid, atttypmod) AS type, attnotnull FROM pg_attribute
WHERE attrelid IN (SELECT relid FROM pg_partition_tree('visit')) AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('day', 'no')
ORDER BY attrelid::regclass::text COLLATE "C", attname COLLATE "C";
SELECT adrelid::regclass AS table_name, attname, pg_get_expr(adbin, adrelid) AS value FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
WHERE adrelid IN (SELECT relid FROM pg_partition_tree('visit')) ORDER BY adrelid::regclass::text COLLATE "C";
SELECT conrelid::regclass AS table_name, conname, pg_get_constraintdef(oid) AS definition, convalidated FROM pg_constraint
WHERE conrelid IN ('visit'::regclass, 'odd'::regclass) AND contype IN ('c', 'u') ORDER BY conrelid::regclass::text COLLATE "C", conname COLLATE "C";
SELECT count(*) AS lost FROM before AS b LEFT JOIN visit AS v USING (day, no) WHERE (v.person_id, v.guest) IS DISTINCT FROM (b.person_id::bigint, b.guest::bigint);
SELECT count(*) AS left FROM pg_trigger WHERE tgname LIKE '%key\_migration%';
-- A primary key that moves at the cut-over, for UUIDs: its foreign keys move and come back, too.
DROP TABLE visit, before, person;
CREATE TABLE person (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
INSERT INTO person SELECT FROM generate_series(1, 9);
CREATE TABLE visit (day integer NOT NULL, person_id bigint NOT NULL CONSTRAINT of_person REFERENCES person ON DELETE CASCADE, guest bigint REFERENCES person) PARTITION BY LIST (day);
CREATE TABLE visit_1 PARTITION OF visit FOR VALUES IN (1);
CREATE TABLE visit_2 PARTITION OF visit FOR VALUES IN (2);
-- PostgreSQL gives that of a partition another name if its own is taken.
CREATE TABLE visit_3 (LIKE visit, CONSTRAINT of_person CHECK (day > 0));
ALTER TABLE visit ATTACH PARTITION visit_3 FOR VALUES IN (3);
CREATE TABLE empty (day integer, person_id bigint REFERENCES person) PARTITION BY LIST (day);
COMMENT ON CONSTRAINT empty_person_id_fkey ON empty IS 'of no partition';
INSERT INTO visit SELECT i % 3 + 1, i, 10 - i FROM generate_series(1, 9) AS i;
SELECT key_migration_create('person', move_primary_key => true);
SELECT statement FROM key_migration_statements('person') \gexec
CALL key_migration_cutover('person');
SELECT * FROM foreign_keys();
INSERT INTO visit (day, person_id_old, guest_old) VALUES (1, 5, 6);
INSERT INTO visit (day, person_id) SELECT 2, id FROM person WHERE id_old = 7;
DELETE FROM person WHERE id_old = 1 AND NOT EXISTS (SELECT FROM visit WHERE guest = id);
UPDATE visit SET guest = NULL WHERE guest_old = 1;
DELETE FROM person WHERE id_old = 1;
CALL key_migration_rollback('person');
SELECT * FROM foreign_keys();
SELECT count(*) FROM visit;
INSERT INTO visit VALUES (2, 1, 2);
SELECT statement FROM key_migration_statements('person') \gexec
CALL key_migration_cutover('person');
CALL key_migration_finalize('person', confirm => 'person');
SELECT * FROM foreign_keys();
SELECT count(*) FROM visit AS v JOIN person AS p ON p.id = v.person_id;
DROP SCHEMA wide CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
