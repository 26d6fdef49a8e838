CREATE FUNCTION keyspace_internal.may_see_migration(migration oid) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE CALLED ON NULL INPUT
    RETURN pg_catalog.pg_has_role('pg_read_all_stats'::name, 'USAGE'::text)
        OR EXISTS (SELECT FROM pg_catalog.pg_database d
                   WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
                     AND pg_catalog.pg_has_role(d.datdba, 'USAGE'::text))
        OR EXISTS (SELECT FROM pg_catalog.pg_class c
                   WHERE c.oid OPERATOR(pg_catalog.=) migration AND pg_catalog.pg_has_role(c.relowner, 'USAGE'::text));
COMMENT ON FUNCTION keyspace_internal.may_see_migration(oid) IS
'part of the views key_migration_progress and key_migration_log: whether the caller owns the database or the table, or may read all statistics';

-- A migration is shown to the owner of the database, to the owner of its table, and to roles that
-- may read all statistics (such as pg_monitor). An error can contain values of rows, as the texts
-- of statements do.
CREATE VIEW @extschema@.key_migration_progress WITH (security_barrier = true) AS
SELECT m.relation::regclass AS migration,
       m.phase,
       CASE WHEN m.paused THEN 'paused'
            WHEN NOT now.is_run THEN 'idle'
            WHEN m.tries OPERATOR(pg_catalog.>) 0 THEN 'waiting'
            WHEN m.throttled_by IS NOT NULL THEN 'throttled'
            ELSE 'running' END AS state,
       r.relation::regclass AS table_name,
       CASE WHEN m.finalized_at IS NULL THEN COALESCE(t.filled_rows, 0) END AS filled_rows,
       CASE WHEN m.finalized_at IS NOT NULL OR t.finished_at IS NOT NULL THEN 100.0
            WHEN t.relation IS NULL OR t.pages OPERATOR(pg_catalog.=) 0 THEN 0.0
            -- Rows that were locked are filled last.
            ELSE LEAST(pg_catalog.round(100.0 OPERATOR(pg_catalog.*) t.page OPERATOR(pg_catalog./) t.pages, 1), 99.9) END AS percent,
       CASE WHEN t.busy_time OPERATOR(pg_catalog.>) '0'::interval
            THEN (t.filled_rows OPERATOR(pg_catalog./) EXTRACT(epoch FROM t.busy_time))::bigint END AS rows_per_second,
       CASE WHEN t.finished_at IS NULL AND t.page OPERATOR(pg_catalog.>) 0
            THEN (t.updated_at OPERATOR(pg_catalog.-) t.started_at) OPERATOR(pg_catalog.*)
                 ((t.pages OPERATOR(pg_catalog.-) t.page)::double precision OPERATOR(pg_catalog./) t.page::double precision)
            END AS time_left,
       CASE WHEN m.pid IS NOT NULL THEN pg_catalog.pg_blocking_pids(m.pid) END AS waits_for,
       CASE WHEN now.is_run THEN m.throttled_by END AS throttled_by,
       m.tries,
       m.last_error,
       m.pid,
       t.started_at,
       t.updated_at,
       t.finished_at
-- The phase is that of the migration, not of each table.
FROM (SELECT i.*, CASE WHEN i.finalized_at IS NOT NULL THEN 'finalized'
                       WHEN EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) i.relation)
                       THEN keyspace_internal.key_migration_phase(i.relation) END AS phase
      FROM keyspace_internal.key_migration i
      WHERE i.system_identifier OPERATOR(pg_catalog.=) (SELECT c.system_identifier FROM pg_catalog.pg_control_system() c)
        AND i.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d
                                               WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
        AND keyspace_internal.may_see_migration(i.relation)
      OFFSET 0) m
-- A partitioned table has its rows in its partitions.
LEFT JOIN (SELECT DISTINCT c.system_identifier, c.database, c.migration, w.relation
           FROM keyspace_internal.key_migration_column c
           CROSS JOIN LATERAL (
               WITH RECURSIVE tree AS (
                   SELECT c.relation, k.relkind
                   FROM (SELECT) one LEFT JOIN pg_catalog.pg_class k ON k.oid OPERATOR(pg_catalog.=) c.relation
                   UNION ALL
                   SELECT h.inhrelid, k.relkind
                   FROM tree t
                   JOIN pg_catalog.pg_inherits h ON h.inhparent OPERATOR(pg_catalog.=) t.relation
                   JOIN pg_catalog.pg_class k ON k.oid OPERATOR(pg_catalog.=) h.inhrelid
                   WHERE t.relkind OPERATOR(pg_catalog.=) 'p'::"char")
               SELECT t.relation FROM tree t WHERE COALESCE(t.relkind OPERATOR(pg_catalog.<>) 'p'::"char", true)) w) r
       ON r.system_identifier OPERATOR(pg_catalog.=) m.system_identifier
      AND r.database OPERATOR(pg_catalog.=) m.database
      AND r.migration OPERATOR(pg_catalog.=) m.relation
