-- Keys of rows whose time is an expression over the row: checked before, evaluated as the owner, and no reason for a write to fail.
-- trap_m26
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CALL keyspace_test.forget_node();
CREATE ROLE regress_time_owner;
CREATE ROLE regress_time_writer;
CREATE SCHEMA expr;
GRANT USAGE, CREATE ON SCHEMA expr TO regress_time_owner;
GRANT USAGE ON SCHEMA expr TO regress_time_writer;
SET search_path = expr, public;
SET ROLE regress_time_owner;
CREATE TABLE event (
    id bigserial PRIMARY KEY,
    "Seconds" double precision,
    local timestamp,
    what text,
    doubled bigint GENERATED ALWAYS AS (id * 2) STORED
);
CREATE TABLE note (id bigserial PRIMARY KEY, event_id bigint NOT NULL REFERENCES event);
GRANT INSERT, SELECT, UPDATE ON event, note TO regress_time_writer;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA expr TO regress_time_writer;
CREATE FUNCTION at_noon(timestamp) RETURNS timestamp IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'regress_time_owner' THEN
        RAISE WARNING 'code of the owner runs as %', current_user;
    END IF;
    RETURN date_trunc('day', $1) + interval '12 hours';
END $$;
CREATE FUNCTION wandering(timestamp) RETURNS timestamp STABLE LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION many(timestamp) RETURNS SETOF timestamp IMMUTABLE LANGUAGE sql AS 'SELECT $1';
REVOKE EXECUTE ON FUNCTION at_noon FROM PUBLIC;
RESET ROLE;

-- What is no expression over the row, or not immutable.
SELECT action, detail FROM key_migration_plan('event', timestamp_expression => 'to_timestamp("Seconds")') WHERE step IS NULL AND action <> 'note';
SELECT key_migration_plan('event', timestamp_expression => '"Seconds"');
SELECT key_migration_plan('event', timestamp_expression => '''2024-01-01''');
SELECT key_migration_plan('event', timestamp_expression => 'now()');
SELECT key_migration_plan('event', timestamp_expression => 'current_timestamp');
SELECT key_migration_plan('event', timestamp_expression => 'local::timestamptz');
SELECT key_migration_plan('event', timestamp_expression => 'expr.wandering(local)', time_zone => 'UTC');
SELECT key_migration_plan('event', timestamp_expression => '(SELECT now())');
SELECT key_migration_plan('event', timestamp_expression => 'max(local)', time_zone => 'UTC');
SELECT key_migration_plan('event', timestamp_expression => 'lag(local) OVER ()', time_zone => 'UTC');
SELECT key_migration_plan('event', timestamp_expression => 'expr.many(local)', time_zone => 'UTC');
SELECT key_migration_plan('event', timestamp_expression => 'local FROM expr.event', time_zone => 'UTC');
SELECT key_migration_plan('event', timestamp_expression => 'local, local', time_zone => 'UTC');
SELECT key_migration_plan('event', timestamp_expression => 'local WHERE true', time_zone => 'UTC');
SELECT key_migration_plan('event', timestamp_expression => 'local; SELECT 1', time_zone => 'UTC');
SELECT key_migration_plan('event', timestamp_expression => 'local ORDER BY 1', time_zone => 'UTC');
SELECT key_migration_plan('event', timestamp_expression => 'local AS x', time_zone => 'UTC');
SELECT key_migration_plan('event', timestamp_expression => '');
SELECT key_migration_plan('event', timestamp_expression => 'no_such');
SELECT count(*) > 10 AS steps FROM key_migration_plan('event', timestamp_expression => 'event.local', time_zone => 'UTC');
SELECT key_migration_plan('event', timestamp_expression => 'event');
SELECT key_migration_plan('event', timestamp_expression => '(event.*)::text::timestamp', time_zone => 'UTC');
SELECT key_migration_plan('event', timestamp_expression => '$3');
SELECT key_migration_plan('event', timestamp_expression => 'xmin::text::timestamp');
SELECT key_migration_plan('event', timestamp_expression => 'to_timestamp(doubled)');
SELECT key_migration_plan('event', timestamp_expression => 'at_noon(local)', time_zone => 'UTC');
SELECT key_migration_plan('event', timestamp_expression => 'local');
SELECT key_migration_plan('event', timestamp_expression => 'to_timestamp("Seconds")', time_zone => 'UTC');
SELECT key_migration_plan('event', 'local', timestamp_expression => 'to_timestamp("Seconds")');
-- Only for whom the table's owner is: some of it is evaluated.
SET ROLE regress_time_writer;
SELECT key_migration_plan('event', timestamp_expression => 'to_timestamp("Seconds")');
RESET ROLE;

