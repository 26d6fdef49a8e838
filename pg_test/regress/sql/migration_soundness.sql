-- What a migration writes, and as whom: its one column, of the type of its target, and nothing else.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA sound;
SET search_path = sound, public;
-- fault_a02_type_of_the_target: what is written into a column has the type of the target, or is not written.
CREATE TABLE spy (id bigint PRIMARY KEY, created_at timestamptz NOT NULL);
INSERT INTO spy VALUES (1, timestamptz '1970-01-01 00:00:00+00' + interval '65536 ms'), (5, '2024-01-01');
CREATE TABLE spied (id bigint PRIMARY KEY, spy_id bigint REFERENCES spy DEFERRABLE INITIALLY DEFERRED);
INSERT INTO spied VALUES (1, 1), (2, 1);
SELECT key_migration_create('spy');
CALL key_migration_advance('spy', through => 'prepared');
ALTER TABLE spy ALTER COLUMN id_new TYPE bytea USING NULL;
SELECT action, detail FROM key_migration_plan('spy') WHERE action = 'error';
CALL key_migration_advance('spy', through => 'backfilled');
-- The trigger of the root, and those of what refers to it: before the row is written, and at the end of the transaction.
INSERT INTO spy VALUES (2, '2024-01-01');
INSERT INTO spied VALUES (3, 1);
UPDATE spied SET spy_id = 1;
ALTER TABLE spy ALTER COLUMN id_new TYPE text USING NULL;
SELECT action, detail FROM key_migration_plan('spy') WHERE action = 'error';
CALL key_migration_advance('spy', through => 'backfilled');
INSERT INTO spy VALUES (2, '2024-01-01');
INSERT INTO spied VALUES (3, 1);
SELECT id, id_new FROM spy;
ALTER TABLE spy ALTER COLUMN id_new TYPE uuid USING NULL;
-- A column of the trigger for late rows cannot be altered; that of the root can, before it looks there.
\set VERBOSITY terse
ALTER TABLE spied ALTER COLUMN spy_id_new TYPE bytea USING NULL;
\set VERBOSITY default
BEGIN;
INSERT INTO spied VALUES (4, 2);
ALTER TABLE spy DISABLE TRIGGER USER, ALTER COLUMN id_new TYPE bytea USING 'raw';
INSERT INTO spy VALUES (2, '2024-01-01', 'raw');
COMMIT;
-- Numbers are looked at, too; a time of another type is no time, and keeps nobody from writing: fault_c06_a_time_of_another_type.
ALTER TABLE spy DISABLE TRIGGER USER, ALTER COLUMN created_at TYPE timestamp;
INSERT INTO spied VALUES (5, 1);
ALTER TABLE spy ALTER COLUMN created_at TYPE timestamptz, ENABLE TRIGGER USER;
-- A function that alters the root within the statement.
CREATE FUNCTION alter_spy(integer) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    IF $1 = 7 THEN
        ALTER TABLE sound.spy ALTER COLUMN id_new TYPE bytea USING NULL;
    END IF;
    RETURN CASE $1 WHEN 7 THEN 5 ELSE 1 END;
