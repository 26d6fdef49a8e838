CREATE FUNCTION @extschema@.key_migration_node_state(migration regclass) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_node_state_wrapper';
CREATE FUNCTION @extschema@.key_migration_add_peers(migration regclass, peers jsonb[]) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_add_peers_wrapper';
CREATE FUNCTION @extschema@.key_migration_remove_node(migration regclass, node integer) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_remove_node_wrapper';
CREATE FUNCTION @extschema@.key_migration_digests(
    migration regclass,
    table_name regclass DEFAULT NULL,
    parts integer[] DEFAULT NULL
) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_digests_wrapper';
CREATE FUNCTION @extschema@.key_migration_compare(migration regclass, digests jsonb)
    RETURNS TABLE (table_name regclass, part integer, row_id text, finding text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_compare_wrapper';
CREATE PROCEDURE @extschema@.key_migration_correct(migration regclass, digests jsonb)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'key_migration_correct_wrapper';
CREATE PROCEDURE @extschema@.key_migration_close(migration regclass)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'key_migration_close_wrapper';
CREATE PROCEDURE @extschema@.key_migration_open(migration regclass)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'key_migration_open_wrapper';

COMMENT ON FUNCTION @extschema@.key_migration_node_state(regclass) IS
'state of this node in a key migration on several nodes, for key_migration_add_peers on the others';
COMMENT ON FUNCTION @extschema@.key_migration_add_peers(regclass, jsonb[]) IS
'take in the states of other nodes, as key_migration_node_state has returned them there; a step of this node is refused if they do not allow it';
COMMENT ON FUNCTION @extschema@.key_migration_remove_node(regclass, integer) IS
'go on with a key migration on several nodes without a node that is lost';
COMMENT ON FUNCTION @extschema@.key_migration_digests(regclass, regclass, integer[]) IS
'digests of the rows of a key migration on several nodes, or the rows of some parts of a table, for key_migration_compare and key_migration_correct on another node';
COMMENT ON FUNCTION @extschema@.key_migration_compare(regclass, jsonb) IS
'compare the rows of this node with those of the first node of a key migration, as key_migration_digests has returned them there; stores whether all keys are the same';
COMMENT ON PROCEDURE @extschema@.key_migration_correct(regclass, jsonb) IS
'give rows the keys that they have on the first node of a key migration, as key_migration_digests has returned them there; other nodes do not receive these changes';
COMMENT ON PROCEDURE @extschema@.key_migration_close(regclass) IS
'make writers on this node wait, while replication goes on, until the node takes its next step in a key migration on several nodes, or is opened';
COMMENT ON PROCEDURE @extschema@.key_migration_open(regclass) IS
'let writers on this node go on without another step: the first call announces it to the other nodes, the second one does it once all have acknowledged that';
