CREATE FUNCTION keyspace_internal.check_library_version() RETURNS void
    LANGUAGE c STABLE PARALLEL SAFE STRICT
    AS 'MODULE_PATHNAME', 'check_library_version_wrapper';
COMMENT ON FUNCTION keyspace_internal.check_library_version() IS
'raise an error if the library is older than the extension in this database; called by the last line of every script';

-- Check now, not at the first call of a function that the library lacks. Every upgrade script ends
-- with the same call.
SELECT keyspace_internal.check_library_version();