END $$;
INSERT INTO spied SELECT i, alter_spy(i) FROM generate_series(6, 7) AS i;
-- A domain over the type is fit, and its checks hold.
CREATE DOMAIN key AS uuid CHECK (VALUE > '00000000-0001-0000-0000-000000000000');
ALTER TABLE spy ALTER COLUMN id_new TYPE key, DISABLE TRIGGER USER;
INSERT INTO spy VALUES (3, '1970-01-01 00:00:00+00');
ALTER TABLE spy ENABLE TRIGGER USER;
INSERT INTO spy VALUES (4, '1970-01-01 00:00:00+00');
CALL key_migration_advance('spy', through => 'backfilled');
ALTER DOMAIN key DROP CONSTRAINT key_check;
CALL key_migration_advance('spy', through => 'backfilled');
-- What was derived without the time is found, and derived again.
SELECT table_name, check_name, row_count FROM key_migration_verify('spy') WHERE NOT ok;
UPDATE spied SET spy_id_new = NULL WHERE id = 5;
SELECT ok, count(*) FROM key_migration_verify('spy') GROUP BY ok;
CALL key_migration_rollback('spy');
DROP TABLE spied, spy;
-- The same for ulid, which is looked up as a member of the extension.
CREATE TABLE spy (id bigint PRIMARY KEY, created_at timestamptz NOT NULL);
INSERT INTO spy VALUES (1, '2024-01-01');
SELECT key_migration_create('spy', target => 'ulid');
CALL key_migration_advance('spy', through => 'prepared');
ALTER TABLE spy ALTER COLUMN id_new TYPE uuid USING NULL;
SELECT action, detail FROM key_migration_plan('spy') WHERE action = 'error';
CALL key_migration_advance('spy', through => 'backfilled');
INSERT INTO spy VALUES (2, '2024-01-01');
ALTER TABLE spy ALTER COLUMN id_new TYPE public.ulid USING NULL;
CALL key_migration_advance('spy', through => 'backfilled');
INSERT INTO spy VALUES (2, '2024-01-01');
SELECT count(id_new) FROM spy;
CALL key_migration_rollback('spy');
DROP TABLE spy;
-- trap_m27 fault_a10_generated_columns_and_checks: those that depend on the new column are made and hold, others are left alone.
CREATE TABLE post (id bigint PRIMARY KEY, created_at timestamptz NOT NULL, size integer, twice integer GENERATED ALWAYS AS (size * 2) STORED,
    once integer UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE remark (id bigint PRIMARY KEY, post_id bigint REFERENCES post);
INSERT INTO post (id, created_at, size, once) SELECT i, '2024-01-01'::timestamptz + i * interval '1 day', -i, i FROM generate_series(1, 500) AS i;
INSERT INTO remark SELECT i, i FROM generate_series(1, 500) AS i;
-- What no row could be updated by any more.
ALTER TABLE post ADD CONSTRAINT size_positive CHECK (size > 0) NOT VALID;
SELECT key_migration_create('post');
SELECT action, detail FROM key_migration_plan('post') WHERE step IS NULL AND action <> 'note';
CALL key_migration_advance('post', through => 'prepared');
ALTER TABLE post ADD COLUMN short text GENERATED ALWAYS AS (left(id_new::text, 8)) STORED;
ALTER TABLE post ADD CONSTRAINT key_of_2024 CHECK (id_new < uuidv7_boundary('2025-01-01'));
CREATE INDEX ON post (short);
ALTER TABLE post ADD CONSTRAINT post_new UNIQUE (id_new);
ALTER TABLE remark ADD CONSTRAINT remark_new FOREIGN KEY (post_id_new) REFERENCES post (id_new) DEFERRABLE INITIALLY DEFERRED NOT VALID;
CALL key_migration_advance('post', through => 'backfilled');
ALTER TABLE post DROP CONSTRAINT key_of_2024, ADD CONSTRAINT short_there CHECK (short IS NOT NULL OR id_new IS NULL);
CALL key_migration_advance('post', through => 'backfilled');
SELECT count(*), count(short), count(*) FILTER (WHERE short <> left(id_new::text, 8)) AS wrong FROM post;
SET enable_seqscan = off;
SELECT count(*) FROM post AS p WHERE short = (SELECT left(o.id_new::text, 8) FROM post AS o WHERE o.id = p.id);
RESET enable_seqscan;
ALTER TABLE remark VALIDATE CONSTRAINT remark_new;
SELECT ok, count(*) FROM key_migration_verify('post') GROUP BY ok;
-- A row that comes before the one that it refers to: the foreign key on keys is checked for what is written late.
ALTER TABLE remark ALTER CONSTRAINT remark_post_id_fkey DEFERRABLE INITIALLY DEFERRED;
BEGIN;
INSERT INTO remark VALUES (501, 501);
UPDATE remark SET id = 502 WHERE id = 501;
INSERT INTO post (id, created_at, size) VALUES (501, '2024-01-01', 1);
COMMIT;
SELECT post_id_new = id_new AS same FROM remark JOIN post ON post.id = post_id WHERE remark.id = 502;
DROP TABLE remark, post CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
-- fault_a06_code_of_owners_runs_as_owners: what belongs to a table runs as its owner, and can do nothing else.
CREATE ROLE owner_a06;
GRANT CREATE, USAGE ON SCHEMA sound TO owner_a06;
SET SESSION AUTHORIZATION owner_a06;
CREATE FUNCTION trap(at text, anyelement) RETURNS boolean IMMUTABLE LANGUAGE plpgsql SET search_path = sound, public AS $$
BEGIN
    IF current_user <> 'owner_a06' THEN
        RAISE EXCEPTION 'caught % at %', current_user, at;
    END IF;
    RETURN true;
END $$;
CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM sound.trap('trigger', 1); RETURN NEW; END $$;
CREATE TABLE trapped (id bigint PRIMARY KEY, created_at timestamptz NOT NULL, v integer, g boolean GENERATED ALWAYS AS (trap('generated', v)) STORED);
CREATE TABLE trapped_item (id bigint PRIMARY KEY, trapped_id bigint NOT NULL REFERENCES trapped, v integer);
INSERT INTO trapped SELECT i, '2024-01-01', i FROM generate_series(1, 200) AS i;
INSERT INTO trapped_item SELECT i, i, i FROM generate_series(1, 200) AS i;
CREATE INDEX ON trapped (trap('expression', v));
CREATE INDEX ON trapped (v) WHERE trap('predicate', v);
CREATE INDEX ON trapped (created_at) WHERE trap('constant', 1);
CREATE INDEX ON trapped_item (id) WHERE trap('constant of item', 1);
ALTER TABLE trapped ADD CHECK (trap('check', v)), ADD CHECK (trap('constant check', 1));
ALTER TABLE trapped_item ADD CHECK (trap('constant check of item', 1));
CREATE TRIGGER trap AFTER INSERT OR UPDATE ON trapped FOR EACH ROW EXECUTE FUNCTION trap();
CREATE CONSTRAINT TRIGGER trap_late AFTER INSERT OR UPDATE ON trapped_item DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trap();
RESET SESSION AUTHORIZATION;
SELECT action, detail FROM key_migration_plan('trapped') WHERE action = 'error';
SELECT key_migration_create('trapped');
CALL key_migration_advance('trapped', through => 'prepared');
SET SESSION AUTHORIZATION owner_a06;
ALTER TABLE trapped ADD CHECK (trap('check of key', id_new)), ADD COLUMN made boolean GENERATED ALWAYS AS (trap('generated of key', id_new)) STORED;
CREATE INDEX ON trapped_item (trap('expression of key', trapped_id_new));
RESET SESSION AUTHORIZATION;
CALL key_migration_advance('trapped', through => 'backfilled');
SELECT statement FROM key_migration_statements('trapped', through => 'verified') \gexec
SELECT ok, count(*) FROM key_migration_verify('trapped') GROUP BY ok;
CALL key_migration_cutover('trapped', ignore => '{default}');
CALL key_migration_rollback('trapped');
SET SESSION AUTHORIZATION owner_a06;
ALTER TABLE trapped DROP COLUMN made;
RESET SESSION AUTHORIZATION;
CALL key_migration_rollback('trapped', confirm => 'trapped');
SELECT key_migration_create('trapped', fire_triggers => true);
CALL key_migration_advance('trapped', through => 'prepared');
SET SESSION AUTHORIZATION owner_a06;
CREATE INDEX ON trapped_item (trap('expression of key', trapped_id_new));
RESET SESSION AUTHORIZATION;
CALL key_migration_advance('trapped', through => 'backfilled');
SET SESSION AUTHORIZATION owner_a06;
SELECT count(trapped_id_new) FROM trapped_item;
RESET SESSION AUTHORIZATION;
CALL key_migration_rollback('trapped');
-- A function that needs a search_path of others is named.
CREATE TABLE helper (n integer);
CREATE FUNCTION careless(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM helper) + $1; END' SET search_path = sound;
CREATE TABLE careless (id bigint PRIMARY KEY, created_at timestamptz NOT NULL, filler text);
INSERT INTO careless SELECT i, '2024-01-01', repeat('x', 1000) FROM generate_series(1, 100) AS i;
CREATE INDEX ON careless (careless(length(filler)));
-- As it may be up to PostgreSQL 16, where indexes are built with any search_path.
ALTER FUNCTION careless RESET search_path;
SELECT key_migration_create('careless');
CALL key_migration_advance('careless', through => 'prepared');
CALL key_migration_advance('careless', through => 'backfilled');
ALTER FUNCTION careless SET search_path = sound;
CALL key_migration_advance('careless', through => 'backfilled');
CALL key_migration_rollback('careless');
DROP TABLE careless;
-- fault_a07_late_rows: the trigger writes its one column, with nobody's rights, and no trigger fires.
CREATE ROLE owner_of_database;
GRANT CREATE, USAGE ON SCHEMA sound TO owner_of_database;
GRANT EXECUTE ON FUNCTION keyspace_internal.key_migration_late(), keyspace_internal.key_migration_reference(), keyspace_internal.key_migration_key() TO owner_of_database;
SET SESSION AUTHORIZATION owner_a06;
CREATE TABLE root (id bigint PRIMARY KEY, created_at timestamptz NOT NULL, id_new uuid UNIQUE);
CREATE TABLE victim (id bigint PRIMARY KEY, root_id bigint, root_id_new uuid);
INSERT INTO root VALUES (1, '2024-01-01', '00000000-0000-7000-8000-000000000001');
GRANT INSERT, SELECT, TRIGGER ON victim TO owner_of_database;
RESET SESSION AUTHORIZATION;
-- As the plan makes them: columns of number and key, and of the time.
CREATE PROCEDURE put_on_root() LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER key BEFORE INSERT ON sound.root FOR EACH ROW '
        'EXECUTE FUNCTION keyspace_internal.key_migration_key(%s, old_id, uuid, %L, 1, 3, 2)', 'sound.root'::regclass::oid, '');
