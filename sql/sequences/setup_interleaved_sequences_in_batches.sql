CREATE FUNCTION keyspace_internal.setup_interleaved_sequences_begin(
    node integer,
    nodes integer,
    schemas name[],
    sequences regclass[],
    exclude regclass[],
    feeds jsonb,
    peers jsonb[],
    gap bigint,
    blocks boolean,
    lock_timeout interval,
    retries integer
) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'setup_interleaved_sequences_begin_wrapper';
CREATE FUNCTION keyspace_internal.setup_interleaved_sequences_step() RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'setup_interleaved_sequences_step_wrapper';

CREATE FUNCTION keyspace_internal.setup_interleaved_sequences_check() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'setup_interleaved_sequences_check_wrapper';

CREATE PROCEDURE @extschema@.setup_interleaved_sequences_in_batches(
    node integer,
    nodes integer DEFAULT 2,
    schemas name[] DEFAULT NULL,
    sequences regclass[] DEFAULT NULL,
    exclude regclass[] DEFAULT NULL,
    feeds jsonb DEFAULT NULL,
    peers jsonb[] DEFAULT '{}',
    gap bigint DEFAULT 0,
    blocks boolean DEFAULT false,
    lock_timeout interval DEFAULT '100 ms',
    retries integer DEFAULT 50
)
    LANGUAGE plpgsql
AS $procedure$
BEGIN
    PERFORM keyspace_internal.setup_interleaved_sequences_check();
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    PERFORM keyspace_internal.setup_interleaved_sequences_begin(
        node, nodes, schemas, sequences, exclude, feeds, peers, gap, blocks, lock_timeout, retries);
    LOOP
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        EXIT WHEN NOT keyspace_internal.setup_interleaved_sequences_step();
    END LOOP;
END
$procedure$;

COMMENT ON FUNCTION keyspace_internal.setup_interleaved_sequences_begin(
    integer, integer, name[], regclass[], regclass[], jsonb, jsonb[], bigint, boolean, interval, integer
) IS 'part of setup_interleaved_sequences_in_batches(): its first transaction';
COMMENT ON FUNCTION keyspace_internal.setup_interleaved_sequences_check() IS
'part of setup_interleaved_sequences_in_batches(): refuses a transaction block';
COMMENT ON FUNCTION keyspace_internal.setup_interleaved_sequences_step() IS
'part of setup_interleaved_sequences_in_batches(): each further transaction';
COMMENT ON PROCEDURE @extschema@.setup_interleaved_sequences_in_batches(
    integer, integer, name[], regclass[], regclass[], jsonb, jsonb[], bigint, boolean, interval, integer
) IS
'setup_interleaved_sequences() for a database in use: one sequence per transaction, with short waits and retries; can be called again at any time';
