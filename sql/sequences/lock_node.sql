-- For the client program: its runs that change a node exclude each other.
CREATE FUNCTION keyspace_internal.lock_node() RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'lock_node_wrapper';

COMMENT ON FUNCTION keyspace_internal.lock_node() IS
'part of the client program: lock this node against other runs of it until the end of the transaction; false if another session has the lock';
