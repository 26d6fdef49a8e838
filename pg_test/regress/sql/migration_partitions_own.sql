-- What a partition has of its own: defaults, names of indexes, and its name in functions and statements.
-- trap_m11 trap_m19
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA own;
SET search_path = own, public;
CREATE TABLE person (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
INSERT INTO person (created_at) SELECT '2024-01-01'::timestamptz + i * interval '1 minute' FROM generate_series(1, 9) AS i;
CREATE FUNCTION somebody() RETURNS bigint LANGUAGE sql AS 'SELECT 5::bigint';
CREATE TABLE visit (
    day integer NOT NULL,
    person_id bigint NOT NULL DEFAULT 1 REFERENCES person,
    guest bigint REFERENCES person,
    UNIQUE (person_id, day)
) PARTITION BY RANGE (day);
CREATE INDEX ON visit (guest);
CREATE INDEX ON visit (day, guest) INCLUDE (person_id);
CREATE INDEX kept ON visit (guest DESC) WHERE person_id IS NOT NULL;
CREATE TABLE as_all PARTITION OF visit FOR VALUES FROM (0) TO (10);
CREATE TABLE other PARTITION OF visit (person_id DEFAULT 2, guest DEFAULT 3) FOR VALUES FROM (10) TO (20);
CREATE TABLE none PARTITION OF visit FOR VALUES FROM (20) TO (30) PARTITION BY LIST (day);
ALTER TABLE none ALTER COLUMN person_id DROP DEFAULT, ALTER COLUMN guest SET DEFAULT 4;
CREATE TABLE none_20 PARTITION OF none FOR VALUES IN (20);
CREATE TABLE computed PARTITION OF visit (guest DEFAULT somebody()) FOR VALUES FROM (30) TO (40);
INSERT INTO visit (day) SELECT i FROM unnest('{1, 2, 11, 12, 31}'::int[]) AS i;
-- For a key, the row that has it.
CREATE FUNCTION defaults() RETURNS TABLE (partition regclass, attname name, refers_to text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    found record;
BEGIN
    FOR found IN SELECT a.adrelid, t.attname, pg_get_expr(a.adbin, a.adrelid) AS value FROM pg_attrdef AS a
                 JOIN pg_attribute AS t ON t.attrelid = a.adrelid AND t.attnum = a.adnum
                 WHERE a.adrelid IN (SELECT relid FROM pg_partition_tree('visit')) ORDER BY a.adrelid::regclass::text COLLATE "C", t.attname LOOP
        partition := found.adrelid;
        attname := found.attname;
        refers_to := found.value;
        IF found.value ~ '::uuid' THEN
            EXECUTE format('SELECT no::text FROM person WHERE id = %s', found.value) INTO refers_to;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;
ALTER TABLE person ADD COLUMN no integer;
UPDATE person SET no = id;
SELECT * FROM defaults();
SELECT table_name, detail FROM key_migration_plan('person') WHERE action = 'warning' ORDER BY detail COLLATE "C";
SELECT key_migration_create('person');
CALL key_migration_advance('person', through => 'prepared');
-- One that comes before there are indexes on keys, and one after.
CREATE TABLE early PARTITION OF visit FOR VALUES FROM (100) TO (110);
SELECT statement FROM key_migration_statements('person', 'indexed') \gexec
CREATE TABLE indexed PARTITION OF visit (guest DEFAULT 6) FOR VALUES FROM (110) TO (120);
CREATE INDEX only_own ON indexed (guest, day);
SELECT statement FROM key_migration_statements('person') \gexec
SELECT key_migration_phase('person');
CALL key_migration_cutover('person');
SELECT * FROM defaults();
INSERT INTO other (day) VALUES (13);
INSERT INTO none_20 (day, person_id) SELECT 20, id FROM person WHERE id_old = 7;
INSERT INTO visit (day) VALUES (3), (14), (32);
SELECT v.tableoid::regclass AS partition, v.day, v.person_id_old, v.guest_old, p.no AS person, g.no AS guest
FROM visit AS v JOIN person AS p ON p.id = v.person_id LEFT JOIN person AS g ON g.id = v.guest ORDER BY day;
CREATE TABLE late PARTITION OF visit FOR VALUES FROM (120) TO (130) PARTITION BY LIST (day);
CREATE TABLE late_120 PARTITION OF late FOR VALUES IN (120);
CREATE FUNCTION names(VARIADIC text[]) RETURNS TABLE (index text, definition text) LANGUAGE sql AS $$
    SELECT indexrelid::regclass::text COLLATE "C", regexp_replace(pg_get_indexdef(indexrelid), '^.* USING', '')
    FROM pg_index WHERE indrelid = ANY ($1::regclass[]) ORDER BY 1 $$;
SELECT * FROM names('early', 'indexed', 'late', 'late_120');
-- Back: a partition that comes now has the names of old ids.
CALL key_migration_rollback('person');
SELECT * FROM defaults();
CREATE TABLE back PARTITION OF visit FOR VALUES FROM (130) TO (140);
SELECT * FROM names('back', 'late_120');
SELECT statement FROM key_migration_statements('person') \gexec
CALL key_migration_cutover('person');
CREATE TABLE again PARTITION OF visit FOR VALUES FROM (140) TO (150);
-- Uses of partitions by their names.
CREATE FUNCTION of_partition() RETURNS bigint LANGUAGE plpgsql AS $$BEGIN RETURN (SELECT count(guest_old) FROM other); END$$;
CREATE FUNCTION of_another() RETURNS bigint LANGUAGE plpgsql AS $$BEGIN RETURN (SELECT count(guest_old) FROM elsewhere); END$$;
SELECT table_name, column_name, kind, used_by, known_by FROM key_migration_usage('person') WHERE kind = 'function' ORDER BY table_name::text COLLATE "C", 2, 4;
DROP FUNCTION of_partition(), of_another();
\set VERBOSITY default
CALL key_migration_finalize('person', confirm => 'person');
\set VERBOSITY terse
ALTER TABLE computed ALTER COLUMN guest_old DROP DEFAULT;
CALL key_migration_finalize('person', confirm => 'person');
SELECT * FROM defaults();
-- As if the tables had been created so: a new partition has the names that it would have had.
CREATE TABLE final PARTITION OF visit FOR VALUES FROM (150) TO (160);
SELECT * FROM names('early', 'indexed', 'late', 'late_120', 'back', 'again', 'final');
SELECT c.relname, array_agg(a.attname ORDER BY a.attnum) AS columns FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relkind = 'I' AND c.relnamespace = 'own'::regnamespace GROUP BY c.relname ORDER BY c.relname COLLATE "C";
DROP SCHEMA own CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