-- The code of the owner runs as the owner, whoever writes and whatever the search_path is; NULL and errors are no time.
INSERT INTO event (local, "Seconds", what)
VALUES ('2024-05-05 05:05', 1e9, 'plain'), (NULL, 1, 'null'), ('infinity', NULL, 'infinite'), ('294276-12-31 23:00', NULL, 'error'), ('1950-01-01', NULL, 'early');
INSERT INTO note (event_id) SELECT id FROM event;
SELECT key_migration_create('event', timestamp_expression => 'expr.at_noon(event.local)', time_zone => 'Europe/Berlin');
SELECT time_source FROM keyspace_internal.key_migration_key;
SELECT statement FROM key_migration_plan('event') WHERE action = 'backfill existing rows' ORDER BY step;
CALL key_migration_advance('event', through => 'prepared');
SET ROLE regress_time_writer;
SET search_path = '';
INSERT INTO expr.note (event_id) SELECT id FROM expr.event ORDER BY id;
INSERT INTO expr.event (local, what) VALUES ('2024-07-07 07:07', 'by a writer'), ('294276-12-31 23:00', 'error by a writer');
INSERT INTO expr.note (event_id) SELECT id FROM expr.event WHERE what ~ 'writer' ORDER BY id;
UPDATE expr.event SET local = '2030-01-01' WHERE what = 'null';
SET search_path = expr, public;
RESET ROLE;
CALL key_migration_advance('event', through => 'backfilled');
SELECT id, what, uuidv7_to_timestamp(id_new) AS at, id_new = key_migration_uuid(uuidv7_to_timestamp(id_new), id, 'expr.event') AS same FROM event ORDER BY id;
SELECT count(*), count(*) FILTER (WHERE event_id_new = e.id_new) AS same FROM note n JOIN event e ON e.id = n.event_id;
-- A renamed column is the same column, and a replaced function is the new one; keys that exist stay.
ALTER TABLE event RENAME local TO "Local $1";
INSERT INTO event ("Local $1", what) VALUES ('2024-08-08 08:08', 'renamed');
CREATE OR REPLACE FUNCTION at_noon(timestamp) RETURNS timestamp IMMUTABLE LANGUAGE sql AS $$ SELECT date_trunc('day', $1) + interval '13 hours' $$;
INSERT INTO event ("Local $1", what) VALUES ('2024-09-09 09:09', 'replaced');
SELECT what, uuidv7_to_timestamp(id_new) AS at FROM event WHERE what IN ('renamed', 'replaced') ORDER BY id;
SELECT check_name, ok, row_count, example FROM key_migration_verify('event') WHERE check_name = 'rows changed since';
SELECT statement FROM key_migration_statements('event') \gexec
-- fault_c06_a_dropped_function: writes go on, and the plan says so.
DROP FUNCTION at_noon(timestamp);
SET ROLE regress_time_writer;
INSERT INTO event ("Local $1", what) VALUES ('2024-09-09 09:09', 'dropped');
RESET ROLE;
SELECT uuidv7_to_timestamp(id_new) AS at FROM event WHERE what = 'dropped';
SELECT detail FROM key_migration_plan('event') WHERE detail ~ 'cannot be computed';
CALL key_migration_cutover('event');
CALL key_migration_rollback('event');
CALL key_migration_rollback('event', confirm => 'event');

