CREATE PROCEDURE @extschema@.key_migration_advance(
    migration regclass,
    through text DEFAULT 'verified',
    max_pages bigint DEFAULT NULL
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'key_migration_advance_wrapper';
CREATE PROCEDURE @extschema@.key_migration_cutover(
    migration regclass,
    way text DEFAULT 'rename',
    ignore text[] DEFAULT '{}'
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'key_migration_cutover_wrapper';
CREATE PROCEDURE @extschema@.key_migration_rollback(
    migration regclass,
    confirm text DEFAULT NULL
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'key_migration_rollback_wrapper';
CREATE PROCEDURE @extschema@.key_migration_finalize(
    migration regclass,
    confirm text,
    keep_old_ids boolean DEFAULT false
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'key_migration_finalize_wrapper';

COMMENT ON PROCEDURE @extschema@.key_migration_advance(regclass, text, bigint) IS
'take a key migration through a phase: columns and triggers, backfill, NOT NULL and foreign keys, comparison; can be called again at any time';
COMMENT ON PROCEDURE @extschema@.key_migration_cutover(regclass, text, text[]) IS
'give the new columns of a key migration the names of the old ones, in the tables or in views over them, in one short transaction that is retried until it acquires all locks; ignore: statistics, default';
COMMENT ON PROCEDURE @extschema@.key_migration_rollback(regclass, text) IS
'roll back the cut-over of a key migration or, before it, the whole migration; confirm is the name of the table, and required for the latter if there has been a cut-over';
COMMENT ON PROCEDURE @extschema@.key_migration_finalize(regclass, text, boolean) IS
'drop the old columns of a key migration, or leave them unfilled, and move primary keys to the new ones; cannot be rolled back';