END $$;
CALL put_on_root();
SET SESSION AUTHORIZATION owner_of_database;
CREATE FUNCTION steal() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'steal as %', current_user; END $$;
CREATE TRIGGER steal BEFORE UPDATE ON victim FOR EACH ROW EXECUTE FUNCTION steal();
CREATE TRIGGER steal_later AFTER UPDATE ON victim FOR EACH ROW EXECUTE FUNCTION steal();
DO $$
BEGIN
    EXECUTE format('CREATE CONSTRAINT TRIGGER late AFTER INSERT ON victim DEFERRABLE INITIALLY DEFERRED FOR EACH ROW '
        'EXECUTE FUNCTION keyspace_internal.key_migration_late(%s, old_id, uuid, %L, 2, 3, %s, 1, 3, 2)', 'victim'::regclass::oid, '', 'root'::regclass::oid);
END $$;
INSERT INTO victim VALUES (1, 1);
SELECT * FROM victim;
-- fault_a08_look_up: nothing is looked up that the owner of the table may not read.
CREATE TABLE mine (id bigint, root_id bigint, root_id_new uuid);
DO $$
BEGIN
    EXECUTE format('CREATE TRIGGER look BEFORE INSERT ON mine FOR EACH ROW '
        'EXECUTE FUNCTION keyspace_internal.key_migration_reference(%s, old_id, uuid, %L, 2, 3, %s, 1, 3, 2)', 'mine'::regclass::oid, '', 'root'::regclass::oid);
    EXECUTE format('CREATE CONSTRAINT TRIGGER late AFTER INSERT ON mine DEFERRABLE INITIALLY DEFERRED FOR EACH ROW '
        'EXECUTE FUNCTION keyspace_internal.key_migration_late(%s, old_id, uuid, %L, 2, 3, %s, 1, 3, 2)', 'mine'::regclass::oid, '', 'root'::regclass::oid);
