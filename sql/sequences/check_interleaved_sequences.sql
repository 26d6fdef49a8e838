CREATE FUNCTION @extschema@.check_interleaved_sequences(
    peers jsonb[] DEFAULT '{}',
    lock_timeout interval DEFAULT '2 s'
) RETURNS TABLE (
    severity text,
    sequence regclass,
    node integer,
    peer integer,
    finding text,
    detail text,
    hint text
)
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'check_interleaved_sequences_wrapper';

COMMENT ON FUNCTION @extschema@.check_interleaved_sequences(jsonb[], interval) IS
'findings about the sequences of this database: those that the view interleaved_sequences shows, and those that are found only by reading the tables; no row of severity error is the proof that nodes keep apart';
