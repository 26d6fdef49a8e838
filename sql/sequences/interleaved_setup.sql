-- The last set-up in batches of each server and database, and its progress.
CREATE TABLE keyspace_internal.interleaved_setup (
    system_identifier bigint NOT NULL,
    database oid NOT NULL,
    node integer NOT NULL,
    nodes integer NOT NULL,
    pid integer NOT NULL,
    sequences integer NOT NULL,
    altered integer NOT NULL,
    failed integer NOT NULL,
    current_sequence oid,
    tries integer NOT NULL,
    started_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    PRIMARY KEY (system_identifier, database)
);
COMMENT ON TABLE keyspace_internal.interleaved_setup IS
'the last set-up in batches, shown by the view interleaved_setup_progress; never dumped; rows of other servers and databases are ignored';

CREATE VIEW @extschema@.interleaved_setup_progress WITH (security_barrier = true) AS
SELECT s.node,
       s.nodes,
       CASE WHEN s.finished_at IS NOT NULL
            THEN CASE WHEN s.failed OPERATOR(pg_catalog.>) 0 THEN 'failed' ELSE 'finished' END
            WHEN NOT EXISTS (
                -- The lock of a set-up.
                SELECT FROM pg_catalog.pg_locks l
                WHERE l.locktype OPERATOR(pg_catalog.=) 'object' AND l.database OPERATOR(pg_catalog.=) s.database
                  AND l.classid OPERATOR(pg_catalog.=) 'keyspace_internal.interleaved_setup'::regclass::oid
                  AND l.objid OPERATOR(pg_catalog.=) 'keyspace_internal.interleaved_setup'::regclass::oid
                  AND l.granted AND l.pid OPERATOR(pg_catalog.=) s.pid) THEN 'interrupted'
            WHEN s.tries OPERATOR(pg_catalog.>) 0 THEN 'waiting'
            ELSE 'running' END AS state,
       s.sequences,
       s.altered,
       s.failed,
       s.current_sequence::regclass AS current_sequence,
       s.tries,
       s.started_at,
       s.updated_at,
       s.finished_at,
       s.pid
FROM keyspace_internal.interleaved_setup s
WHERE s.system_identifier OPERATOR(pg_catalog.=) (SELECT c.system_identifier FROM pg_catalog.pg_control_system() c)
  AND s.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d
                                         WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database());
GRANT SELECT ON @extschema@.interleaved_setup_progress TO PUBLIC;

COMMENT ON VIEW @extschema@.interleaved_setup_progress IS
'progress of the last setup_interleaved_sequences_in_batches() of this database: running, waiting, finished, failed, or interrupted; call it again if it failed or was interrupted';
COMMENT ON COLUMN @extschema@.interleaved_setup_progress.node IS 'the node that this database becomes';
COMMENT ON COLUMN @extschema@.interleaved_setup_progress.nodes IS 'the number of nodes';
COMMENT ON COLUMN @extschema@.interleaved_setup_progress.state IS 'running; waiting for a sequence that is in use; finished; failed if it has ended and some sequences could not be set up; or interrupted';
COMMENT ON COLUMN @extschema@.interleaved_setup_progress.sequences IS 'number of sequences to be altered when it began';
COMMENT ON COLUMN @extschema@.interleaved_setup_progress.altered IS 'number of sequences that it has altered';
COMMENT ON COLUMN @extschema@.interleaved_setup_progress.failed IS 'number of sequences that could not be altered; each raised a warning, and the call ended in an error';
COMMENT ON COLUMN @extschema@.interleaved_setup_progress.current_sequence IS 'the next sequence to be altered';
COMMENT ON COLUMN @extschema@.interleaved_setup_progress.tries IS 'number of attempts that found that sequence in use';
COMMENT ON COLUMN @extschema@.interleaved_setup_progress.started_at IS 'when it began';
COMMENT ON COLUMN @extschema@.interleaved_setup_progress.updated_at IS 'time of its last activity';
COMMENT ON COLUMN @extschema@.interleaved_setup_progress.finished_at IS 'when it ended';
COMMENT ON COLUMN @extschema@.interleaved_setup_progress.pid IS 'process that runs it';
