-- Our tables, and the functions that nobody calls by hand. A schema of its own, which is on nobody's search_path: what
-- dumps or compares the application's schemas does not take them for the application's, and who owns the schema of the
-- extension cannot put anything beside them. An empty schema of this name is replaced: tools that write down every schema
-- of a database create them all before the extensions.
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
-- Views, procedures and triggers of ours call functions in it as whoever uses them.
GRANT USAGE ON SCHEMA keyspace_internal TO PUBLIC;

COMMENT ON SCHEMA keyspace_internal IS
'tables of pg_keyspace, and functions that are parts of others; not meant to be on a search_path or to be used by hand';

CREATE FUNCTION keyspace_internal.library_only() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'library_only';
REVOKE ALL ON FUNCTION keyspace_internal.library_only() FROM PUBLIC;
COMMENT ON FUNCTION keyspace_internal.library_only() IS
'trigger of the tables of pg_keyspace: leaves out rows that replication brings from another server, and refuses all changes but those that the functions of the extension make';
