-- Trigger functions for the tables of users. Creating such a trigger needs EXECUTE on its function.
CREATE FUNCTION keyspace_internal.key_migration_key() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'key_migration_key';
CREATE FUNCTION keyspace_internal.key_migration_reference() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'key_migration_reference';

CREATE FUNCTION keyspace_internal.key_migration_late() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'key_migration_late';

CREATE FUNCTION keyspace_internal.key_migration_applied() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'key_migration_applied';

CREATE FUNCTION keyspace_internal.key_migration_copy() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'key_migration_copy';

CREATE FUNCTION keyspace_internal.key_migration_copy_applied() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'key_migration_copy_applied';

CREATE FUNCTION keyspace_internal.key_migration_closed() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'key_migration_closed';

-- They write columns and read tables without the privileges of the user who writes, so not
-- everybody may create triggers with them.
REVOKE ALL ON FUNCTION keyspace_internal.key_migration_key(), keyspace_internal.key_migration_reference(), keyspace_internal.key_migration_late(), keyspace_internal.key_migration_applied(), keyspace_internal.key_migration_copy(), keyspace_internal.key_migration_copy_applied(), keyspace_internal.key_migration_closed() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keyspace_internal.key_migration_key(), keyspace_internal.key_migration_reference(), keyspace_internal.key_migration_late(), keyspace_internal.key_migration_applied(), keyspace_internal.key_migration_copy(), keyspace_internal.key_migration_copy_applied(), keyspace_internal.key_migration_closed() TO pg_database_owner;

COMMENT ON FUNCTION keyspace_internal.key_migration_applied() IS
'trigger of a table in a key migration: corrects rows that replication, or a session in the role of a replica, has updated, and marks tables whose values have to be compared again';
COMMENT ON FUNCTION keyspace_internal.key_migration_late() IS
'trigger of a table that refers to one whose key is migrated: fills rows inserted before the row that they refer to';
COMMENT ON FUNCTION keyspace_internal.key_migration_key() IS
'trigger of a table whose key is migrated: gives a key to rows that have none';
COMMENT ON FUNCTION keyspace_internal.key_migration_reference() IS
'trigger of a table that refers to one whose key is migrated: keeps old id and key in step';
COMMENT ON FUNCTION keyspace_internal.key_migration_copy() IS
'trigger of a table in a key migration to bigint: keeps the old id and the key of a row equal, or the old id NULL if the column cannot hold the key';
COMMENT ON FUNCTION keyspace_internal.key_migration_copy_applied() IS
'trigger of a table in a key migration to bigint: does the same for rows that replication, or a session in the role of a replica, has updated';
COMMENT ON FUNCTION keyspace_internal.key_migration_closed() IS
'trigger of a table in a key migration on several nodes: makes writers wait while the names of columns change';

-- Whoever owns the table may call it; it does what no command of PostgreSQL does.
CREATE FUNCTION keyspace_internal.key_migration_move_identity(table_name regclass, from_column smallint, to_column smallint) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_move_identity_wrapper';
COMMENT ON FUNCTION keyspace_internal.key_migration_move_identity(regclass, smallint, smallint) IS
'make another column of a table its identity column, with the same sequence';

CREATE FUNCTION keyspace_internal.key_migration_add_primary_key(index regclass) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_add_primary_key_wrapper';
COMMENT ON FUNCTION keyspace_internal.key_migration_add_primary_key(regclass) IS
'make a unique index of a partitioned table, with those attached to it, its primary key';