END $$;
INSERT INTO mine VALUES (1, 1);
ALTER TABLE mine DISABLE TRIGGER look;
INSERT INTO mine VALUES (2, 1);
ALTER TABLE mine ENABLE TRIGGER look;
-- A superuser who inserts there changes nothing of that.
RESET SESSION AUTHORIZATION;
INSERT INTO mine VALUES (3, 1);
GRANT SELECT (id, id_new) ON root TO owner_of_database;
INSERT INTO mine VALUES (4, 1);
GRANT SELECT (created_at) ON root TO owner_of_database;
INSERT INTO mine VALUES (5, 1);
REVOKE SELECT (id, id_new, created_at) ON root FROM owner_of_database;
INSERT INTO mine VALUES (6, 1);
ALTER TABLE mine ADD FOREIGN KEY (root_id) REFERENCES root;
INSERT INTO mine VALUES (7, 1);
ALTER TABLE root ENABLE ROW LEVEL SECURITY;
INSERT INTO mine VALUES (8, 1);
ALTER TABLE root DISABLE ROW LEVEL SECURITY;
SELECT * FROM mine ORDER BY id;
-- fault_a08_other_columns: a foreign key on the number is no consent to read other columns, which whoever has a table of
-- his own can write into the arguments of a trigger.
CREATE TABLE salary (id bigint PRIMARY KEY, hired_at timestamptz NOT NULL, badge uuid UNIQUE NOT NULL, amount bigint, id_new uuid UNIQUE);
INSERT INTO salary VALUES (1, '2024-01-01', '00000000-0000-4000-8000-000000000001', 4200, '00000000-0000-7000-8000-000000000002');
GRANT REFERENCES ON salary TO owner_of_database;
DO $$
BEGIN
    EXECUTE format('CREATE TRIGGER key BEFORE INSERT ON salary FOR EACH ROW '
        'EXECUTE FUNCTION keyspace_internal.key_migration_key(%s, old_id, uuid, %L, 1, 5, 2)', 'salary'::regclass::oid, '');
