-- The trigger function for the tables of users. Creating such a trigger needs EXECUTE on it.
CREATE FUNCTION keyspace_internal.interleaved_guard() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'interleaved_guard';

CREATE FUNCTION @extschema@.guard_interleaved_sequences(
    schemas name[] DEFAULT NULL,
    tables regclass[] DEFAULT NULL,
    exclude regclass[] DEFAULT NULL,
    mode text DEFAULT 'refuse',
    blocks text DEFAULT NULL,
    lock_timeout interval DEFAULT '2 s',
    dry_run boolean DEFAULT false
) RETURNS TABLE (
    table_name regclass,
    column_name name,
    sequence regclass,
    action text,
    detail text
)
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'guard_interleaved_sequences_wrapper';

CREATE FUNCTION @extschema@.unguard_interleaved_sequences(
    schemas name[] DEFAULT NULL,
    tables regclass[] DEFAULT NULL,
    exclude regclass[] DEFAULT NULL,
    lock_timeout interval DEFAULT '2 s',
    dry_run boolean DEFAULT false
) RETURNS TABLE (
    table_name regclass,
    column_name name,
    sequence regclass,
    action text,
    detail text
)
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'unguard_interleaved_sequences_wrapper';

COMMENT ON FUNCTION keyspace_internal.interleaved_guard() IS
'trigger of guarded tables: refuses inserts of ids of other nodes, or warns of them';
COMMENT ON FUNCTION @extschema@.guard_interleaved_sequences(name[], regclass[], regclass[], text, text, interval, boolean) IS
'prevent inserts of ids of other nodes into the tables that sequences feed; replicated rows are accepted';
COMMENT ON FUNCTION @extschema@.unguard_interleaved_sequences(name[], regclass[], regclass[], interval, boolean) IS
'undo guard_interleaved_sequences()';
