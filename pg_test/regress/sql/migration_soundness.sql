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
ALTER TABLE spied ALTER COLUMN spy_id_new TYPE bytea USING NULL;
BEGIN;
INSERT INTO spied VALUES (4, 2);
ALTER TABLE spy DISABLE TRIGGER USER, ALTER COLUMN id_new TYPE bytea USING 'raw';
INSERT INTO spy VALUES (2, '2024-01-01', 'raw');
COMMIT;
-- Numbers and times are looked at, too.
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
DROP SCHEMA sound CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