END $$;
SET SESSION AUTHORIZATION owner_of_database;
CREATE TABLE spy_key (id bigint, salary_id bigint REFERENCES salary, badge uuid);
CREATE TABLE spy_number (id bigint, amount bigint, badge uuid REFERENCES salary (badge));
CREATE TABLE spy_late (id bigint, salary_id bigint REFERENCES salary, badge uuid);
CREATE TABLE fair (id bigint, salary_id bigint REFERENCES salary, salary_id_new uuid);
DO $$
DECLARE
    salary oid := 'salary'::regclass;
BEGIN
    EXECUTE format('CREATE TRIGGER look BEFORE INSERT ON spy_key FOR EACH ROW '
        'EXECUTE FUNCTION keyspace_internal.key_migration_reference(%s, old_id, uuid, %L, 2, 3, %s, 1, 3, 2)', 'spy_key'::regclass::oid, '', salary);
    EXECUTE format('CREATE TRIGGER look BEFORE INSERT ON spy_number FOR EACH ROW '
        'EXECUTE FUNCTION keyspace_internal.key_migration_reference(%s, key, uuid, %L, 2, 3, %s, 4, 3, 2)', 'spy_number'::regclass::oid, '', salary);
    EXECUTE format('CREATE CONSTRAINT TRIGGER late AFTER INSERT ON spy_late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW '
        'EXECUTE FUNCTION keyspace_internal.key_migration_late(%s, old_id, uuid, %L, 2, 3, %s, 1, 3, 2)', 'spy_late'::regclass::oid, '', salary);
    EXECUTE format('CREATE TRIGGER look BEFORE INSERT ON fair FOR EACH ROW '
        'EXECUTE FUNCTION keyspace_internal.key_migration_reference(%s, old_id, uuid, %L, 2, 3, %s, 1, 5, 2)', 'fair'::regclass::oid, '', salary);
