CREATE FUNCTION @extschema@.partitioned_nextval(sequence regclass) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'partitioned_nextval';
CREATE FUNCTION @extschema@.partitioned_nextval(sequence regclass, node integer, nodes integer) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'partitioned_nextval_of_node';

COMMENT ON FUNCTION @extschema@.partitioned_nextval(regclass) IS
'next value of the sequence that belongs to the node of this database; skips values until the class matches';
COMMENT ON FUNCTION @extschema@.partitioned_nextval(regclass, integer, integer) IS
'next value of the sequence that is congruent to node modulo nodes; a default that names the node is copied to other nodes unchanged';
