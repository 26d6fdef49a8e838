-- Our tables, and the functions that are not called by hand. They have a schema of their own, which
-- is on no search_path. Tools that dump or compare the application's schemas do not take them for
-- the application's, and the owner of the extension's schema cannot create objects next to them. An
-- empty schema of this name is replaced, because some tools create all schemas of a database before
-- the extensions.
DO $do$
BEGIN
    DROP SCHEMA IF EXISTS keyspace_internal RESTRICT;
EXCEPTION WHEN dependent_objects_still_exist THEN
    RAISE EXCEPTION 'schema "keyspace_internal" is not empty' USING ERRCODE = 'duplicate_schema',
        DETAIL = 'The extension keeps its own tables in a schema of this name.',
        HINT = 'Rename or drop the schema, and create the extension again.';
END
$do$;
CREATE SCHEMA keyspace_internal;
REVOKE ALL ON SCHEMA keyspace_internal FROM PUBLIC;
-- Our views, procedures and triggers call functions in it with the rights of their users.
GRANT USAGE ON SCHEMA keyspace_internal TO PUBLIC;

COMMENT ON SCHEMA keyspace_internal IS
'tables and internal functions of pg_keyspace; not for direct use, nor for a search_path';

CREATE FUNCTION keyspace_internal.library_only() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'library_only';
REVOKE ALL ON FUNCTION keyspace_internal.library_only() FROM PUBLIC;
COMMENT ON FUNCTION keyspace_internal.library_only() IS
'trigger of the tables of pg_keyspace: skips rows that replication applies from another server, and refuses all changes except those by the functions of the extension';
