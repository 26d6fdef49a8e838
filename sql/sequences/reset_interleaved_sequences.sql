CREATE FUNCTION @extschema@.reset_interleaved_sequences(
    sequences regclass[] DEFAULT NULL,
    exclude regclass[] DEFAULT NULL,
    skip_failed boolean DEFAULT false,
    lock_timeout interval DEFAULT '2 s',
    dry_run boolean DEFAULT false
) RETURNS TABLE (
    sequence regclass,
    action text,
    in_use bigint,
    restart bigint,
    values_left bigint,
    detail text,
    percent_used numeric,
    fed_columns text[],
    last_value bigint,
    old_increment bigint,
    new_increment bigint,
    ddl text
)
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'reset_interleaved_sequences_wrapper';

COMMENT ON FUNCTION @extschema@.reset_interleaved_sequences(regclass[], regclass[], boolean, interval, boolean) IS
'undo setup_interleaved_sequences(): restore former increments, above the values in use; without arguments, the database is no longer a node';
