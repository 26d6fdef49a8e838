-- The limits at which a backfill waits: how they are set and removed, who may set them, and that one which is not exceeded
-- does not matter. What happens while it waits is tested with several sessions.
-- trap_m10
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA limited;
SET search_path = limited, public;
CREATE TABLE o (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
INSERT INTO o SELECT FROM generate_series(1, 1000);
CREATE FUNCTION limits() RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', extract(epoch FROM max_standby_lag)::integer, max_slot_wal, max_archive_files, max_wal_rate, min_free_disk, max_overdue_tables, throttle_query, throttle_role::regrole)
    FROM keyspace_internal.key_migration WHERE relation = 'limited.o'::regclass
$$;
SELECT key_migration_create('o');
SELECT '[' || limits() || ']' AS limits;
SELECT key_migration_set('o', max_standby_lag => '-1 s');
SELECT key_migration_set('o', max_standby_lag => '25 h');
SELECT key_migration_set('o', max_slot_wal => -1);
SELECT key_migration_set('o', max_archive_files => -1);
SELECT key_migration_set('o', max_wal_rate => -1);
SELECT key_migration_set('o', min_free_disk => -1);
SELECT key_migration_set('o', max_overdue_tables => -1);
CREATE ROLE regress_limiter;
GRANT USAGE ON SCHEMA limited TO regress_limiter;
SET ROLE regress_limiter;
SELECT key_migration_set('o', throttle_query => 'SELECT true');
RESET ROLE;
SELECT key_migration_set('o', max_standby_lag => '1 h', max_slot_wal => 1, max_archive_files => 2, max_wal_rate => 3, min_free_disk => 4, max_overdue_tables => 5);
SELECT key_migration_set('o', max_slot_wal => pg_size_bytes('1 TB'), max_archive_files => 1000000, max_wal_rate => pg_size_bytes('1 TB'), min_free_disk => 1,
                         max_overdue_tables => 1000000, throttle_query => $$SELECT 'a' = 'e'$$);
SELECT limits() = '3600 1099511627776 1000000 1099511627776 1 1000000 SELECT ''a'' = ''e'' ' || current_user AS as_set;
-- None of them is exceeded, so it does not wait.
CALL key_migration_advance('o', through => 'backfilled');
SELECT phase, state, throttled_by FROM key_migration_progress WHERE migration = 'o'::regclass;
SELECT key_migration_set('o', max_standby_lag => '0', max_slot_wal => 0, max_archive_files => 0, max_wal_rate => 0, min_free_disk => 0, max_overdue_tables => 0,
                         throttle_query => '');
SELECT '[' || limits() || ']' AS limits;
REVOKE USAGE ON SCHEMA limited FROM regress_limiter;
DROP ROLE regress_limiter;
DROP SCHEMA limited CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
