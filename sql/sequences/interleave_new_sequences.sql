CREATE FUNCTION @extschema@.interleave_new_sequences(enable boolean) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'interleave_new_sequences_wrapper';

COMMENT ON FUNCTION @extschema@.interleave_new_sequences(boolean) IS
'set whether new sequences of this database are moved into the class of its node by the command that creates them; off by default';

-- The owner of the database can set this, but cannot alter an event trigger. So the event trigger
-- always exists, and checks the setting.
CREATE FUNCTION keyspace_internal.interleave_created_sequences() RETURNS event_trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'interleave_created_sequences';
REVOKE ALL ON FUNCTION keyspace_internal.interleave_created_sequences() FROM PUBLIC;
CREATE EVENT TRIGGER pg_keyspace_new_sequences ON ddl_command_end
    WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE', 'CREATE SEQUENCE', 'CREATE SCHEMA',
                 'CREATE FOREIGN TABLE', 'ALTER FOREIGN TABLE', 'IMPORT FOREIGN SCHEMA')
    EXECUTE FUNCTION keyspace_internal.interleave_created_sequences();
-- Also for sessions that replay the DDL of other nodes, whose role is "replica".
ALTER EVENT TRIGGER pg_keyspace_new_sequences ENABLE ALWAYS;

COMMENT ON FUNCTION keyspace_internal.interleave_created_sequences() IS
'event trigger of interleave_new_sequences(): moves new sequences into the class of the node if that is enabled';
COMMENT ON EVENT TRIGGER pg_keyspace_new_sequences IS
'moves new sequences into the class of the node if interleave_new_sequences() has enabled it';
