CREATE FUNCTION @extschema@.interleaved_node_state(lock_timeout interval DEFAULT '2 s', last_rows bigint DEFAULT 1000000,
    feeds jsonb DEFAULT NULL) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'interleaved_node_state_wrapper';

COMMENT ON FUNCTION @extschema@.interleaved_node_state(interval, bigint, jsonb) IS
'state of this node, to be passed in peers on the other nodes: its class, and how far each sequence has advanced, now and before its set-up';
