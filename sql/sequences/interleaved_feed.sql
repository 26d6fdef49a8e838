-- Columns that a sequence feeds but that the catalog does not connect with it, as named by callers.
CREATE TABLE keyspace_internal.interleaved_feed (
    system_identifier bigint NOT NULL,
    database oid NOT NULL,
    sequence oid NOT NULL,
    relation oid NOT NULL,
    attribute smallint NOT NULL,
    PRIMARY KEY (system_identifier, database, sequence, relation, attribute)
);
COMMENT ON TABLE keyspace_internal.interleaved_feed IS
'columns given to setup_interleaved_sequences() as feeds; never dumped; rows of other servers and databases are ignored';
COMMENT ON COLUMN keyspace_internal.interleaved_feed.system_identifier IS 'the server, as in pg_control_system()';
COMMENT ON COLUMN keyspace_internal.interleaved_feed.database IS 'the database, as in pg_database.oid';
COMMENT ON COLUMN keyspace_internal.interleaved_feed.sequence IS 'the sequence, as in pg_class.oid';
COMMENT ON COLUMN keyspace_internal.interleaved_feed.relation IS 'the table that it feeds, as in pg_class.oid';
COMMENT ON COLUMN keyspace_internal.interleaved_feed.attribute IS 'the column, as in pg_attribute.attnum';
