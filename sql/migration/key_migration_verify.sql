CREATE FUNCTION @extschema@.key_migration_verify(migration regclass) RETURNS TABLE (
    table_name regclass,
    column_name name,
    check_name text,
    ok boolean,
    row_count bigint,
    example text
)
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_verify_wrapper';

COMMENT ON FUNCTION @extschema@.key_migration_verify(regclass) IS
'compare old ids and keys of a key migration: the number of rows of each kind that must not exist, and the old id of one of them';