END $$;
INSERT INTO spy_key VALUES (1, 1);
INSERT INTO spy_number VALUES (1, NULL, '00000000-0000-4000-8000-000000000001');
INSERT INTO spy_late VALUES (1, 1);
-- What the root's own trigger names is what a migration lets those know who refer to it; also while that is switched off.
INSERT INTO fair VALUES (1, 1);
RESET SESSION AUTHORIZATION;
ALTER TABLE salary DISABLE TRIGGER USER;
SET SESSION AUTHORIZATION owner_of_database;
INSERT INTO fair VALUES (2, 1);
-- A function of the same name, on a trigger of the same arguments, is none of ours.
RESET SESSION AUTHORIZATION;
DROP TRIGGER key ON salary;
GRANT TRIGGER ON salary TO owner_of_database;
SET SESSION AUTHORIZATION owner_of_database;
CREATE FUNCTION key_migration_key() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
DO $$
BEGIN
    EXECUTE format('CREATE TRIGGER key BEFORE INSERT ON salary FOR EACH ROW '
        'EXECUTE FUNCTION sound.key_migration_key(%s, old_id, uuid, %L, 1, 5, 2)', 'salary'::regclass::oid, '');
END $$;
INSERT INTO fair VALUES (3, 1);
RESET SESSION AUTHORIZATION;
SELECT 'spy_key' AS of, to_jsonb(t) AS got FROM spy_key AS t UNION ALL SELECT 'spy_number', to_jsonb(t) FROM spy_number AS t
UNION ALL SELECT 'spy_late', to_jsonb(t) FROM spy_late AS t UNION ALL SELECT 'fair', to_jsonb(t) FROM fair AS t;
-- Neither is that a table's owner may read them: who has TRIGGER on the table has put it there, and reads what it writes.
DROP TRIGGER key ON salary;
REVOKE ALL ON salary FROM owner_of_database;
ALTER TABLE salary OWNER TO owner_a06;
CREATE TABLE visited (id bigint, salary_id bigint, badge uuid);
ALTER TABLE visited OWNER TO owner_a06;
GRANT INSERT, SELECT, TRIGGER ON visited TO owner_of_database;
SET SESSION AUTHORIZATION owner_of_database;
DO $$
DECLARE
    salary oid := 'salary'::regclass;
BEGIN
    EXECUTE format('CREATE TRIGGER look BEFORE INSERT ON visited FOR EACH ROW '
        'EXECUTE FUNCTION keyspace_internal.key_migration_reference(%s, old_id, uuid, %L, 2, 3, %s, 1, 3, 2)', 'visited'::regclass::oid, '', salary);
