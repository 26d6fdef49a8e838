CREATE FUNCTION @extschema@.key_migration_node_state(migration regclass) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_node_state_wrapper';
CREATE FUNCTION @extschema@.key_migration_add_peers(migration regclass, peers jsonb[]) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_add_peers_wrapper';

COMMENT ON FUNCTION @extschema@.key_migration_node_state(regclass) IS
'state of this node in a key migration on several nodes, for key_migration_add_peers on the others';
COMMENT ON FUNCTION @extschema@.key_migration_add_peers(regclass, jsonb[]) IS
'take in the states of other nodes, as key_migration_node_state has returned them there; a step of this node is refused if they do not allow it';
