CREATE FUNCTION @extschema@.setup_interleaved_sequences(
    node integer,
    nodes integer DEFAULT 2,
    schemas name[] DEFAULT NULL,
    sequences regclass[] DEFAULT NULL,
    exclude regclass[] DEFAULT NULL,
    feeds jsonb DEFAULT NULL,
    peers jsonb[] DEFAULT '{}',
    gap bigint DEFAULT NULL,
    blocks boolean DEFAULT false,
    trust_position regclass[] DEFAULT NULL,
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
    AS 'MODULE_PATHNAME', 'setup_interleaved_sequences_wrapper';

COMMENT ON FUNCTION @extschema@.setup_interleaved_sequences(
    integer, integer, name[], regclass[], regclass[], jsonb, jsonb[], bigint, boolean, regclass[], boolean, interval, boolean
) IS
'make this database node N of M: every sequence restarts above the values in use, in the class congruent to node modulo nodes';