-- A table has no progress before its backfill begins.
LEFT JOIN keyspace_internal.key_migration_table t
       ON t.system_identifier OPERATOR(pg_catalog.=) m.system_identifier
      AND t.database OPERATOR(pg_catalog.=) m.database
      AND t.migration OPERATOR(pg_catalog.=) m.relation
      AND t.relation OPERATOR(pg_catalog.=) r.relation
-- The lock of a migration.
CROSS JOIN LATERAL (SELECT EXISTS (
    SELECT FROM pg_catalog.pg_locks l
    WHERE l.locktype OPERATOR(pg_catalog.=) 'object' AND l.database OPERATOR(pg_catalog.=) m.database
      AND l.classid OPERATOR(pg_catalog.=) 'keyspace_internal.key_migration'::regclass::oid
      AND l.objid OPERATOR(pg_catalog.=) m.relation AND l.granted AND l.pid OPERATOR(pg_catalog.=) m.pid) AS is_run) now;
GRANT SELECT ON @extschema@.key_migration_progress TO PUBLIC;

CREATE VIEW @extschema@.key_migration_log WITH (security_barrier = true) AS
SELECT s.migration::regclass AS migration,
       s.step,
       s.relation::regclass AS table_name,
       s.action,
       s.started_at,
       s.ended_at,
       s.lock_wait,
       s.lock_held,
       s.tries,
       s.statements
FROM keyspace_internal.key_migration_step s
WHERE s.system_identifier OPERATOR(pg_catalog.=) (SELECT c.system_identifier FROM pg_catalog.pg_control_system() c)
  AND s.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d
                                         WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
  AND keyspace_internal.may_see_migration(s.migration);
GRANT SELECT ON @extschema@.key_migration_log TO PUBLIC;

COMMENT ON VIEW @extschema@.key_migration_progress IS
'progress of each key migration of this database, with a row for each of its tables, and for each partition in place of a partitioned table';
COMMENT ON COLUMN @extschema@.key_migration_progress.migration IS 'the table whose key is migrated';
COMMENT ON COLUMN @extschema@.key_migration_progress.phase IS 'the last complete phase; NULL while a table is locked by another session, or if it was changed so that its key cannot be migrated any more';
COMMENT ON COLUMN @extschema@.key_migration_progress.state IS 'running; waiting for a lock between two attempts; throttled by a limit; paused; or idle, if no procedure runs';
COMMENT ON COLUMN @extschema@.key_migration_progress.table_name IS 'a table of the migration';
COMMENT ON COLUMN @extschema@.key_migration_progress.filled_rows IS 'number of rows to which the backfill has given keys';
COMMENT ON COLUMN @extschema@.key_migration_progress.percent IS 'percentage of the table that the backfill has processed; 0 before it begins, 100 once every row has its key';
COMMENT ON COLUMN @extschema@.key_migration_progress.rows_per_second IS 'rows per second while the backfill works';
COMMENT ON COLUMN @extschema@.key_migration_progress.time_left IS 'estimated time for the rest of the table at the rate so far';
COMMENT ON COLUMN @extschema@.key_migration_progress.waits_for IS 'processes whose locks it waits for';
COMMENT ON COLUMN @extschema@.key_migration_progress.throttled_by IS 'the limit of key_migration_set() that makes the backfill wait, and what was found';
COMMENT ON COLUMN @extschema@.key_migration_progress.tries IS 'number of attempts to acquire a lock';
COMMENT ON COLUMN @extschema@.key_migration_progress.last_error IS 'the last error';
COMMENT ON COLUMN @extschema@.key_migration_progress.pid IS 'process that last worked on it';
COMMENT ON COLUMN @extschema@.key_migration_progress.started_at IS 'when the backfill of the table began';
COMMENT ON COLUMN @extschema@.key_migration_progress.updated_at IS 'time of its last activity';
COMMENT ON COLUMN @extschema@.key_migration_progress.finished_at IS 'when it finished';
COMMENT ON VIEW @extschema@.key_migration_log IS
'log of the procedures of key migrations in this database';
COMMENT ON COLUMN @extschema@.key_migration_log.migration IS 'the table whose key is migrated';
COMMENT ON COLUMN @extschema@.key_migration_log.step IS 'the number of the entry';
COMMENT ON COLUMN @extschema@.key_migration_log.table_name IS 'the table; NULL if the step was for all of them';
COMMENT ON COLUMN @extschema@.key_migration_log.action IS 'what was done';
COMMENT ON COLUMN @extschema@.key_migration_log.started_at IS 'when the successful attempt began';
COMMENT ON COLUMN @extschema@.key_migration_log.ended_at IS 'when it ended, not including the commit';
COMMENT ON COLUMN @extschema@.key_migration_log.lock_wait IS 'how long that attempt waited for locks';
COMMENT ON COLUMN @extschema@.key_migration_log.lock_held IS 'how long it held them, not including the commit';
COMMENT ON COLUMN @extschema@.key_migration_log.tries IS 'number of attempts before it';
COMMENT ON COLUMN @extschema@.key_migration_log.statements IS 'the statements';
