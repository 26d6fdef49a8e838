-- What a set-up has changed in each sequence, so that it can be undone. As in the table of nodes,
-- the rows belong to one server and database, and are not dumped.
CREATE TABLE keyspace_internal.interleaved_sequence (
    system_identifier bigint NOT NULL,
    database oid NOT NULL,
    sequence oid NOT NULL,
    increment bigint NOT NULL CHECK (increment <> 0),
    former_increment bigint NOT NULL CHECK (former_increment <> 0),
    former_start bigint NOT NULL,
    former_min_value bigint NOT NULL,
    former_max_value bigint NOT NULL,
    start bigint NOT NULL,
    min_value bigint NOT NULL,
    max_value bigint NOT NULL,
    in_use bigint,
    restart bigint NOT NULL,
    before_setup jsonb NOT NULL DEFAULT '[]',
    gap bigint NOT NULL DEFAULT 0,
    timeline integer NOT NULL,
    set_up_at timestamp with time zone NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (system_identifier, database, sequence)
);
COMMENT ON TABLE keyspace_internal.interleaved_sequence IS
'changes that setup_interleaved_sequences() has made to each sequence; read by reset_interleaved_sequences(), never dumped; rows of other servers and databases are ignored';
COMMENT ON COLUMN keyspace_internal.interleaved_sequence.system_identifier IS 'the server, as in pg_control_system()';
COMMENT ON COLUMN keyspace_internal.interleaved_sequence.database IS 'the database, as in pg_database.oid';
COMMENT ON COLUMN keyspace_internal.interleaved_sequence.sequence IS 'the sequence, as in pg_class.oid';
COMMENT ON COLUMN keyspace_internal.interleaved_sequence.increment IS 'the increment that the set-up gave it; if it has another one now, the row is ignored';
COMMENT ON COLUMN keyspace_internal.interleaved_sequence.former_increment IS 'its increment before the first set-up';
COMMENT ON COLUMN keyspace_internal.interleaved_sequence.former_start IS 'its START before the first set-up';
COMMENT ON COLUMN keyspace_internal.interleaved_sequence.former_min_value IS 'its MINVALUE before the first set-up';
COMMENT ON COLUMN keyspace_internal.interleaved_sequence.former_max_value IS 'its MAXVALUE before the first set-up';
COMMENT ON COLUMN keyspace_internal.interleaved_sequence.start IS 'the START that the set-up gave it; if it has another one now, users have altered it since';
COMMENT ON COLUMN keyspace_internal.interleaved_sequence.min_value IS 'its MINVALUE after the set-up';
COMMENT ON COLUMN keyspace_internal.interleaved_sequence.max_value IS 'its MAXVALUE after the set-up';
COMMENT ON COLUMN keyspace_internal.interleaved_sequence.in_use IS 'the furthest value in use at the last set-up that altered it; NULL if there was none';
COMMENT ON COLUMN keyspace_internal.interleaved_sequence.restart IS 'the value at which that set-up restarted it';
COMMENT ON COLUMN keyspace_internal.interleaved_sequence.before_setup IS 'the values that it may have generated before: every step-th value through offset, up to until';
COMMENT ON COLUMN keyspace_internal.interleaved_sequence.gap IS 'the gap that the set-up left';
COMMENT ON COLUMN keyspace_internal.interleaved_sequence.timeline IS 'the timeline of the server when the gap was left; each promotion increments it';
COMMENT ON COLUMN keyspace_internal.interleaved_sequence.set_up_at IS 'when that set-up ran';