END $$;
INSERT INTO visited VALUES (1, 1);
SELECT * FROM visited;
-- Whoever may read them, as that owner may, is told nothing that he could not read.
RESET SESSION AUTHORIZATION;
GRANT SELECT (id, badge, hired_at) ON salary TO owner_of_database;
SET SESSION AUTHORIZATION owner_of_database;
INSERT INTO visited VALUES (2, 1);
RESET SESSION AUTHORIZATION;
REVOKE SELECT (badge) ON salary FROM owner_of_database;
ALTER TABLE salary ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON salary TO owner_of_database;
SET SESSION AUTHORIZATION owner_of_database;
INSERT INTO visited VALUES (3, 1);
RESET SESSION AUTHORIZATION;
SELECT * FROM visited;
DROP TABLE spy_key, spy_number, spy_late, fair, visited, salary;
-- While tables that refer to each other get their columns, writers without a right on the other one are in nobody's way: the
-- trigger of a key is there before anything that looks it up.
CREATE ROLE writer_a08;
GRANT USAGE ON SCHEMA sound TO writer_a08;
CREATE TABLE egg (id bigint PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01', hen_id bigint);
CREATE TABLE hen (id bigint PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01', egg_id bigint REFERENCES egg);
ALTER TABLE egg ADD FOREIGN KEY (hen_id) REFERENCES hen;
INSERT INTO egg VALUES (1);
INSERT INTO hen VALUES (1);
GRANT INSERT ON egg, hen TO writer_a08;
SELECT key_migration_create('egg');
SELECT key_migration_add_key('egg', 'hen');
SELECT step, table_name, action FROM key_migration_plan('egg') WHERE phase = 'prepared';
CREATE TABLE hatched AS SELECT row_number() OVER () AS no, step, statement FROM key_migration_plan('egg') WHERE phase = 'prepared';
CREATE PROCEDURE hatch(integer) LANGUAGE plpgsql AS $$
DECLARE
    planned text;
BEGIN
    FOR planned IN SELECT statement FROM sound.hatched WHERE step = $1 ORDER BY no LOOP
        EXECUTE planned;
    END LOOP;
END $$;
CALL hatch(1);
SET SESSION AUTHORIZATION writer_a08;
INSERT INTO egg VALUES (2, DEFAULT, 1);
INSERT INTO hen VALUES (2, DEFAULT, 1);
RESET SESSION AUTHORIZATION;
CALL hatch(2);
SET SESSION AUTHORIZATION writer_a08;
INSERT INTO egg VALUES (3, DEFAULT, 1);
INSERT INTO hen VALUES (3, DEFAULT, 1);
RESET SESSION AUTHORIZATION;
CALL hatch(3);
SET SESSION AUTHORIZATION writer_a08;
INSERT INTO egg VALUES (4, DEFAULT, 1);
INSERT INTO hen VALUES (4, DEFAULT, 1);
RESET SESSION AUTHORIZATION;
SELECT id, e.id_new IS NOT NULL AS egg, h.id_new IS NOT NULL AS hen, e.hen_id_new IS NOT NULL AS by_egg, h.egg_id_new IS NOT NULL AS by_hen
FROM egg AS e JOIN hen AS h USING (id) ORDER BY id;
CALL key_migration_rollback('egg');
DROP TABLE hatched, egg, hen CASCADE;
DROP OWNED BY writer_a08;
DROP ROLE writer_a08;
-- The plan tells it before anything is created.
DROP TRIGGER key ON root;
DROP TRIGGER look ON mine;
DROP TRIGGER late ON mine;
ALTER TABLE mine DROP COLUMN root_id_new;
ALTER TABLE root DROP COLUMN id_new;
SELECT action, detail FROM key_migration_plan('root') WHERE detail ~ 'owner_of';
ALTER TABLE root ENABLE ROW LEVEL SECURITY;
SELECT action, detail FROM key_migration_plan('root') WHERE detail ~ 'owner_of';
ALTER TABLE root DISABLE ROW LEVEL SECURITY;
ALTER TABLE mine DROP CONSTRAINT mine_root_id_fkey;
SELECT key_migration_create('root');
SELECT key_migration_add_reference('root', 'mine', '{root_id}');
GRANT SELECT ON root TO owner_of_database;
SELECT key_migration_add_reference('root', 'mine', '{root_id}');
CALL key_migration_advance('root', through => 'backfilled');
SELECT ok, count(*) FROM key_migration_verify('root') GROUP BY ok;
REVOKE SELECT ON root FROM owner_of_database;
CALL key_migration_advance('root', through => 'validated');
INSERT INTO mine VALUES (9, 1);
CALL key_migration_rollback('root');
REVOKE ALL ON FUNCTION keyspace_internal.key_migration_late(), keyspace_internal.key_migration_reference(), keyspace_internal.key_migration_key() FROM owner_of_database;
DROP SCHEMA sound CASCADE;
DROP ROLE owner_a06, owner_of_database;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
