-- Triggers that capture the changes of a table for a copy: the backfill, which does not fire them, refuses to go on beside
-- them. It fires them on request, and can be told that one does not matter.
-- fault_c19
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA captured;
SET search_path = captured, public;
CREATE TABLE o (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00', n integer);
CREATE TABLE c (no bigint PRIMARY KEY, o_id bigint REFERENCES o, n integer);
CREATE TABLE fired (by text, of text);
INSERT INTO o (n) SELECT i FROM generate_series(1, 1000) AS i;
INSERT INTO c SELECT i, i FROM generate_series(1, 1000) AS i;
CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO captured.fired VALUES (TG_NAME, TG_TABLE_NAME); RETURN NULL; END $$;
CREATE TRIGGER was_there AFTER UPDATE ON c FOR EACH ROW EXECUTE FUNCTION fire();
CREATE TRIGGER capture AFTER INSERT OR UPDATE OR DELETE ON c FOR EACH ROW EXECUTE FUNCTION fire();
ALTER TABLE c ENABLE ALWAYS TRIGGER capture;
-- One that is there already and fires always is an error, unless it is to fire.
SELECT table_name, action, detail FROM key_migration_plan('o') WHERE action = 'error';
SELECT action FROM key_migration_plan('o', fire_triggers => true) WHERE action = 'error';
SELECT key_migration_create('o');
DROP TRIGGER capture ON c;
SELECT key_migration_create('o');
CALL key_migration_advance('o', through => 'prepared');
-- Those that do not fire for the new column do not matter.
CREATE TRIGGER of_another AFTER UPDATE OF n ON c FOR EACH ROW EXECUTE FUNCTION fire();
CREATE TRIGGER on_delete AFTER DELETE ON c FOR EACH ROW EXECUTE FUNCTION fire();
CREATE TRIGGER of_replicas AFTER UPDATE ON c FOR EACH ROW EXECUTE FUNCTION fire();
ALTER TABLE c ENABLE REPLICA TRIGGER of_replicas;
CREATE TRIGGER off AFTER UPDATE ON c FOR EACH ROW EXECUTE FUNCTION fire();
ALTER TABLE c DISABLE TRIGGER off;
CREATE TRIGGER capture AFTER INSERT OR UPDATE OR DELETE ON c FOR EACH ROW EXECUTE FUNCTION fire();
\set VERBOSITY default
CALL key_migration_advance('o', through => 'backfilled');
\set VERBOSITY terse
SELECT table_name, percent FROM key_migration_progress WHERE migration = 'o'::regclass ORDER BY 1;
-- The table without it is done. It does not matter, says its owner.
SELECT key_migration_set('o', fire_triggers => false);
CALL key_migration_advance('o', through => 'backfilled');
SELECT key_migration_phase('o');
SELECT by, count(*) FROM fired GROUP BY 1 ORDER BY 1;
-- Again, with one that fires always.
CALL key_migration_rollback('o');
SELECT key_migration_create('o');
CALL key_migration_advance('o', through => 'prepared');
CALL key_migration_advance('o', through => 'backfilled', max_pages => 1);
ALTER TABLE c ENABLE ALWAYS TRIGGER capture;
SELECT key_migration_set('o', fire_triggers => false);
\set VERBOSITY default
CALL key_migration_advance('o', through => 'backfilled');
\set VERBOSITY terse
SELECT key_migration_set('o', fire_triggers => true);
CALL key_migration_advance('o', through => 'backfilled');
SELECT key_migration_phase('o');
SELECT by, count(*) FROM fired GROUP BY 1 ORDER BY 1;
-- Nothing is left to fire, so it is in nobody's way.
SELECT key_migration_set('o', fire_triggers => false);
SELECT statement FROM key_migration_statements('o') \gexec
SELECT key_migration_phase('o');
DROP SCHEMA captured CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
