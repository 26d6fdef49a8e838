-- Sequences whose position is trusted, as named by callers: rows that an application has written
-- far ahead of it do not count.
CREATE TABLE keyspace_internal.interleaved_trusted (
    system_identifier bigint NOT NULL,
    database oid NOT NULL,
    sequence oid NOT NULL,
    rows_from bigint NOT NULL,
    PRIMARY KEY (system_identifier, database, sequence)
);
COMMENT ON TABLE keyspace_internal.interleaved_trusted IS
'sequences given to setup_interleaved_sequences() as trust_position; never dumped; rows of other servers and databases are ignored';
COMMENT ON COLUMN keyspace_internal.interleaved_trusted.system_identifier IS 'the server, as in pg_control_system()';
COMMENT ON COLUMN keyspace_internal.interleaved_trusted.database IS 'the database, as in pg_database.oid';
COMMENT ON COLUMN keyspace_internal.interleaved_trusted.sequence IS 'the sequence, as in pg_class.oid';
COMMENT ON COLUMN keyspace_internal.interleaved_trusted.rows_from IS 'the nearest of the rows ahead, which do not count';
