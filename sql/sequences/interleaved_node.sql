-- Which node this database is. One row for each server and database, and not dumped, so that a
-- copy restored elsewhere does not take over the class of its origin.
CREATE TABLE @extschema@.interleaved_node (
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
REVOKE ALL ON @extschema@.interleaved_node FROM PUBLIC;
GRANT SELECT ON @extschema@.interleaved_node TO PUBLIC;
GRANT INSERT, UPDATE, DELETE ON @extschema@.interleaved_node TO pg_database_owner;

COMMENT ON TABLE @extschema@.interleaved_node IS
'which node this database is: written by setup_interleaved_sequences(), never dumped; the rows of other servers and databases mean nothing here';
COMMENT ON COLUMN @extschema@.interleaved_node.system_identifier IS 'the server, as in pg_control_system()';
COMMENT ON COLUMN @extschema@.interleaved_node.database IS 'the database, as in pg_database.oid';
COMMENT ON COLUMN @extschema@.interleaved_node.node IS 'the number of this node, from 1 to nodes';
COMMENT ON COLUMN @extschema@.interleaved_node.nodes IS 'the number of classes that the values are split into';
COMMENT ON COLUMN @extschema@.interleaved_node.set_up_at IS 'when this database was set up as this node';
COMMENT ON COLUMN @extschema@.interleaved_node.new_sequences IS 'whether new sequences are moved into the class as they are created: see interleave_new_sequences()';

-- Sessions keep their node in memory; whatever changes the table makes them read it again.
CREATE FUNCTION @extschema@.interleaved_node_changed() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'interleaved_node_changed';
REVOKE ALL ON FUNCTION @extschema@.interleaved_node_changed() FROM PUBLIC;
CREATE TRIGGER interleaved_node_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.interleaved_node
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.interleaved_node_changed();

COMMENT ON FUNCTION @extschema@.interleaved_node_changed() IS
'trigger of interleaved_node: makes every session read its node again';
COMMENT ON TRIGGER interleaved_node_changed ON @extschema@.interleaved_node IS
'makes every session read its node again';
