CREATE FUNCTION @extschema@.key_migration_create(
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
    move_primary_key boolean DEFAULT false,
    nodes integer[] DEFAULT '{}'
) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_create_wrapper';
CREATE FUNCTION @extschema@.key_migration_add_key(
    migration regclass,
    table_name regclass,
    timestamp_column name DEFAULT NULL,
    salt text DEFAULT NULL,
    include_columns name[] DEFAULT '{}',
    time_zone text DEFAULT NULL,
    timestamp_expression text DEFAULT NULL,
    timestamp_reference name DEFAULT NULL,
    without_timestamp boolean DEFAULT false
) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_add_key_wrapper';
CREATE FUNCTION @extschema@.key_migration_add_reference(
    migration regclass,
    table_name regclass,
    columns name[],
    refers_to regclass DEFAULT NULL,
    type_column name DEFAULT NULL,
    type_values text[] DEFAULT NULL,
    null_values text[] DEFAULT '{}'
) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_add_reference_wrapper';
CREATE FUNCTION @extschema@.key_migration_adopt(migration regclass) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_adopt_wrapper';
CREATE FUNCTION @extschema@.key_migration_set(
    migration regclass,
    batch_pages integer DEFAULT NULL,
    pause interval DEFAULT NULL,
    lock_timeout interval DEFAULT NULL,
    retries integer DEFAULT NULL,
    paused boolean DEFAULT NULL,
    fire_triggers boolean DEFAULT NULL,
    max_standby_lag interval DEFAULT NULL,
    max_slot_wal bigint DEFAULT NULL,
    max_archive_files integer DEFAULT NULL,
    max_wal_rate bigint DEFAULT NULL,
    min_free_disk bigint DEFAULT NULL,
    max_overdue_tables integer DEFAULT NULL,
    throttle_query text DEFAULT NULL,
    move_primary_key boolean DEFAULT NULL
) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_set_wrapper';

COMMENT ON FUNCTION @extschema@.key_migration_create(regclass, name, text, text, name[], text, text, boolean, text, text, name, boolean, boolean, integer[]) IS
'begin to migrate the key of a table and every column that refers to it; stores the settings, and changes nothing else; nodes are those that replicate to each other and migrate the key together';
COMMENT ON FUNCTION @extschema@.key_migration_add_key(regclass, regclass, name, text, name[], text, text, name, boolean) IS
'add the key of another table, and every column that refers to it, to a key migration';
COMMENT ON FUNCTION @extschema@.key_migration_add_reference(regclass, regclass, name[], regclass, name, text[], text[]) IS
'add columns that refer to a migrated key without a foreign key; refers_to is the table that has the key, NULL for the table of the first key; only rows with one of type_values in type_column refer to it, and the columns stay for all others; null_values are values that mean no row';
COMMENT ON FUNCTION @extschema@.key_migration_adopt(regclass) IS
'continue a key migration in a copy of the database in which it began, for example after pg_upgrade';
COMMENT ON FUNCTION @extschema@.key_migration_set(regclass, integer, interval, interval, integer, boolean, boolean, interval, bigint, integer, bigint, bigint, integer, text, boolean) IS
'change the settings of a key migration: batch size, pause between batches, lock timeout and retries, whether it is paused, whether triggers fire, the limits at which its backfill waits, and, before the cut-over, whether primary keys move there; NULL keeps a setting, 0 or an empty query removes a limit; takes effect at once';
