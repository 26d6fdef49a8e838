CREATE PROCEDURE @extschema@.setup_interleaved_sequences_in_batches(
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
    lock_timeout interval DEFAULT '100 ms',
    retries integer DEFAULT 50
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'setup_interleaved_sequences_in_batches_wrapper';

COMMENT ON PROCEDURE @extschema@.setup_interleaved_sequences_in_batches(
    integer, integer, name[], regclass[], regclass[], jsonb, jsonb[], bigint, boolean, regclass[], interval, integer
) IS
'setup_interleaved_sequences() for a database in use: one sequence per transaction, with short waits and retries; can be called again at any time';
