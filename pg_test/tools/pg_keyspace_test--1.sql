-- Tests that need this extension install it into their own copy of PostgreSQL.

-- Changes the tables of pg_keyspace with their triggers disabled, which only a superuser can do.
CREATE PROCEDURE keyspace_test.by_hand(statement text) LANGUAGE plpgsql AS $$
DECLARE
    name regclass;
BEGIN
    FOR name IN SELECT oid FROM pg_class WHERE relnamespace = 'keyspace_internal'::regnamespace AND relkind = 'r' ORDER BY oid LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER library_only', name);
    END LOOP;
    EXECUTE statement;
    FOR name IN SELECT oid FROM pg_class WHERE relnamespace = 'keyspace_internal'::regnamespace AND relkind = 'r' ORDER BY oid LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER library_only', name);
    END LOOP;
END
$$;

-- The database is no longer a node, and its sequences stay as they are.
CREATE PROCEDURE keyspace_test.forget_node() LANGUAGE plpgsql AS $$
BEGIN
    CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.interleaved_node');
END
$$;

-- The database becomes another node, and its sequences stay as they are.
CREATE PROCEDURE keyspace_test.become_node(node integer, nodes integer) LANGUAGE plpgsql AS $$
BEGIN
    CALL keyspace_test.by_hand(format('UPDATE keyspace_internal.interleaved_node SET node = %s, nodes = %s', node, nodes));
END
$$;
