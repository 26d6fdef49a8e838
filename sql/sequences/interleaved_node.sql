-- Which node this database is. There is one row for each server and database. The table is not
-- dumped, so that a copy restored elsewhere does not take over the class of its origin.
CREATE TABLE keyspace_internal.interleaved_node (
    system_identifier bigint NOT NULL,
    database oid NOT NULL,
    node integer NOT NULL,
    nodes integer NOT NULL,
    set_up_at timestamp with time zone NOT NULL DEFAULT pg_catalog.now(),
    new_sequences boolean NOT NULL DEFAULT false,
    PRIMARY KEY (system_identifier, database),
    CHECK (nodes BETWEEN 2 AND 65535),
    CHECK (node BETWEEN 1 AND nodes)
);
COMMENT ON TABLE keyspace_internal.interleaved_node IS
'which node this database is, shown by the view interleaved_node; written by setup_interleaved_sequences(), never dumped; rows of other servers and databases are ignored';
COMMENT ON COLUMN keyspace_internal.interleaved_node.system_identifier IS 'the server, as in pg_control_system()';
COMMENT ON COLUMN keyspace_internal.interleaved_node.database IS 'the database, as in pg_database.oid';
COMMENT ON COLUMN keyspace_internal.interleaved_node.node IS 'the number of this node, from 1 to nodes';
COMMENT ON COLUMN keyspace_internal.interleaved_node.nodes IS 'the number of classes that the values are split into';
COMMENT ON COLUMN keyspace_internal.interleaved_node.set_up_at IS 'when this database was set up as this node';
COMMENT ON COLUMN keyspace_internal.interleaved_node.new_sequences IS 'whether new sequences are moved into the class as they are created: see interleave_new_sequences()';

CREATE VIEW @extschema@.interleaved_node WITH (security_barrier = true) AS
SELECT n.node, n.nodes, n.set_up_at, n.new_sequences
FROM keyspace_internal.interleaved_node n
WHERE n.system_identifier OPERATOR(pg_catalog.=) (SELECT c.system_identifier FROM pg_catalog.pg_control_system() c)
  AND n.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d
                                         WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database());
GRANT SELECT ON @extschema@.interleaved_node TO PUBLIC;

COMMENT ON VIEW @extschema@.interleaved_node IS
'which node this database is; no row if it is not a node; a node that is specified by settings is not shown';
COMMENT ON COLUMN @extschema@.interleaved_node.node IS 'the number of this node, from 1 to nodes';
COMMENT ON COLUMN @extschema@.interleaved_node.nodes IS 'the number of classes that the values are split into';
COMMENT ON COLUMN @extschema@.interleaved_node.set_up_at IS 'when this database was set up as this node';
COMMENT ON COLUMN @extschema@.interleaved_node.new_sequences IS 'whether new sequences are moved into the class as they are created: see interleave_new_sequences()';
