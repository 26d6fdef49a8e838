-- A database of many tables with serial keys, whose sequences are set up and restored.
CREATE EXTENSION pg_keyspace_test;
CREATE SCHEMA filled;
CREATE SCHEMA plain;
-- More statements in one transaction would only hold more locks.
DO $$ BEGIN
    FOR i IN 1..:tables LOOP
        EXECUTE format('CREATE TABLE filled.t%s (id bigserial PRIMARY KEY, v int)', i);
        EXECUTE format('INSERT INTO filled.t%s (v) SELECT generate_series(1, 20)', i);
        IF i % 1000 = 0 THEN COMMIT; END IF;
    END LOOP;
END $$;
CREATE VIEW to_set_up AS
    SELECT n.nspname AS schema, c.relname AS name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'S' AND n.nspname IN ('filled', 'plain') ORDER BY c.oid;
-- Restores sequences and identity to the state before a set-up, so that every set-up begins alike.
CREATE PROCEDURE restore() LANGUAGE plpgsql AS $$
DECLARE
    s record;
    done int := 0;
BEGIN
    FOR s IN SELECT * FROM to_set_up LOOP
        EXECUTE format('ALTER SEQUENCE %I.%I INCREMENT BY 1 START WITH 1 RESTART WITH 21', s.schema, s.name);
        done := done + 1;
        IF done % 1000 = 0 THEN COMMIT; END IF;
    END LOOP;
    CALL keyspace_test.forget_node();
    CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.interleaved_sequence');
END $$;
ANALYZE;
