-- The rows of our tables are each server's own. Under FOR ALL TABLES publications they travel all the same; where they
-- arrive they are left out, so that no server is told by another what it is.
CREATE FUNCTION @extschema@.interleaved_not_replicated() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'interleaved_not_replicated';
REVOKE ALL ON FUNCTION @extschema@.interleaved_not_replicated() FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.interleaved_not_replicated() IS
'trigger of our tables: leaves out rows that replication brings from another server';

CREATE TRIGGER interleaved_not_replicated BEFORE INSERT OR UPDATE OR DELETE ON @extschema@.interleaved_node
    FOR EACH ROW EXECUTE FUNCTION @extschema@.interleaved_not_replicated();
CREATE TRIGGER interleaved_not_replicated BEFORE INSERT OR UPDATE OR DELETE ON @extschema@.interleaved_sequence
    FOR EACH ROW EXECUTE FUNCTION @extschema@.interleaved_not_replicated();
CREATE TRIGGER interleaved_not_replicated BEFORE INSERT OR UPDATE OR DELETE ON @extschema@.interleaved_feed
    FOR EACH ROW EXECUTE FUNCTION @extschema@.interleaved_not_replicated();
CREATE TRIGGER interleaved_not_replicated BEFORE INSERT OR UPDATE OR DELETE ON @extschema@.interleaved_setup
    FOR EACH ROW EXECUTE FUNCTION @extschema@.interleaved_not_replicated();
ALTER TABLE @extschema@.interleaved_node ENABLE REPLICA TRIGGER interleaved_not_replicated;
ALTER TABLE @extschema@.interleaved_sequence ENABLE REPLICA TRIGGER interleaved_not_replicated;
ALTER TABLE @extschema@.interleaved_feed ENABLE REPLICA TRIGGER interleaved_not_replicated;
ALTER TABLE @extschema@.interleaved_setup ENABLE REPLICA TRIGGER interleaved_not_replicated;
COMMENT ON TRIGGER interleaved_not_replicated ON @extschema@.interleaved_node IS
'leaves out rows that replication brings from another server';
COMMENT ON TRIGGER interleaved_not_replicated ON @extschema@.interleaved_sequence IS
'leaves out rows that replication brings from another server';
COMMENT ON TRIGGER interleaved_not_replicated ON @extschema@.interleaved_feed IS
'leaves out rows that replication brings from another server';
COMMENT ON TRIGGER interleaved_not_replicated ON @extschema@.interleaved_setup IS
'leaves out rows that replication brings from another server';
