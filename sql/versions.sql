CREATE FUNCTION keyspace_internal.check_library_version() RETURNS void
    LANGUAGE c STABLE PARALLEL SAFE STRICT
    AS 'MODULE_PATHNAME', 'check_library_version_wrapper';
COMMENT ON FUNCTION keyspace_internal.check_library_version() IS
'refuse a library that is older than the extension in this database; the last line of every script calls it';

-- Now rather than at the first call of a function that the library lacks. Every upgrade script ends with the same.
SELECT keyspace_internal.check_library_version();