-- By queries with triggers, and without code of the owner.
UPDATE event SET "Seconds" = 1.5e9 + id;
SELECT key_migration_create('event', timestamp_expression => 'to_timestamp("Seconds")', fire_triggers => true, target => 'ulid');
SELECT time_source FROM keyspace_internal.key_migration_key;
CALL key_migration_advance('event', through => 'backfilled');
SELECT count(*), count(*) FILTER (WHERE id_new = key_migration_ulid(to_timestamp("Seconds"), id, 'expr.event')) AS same FROM event;
SELECT count(*), count(*) FILTER (WHERE event_id_new = e.id_new) AS same FROM note n JOIN event e ON e.id = n.event_id;
CALL key_migration_rollback('event');

-- A role that may create triggers, but does not own the table, gains nothing by an expression of its own.
CREATE ROLE regress_time_other;
GRANT USAGE, CREATE ON SCHEMA expr TO regress_time_other;
GRANT USAGE ON SCHEMA keyspace_internal TO regress_time_other;
GRANT EXECUTE ON FUNCTION keyspace_internal.key_migration_key() TO regress_time_other;
SET ROLE regress_time_owner;
CREATE TABLE target (id bigint PRIMARY KEY, local timestamp, id_new uuid);
CREATE TABLE secret (id bigint PRIMARY KEY, at timestamptz);
INSERT INTO secret VALUES (1, '2024-02-02');
GRANT TRIGGER, INSERT ON target TO regress_time_other;
GRANT SELECT ON target TO regress_time_other;
SET ROLE regress_time_other;
CREATE FUNCTION spy(timestamp) RETURNS timestamp IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'runs as %', current_user; RETURN $1; END $$;
DO $do$ BEGIN EXECUTE format('CREATE TRIGGER a BEFORE INSERT ON target FOR EACH ROW EXECUTE FUNCTION keyspace_internal.key_migration_key(%L, ''old_id'', ''uuid'', ''s'', ''1'', ''3'', %L)', 'target'::regclass::oid,
              'expression UTC expr.spy($2)'); END $do$;
INSERT INTO target VALUES (1, '2024-03-03');
SELECT uuidv7_to_timestamp(id_new) AS at FROM target;
RESET ROLE;
DROP TRIGGER a ON target;
DELETE FROM target;
SET ROLE regress_time_other;
DO $do$ BEGIN EXECUTE format('CREATE TRIGGER b BEFORE INSERT ON target FOR EACH ROW EXECUTE FUNCTION keyspace_internal.key_migration_key(%L, ''old_id'', ''uuid'', ''s'', ''1'', ''3'', %L)', 'target'::regclass::oid,
              format('reference 1 %s 1 2', 'secret'::regclass::oid)); END $do$;
INSERT INTO target VALUES (1, '2024-03-03');
SELECT uuidv7_to_timestamp(id_new) AS at FROM target;
-- The owner can say so, by making it fire always; a replaced trigger is that of whoever replaced it.
RESET ROLE;
DELETE FROM target;
ALTER TABLE target ENABLE ALWAYS TRIGGER b;
SET ROLE regress_time_other;
INSERT INTO target VALUES (1, '2024-03-03');
SELECT uuidv7_to_timestamp(id_new) AS at FROM target;
DO $do$ BEGIN EXECUTE format('CREATE OR REPLACE TRIGGER b BEFORE INSERT ON target FOR EACH ROW EXECUTE FUNCTION keyspace_internal.key_migration_key(%L, ''old_id'', ''uuid'', ''s'', ''1'', ''3'', %L)', 'target'::regclass::oid,
              'expression UTC expr.spy($2)'); END $do$;
RESET ROLE;
DELETE FROM target;
SET ROLE regress_time_other;
INSERT INTO target VALUES (1, '2024-03-03');
SELECT uuidv7_to_timestamp(id_new) AS at FROM target;
RESET ROLE;

RESET TimeZone;
DROP SCHEMA expr CASCADE;
REVOKE ALL ON SCHEMA keyspace_internal FROM regress_time_other;
REVOKE ALL ON FUNCTION keyspace_internal.key_migration_key() FROM regress_time_other;
DROP ROLE regress_time_owner, regress_time_writer, regress_time_other;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
