CREATE FUNCTION keyspace_internal.key_migration_check(procedure text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE STRICT
    AS 'MODULE_PATHNAME', 'key_migration_check_wrapper';
CREATE FUNCTION keyspace_internal.key_migration_begin_advance(migration regclass, through text, max_pages bigint) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_begin_advance_wrapper';
CREATE FUNCTION keyspace_internal.key_migration_begin_cutover(migration regclass, way text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_begin_cutover_wrapper';
CREATE FUNCTION keyspace_internal.key_migration_begin_rollback(migration regclass, confirm text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_begin_rollback_wrapper';
CREATE FUNCTION keyspace_internal.key_migration_begin_finalize(migration regclass, confirm text, keep_old_ids boolean) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_begin_finalize_wrapper';
CREATE FUNCTION keyspace_internal.key_migration_next() RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_next_wrapper';

CREATE PROCEDURE @extschema@.key_migration_advance(
    migration regclass,
    through text DEFAULT 'verified',
    max_pages bigint DEFAULT NULL
)
    LANGUAGE plpgsql
AS $procedure$
BEGIN
    PERFORM keyspace_internal.key_migration_check('key_migration_advance');
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    PERFORM keyspace_internal.key_migration_begin_advance(migration, through, max_pages);
    LOOP
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        EXIT WHEN NOT keyspace_internal.key_migration_next();
    END LOOP;
END
$procedure$;

CREATE PROCEDURE @extschema@.key_migration_cutover(migration regclass, way text DEFAULT 'rename')
    LANGUAGE plpgsql
AS $procedure$
BEGIN
    PERFORM keyspace_internal.key_migration_check('key_migration_cutover');
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    PERFORM keyspace_internal.key_migration_begin_cutover(migration, way);
    LOOP
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        EXIT WHEN NOT keyspace_internal.key_migration_next();
    END LOOP;
END
$procedure$;

CREATE PROCEDURE @extschema@.key_migration_rollback(migration regclass, confirm text DEFAULT NULL)
    LANGUAGE plpgsql
AS $procedure$
BEGIN
    PERFORM keyspace_internal.key_migration_check('key_migration_rollback');
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    PERFORM keyspace_internal.key_migration_begin_rollback(migration, confirm);
    LOOP
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        EXIT WHEN NOT keyspace_internal.key_migration_next();
    END LOOP;
END
$procedure$;

CREATE PROCEDURE @extschema@.key_migration_finalize(
    migration regclass,
    confirm text,
    keep_old_ids boolean DEFAULT false
)
    LANGUAGE plpgsql
AS $procedure$
BEGIN
    PERFORM keyspace_internal.key_migration_check('key_migration_finalize');
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    PERFORM keyspace_internal.key_migration_begin_finalize(migration, confirm, keep_old_ids);
    LOOP
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        EXIT WHEN NOT keyspace_internal.key_migration_next();
    END LOOP;
END
$procedure$;

COMMENT ON FUNCTION keyspace_internal.key_migration_check(text) IS
'part of the procedures of key migrations: refuses a transaction block';
COMMENT ON FUNCTION keyspace_internal.key_migration_begin_advance(regclass, text, bigint) IS
'part of key_migration_advance(): its first transaction';
COMMENT ON FUNCTION keyspace_internal.key_migration_begin_cutover(regclass, text) IS
'part of key_migration_cutover(): its first transaction';
COMMENT ON FUNCTION keyspace_internal.key_migration_begin_rollback(regclass, text) IS
'part of key_migration_rollback(): its first transaction';
COMMENT ON FUNCTION keyspace_internal.key_migration_begin_finalize(regclass, text, boolean) IS
'part of key_migration_finalize(): its first transaction';
COMMENT ON FUNCTION keyspace_internal.key_migration_next() IS
'part of the procedures of key migrations: each further transaction';
COMMENT ON PROCEDURE @extschema@.key_migration_advance(regclass, text, bigint) IS
'take a key migration through a phase: columns and triggers, backfill, NOT NULL and foreign keys, comparison; can be called again at any time';
COMMENT ON PROCEDURE @extschema@.key_migration_cutover(regclass, text) IS
'give the new columns of a key migration the names of the old ones, in the tables or in views over them, in one short transaction that is retried until it acquires all locks';
COMMENT ON PROCEDURE @extschema@.key_migration_rollback(regclass, text) IS
'roll back the cut-over of a key migration or, before it, the whole migration; confirm is the name of the table, and required for the latter if there has been a cut-over';
COMMENT ON PROCEDURE @extschema@.key_migration_finalize(regclass, text, boolean) IS
'drop the old columns of a key migration, or leave them unfilled, and move primary keys to the new ones; cannot be rolled back';
