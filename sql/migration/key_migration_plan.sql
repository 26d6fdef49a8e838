CREATE FUNCTION @extschema@.key_migration_plan(
    migration regclass,
    timestamp_column name DEFAULT NULL,
    target text DEFAULT 'uuid',
    salt text DEFAULT NULL,
    include_columns name[] DEFAULT '{}',
    new_suffix text DEFAULT '_new',
    old_suffix text DEFAULT '_old',
    fire_triggers boolean DEFAULT false,
    time_zone text DEFAULT NULL,
    timestamp_expression text DEFAULT NULL,
    timestamp_reference name DEFAULT NULL,
    without_timestamp boolean DEFAULT false,
    move_primary_key boolean DEFAULT false
) RETURNS TABLE (
    step integer,
    phase text,
    table_name regclass,
    action text,
    done boolean,
    lock text,
    row_count bigint,
    byte_count bigint,
    detail text,
    statement text
)
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_plan_wrapper';

CREATE FUNCTION @extschema@.key_migration_statements(
    migration regclass,
    through text DEFAULT 'verified'
) RETURNS TABLE (
    step integer,
    phase text,
    statement text
)
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_statements_wrapper';

CREATE FUNCTION @extschema@.key_migration_phase(migration regclass) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE STRICT
    AS 'MODULE_PATHNAME', 'key_migration_phase_wrapper';
CREATE FUNCTION keyspace_internal.key_migration_phase(migration oid) RETURNS text
    LANGUAGE c STABLE PARALLEL UNSAFE STRICT
    AS 'MODULE_PATHNAME', 'key_migration_phase_at_once_wrapper';

COMMENT ON FUNCTION keyspace_internal.key_migration_phase(oid) IS
'part of the view key_migration_progress: key_migration_phase() of a table that may no longer exist; NULL if it is locked, or can no longer be migrated';
COMMENT ON FUNCTION @extschema@.key_migration_plan(regclass, name, text, text, name[], text, text, boolean, text, text, name, boolean, boolean) IS
'show what migrating the key of a table would do to it and to every table that refers to it: findings, then each step with its lock, rows and statement; changes nothing';
COMMENT ON FUNCTION @extschema@.key_migration_statements(regclass, text) IS
'the remaining statements that take a key migration through a phase, for \gexec of psql';
COMMENT ON FUNCTION @extschema@.key_migration_phase(regclass) IS
'the last complete phase of a key migration: planned, prepared, backfilled, indexed, validated, verified, cut over, finalized';
