-- Sequences of which rows beyond the position do not count, as named by callers.
CREATE TABLE keyspace_internal.interleaved_trusted (
    system_identifier bigint NOT NULL,
    database oid NOT NULL,
    sequence oid NOT NULL,
    PRIMARY KEY (system_identifier, database, sequence)
);
COMMENT ON TABLE keyspace_internal.interleaved_trusted IS
'sequences given to setup_interleaved_sequences() as trust_position; never dumped; rows of other servers and databases are ignored';
COMMENT ON COLUMN keyspace_internal.interleaved_trusted.system_identifier IS 'the server, as in pg_control_system()';
COMMENT ON COLUMN keyspace_internal.interleaved_trusted.database IS 'the database, as in pg_database.oid';
COMMENT ON COLUMN keyspace_internal.interleaved_trusted.sequence IS 'the sequence, as in pg_class.oid';
