CREATE FUNCTION @extschema@.split_interleaved_sequences(
    factor integer DEFAULT 2,
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
    AS 'MODULE_PATHNAME', 'split_interleaved_sequences_wrapper';

COMMENT ON FUNCTION @extschema@.split_interleaved_sequences(integer, boolean, interval, boolean) IS
'make node k of N node k of N * factor, so that the classes k + N, k + 2 N ... become free for other nodes';
