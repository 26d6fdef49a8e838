CREATE FUNCTION @extschema@.confirm_interleaved_node(
    node integer DEFAULT NULL,
    nodes integer DEFAULT NULL
) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'confirm_interleaved_node_wrapper';

COMMENT ON FUNCTION @extschema@.confirm_interleaved_node(integer, integer) IS
'make this database, which is a copy of a node, take the place of that node';
