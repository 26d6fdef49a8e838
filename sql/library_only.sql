-- Nobody but the library changes our tables, under whatever role and by whatever means. The rows are each server's own:
-- publications FOR ALL TABLES carry them, and tools that replicate by ordinary sessions do; where they arrive they are
-- left out, so that no server is told by another what it is.
DO $do$
DECLARE
    name name;
BEGIN
    FOR name IN SELECT c.relname FROM pg_catalog.pg_class c
                WHERE c.relnamespace OPERATOR(pg_catalog.=) 'keyspace_internal'::regnamespace AND c.relkind OPERATOR(pg_catalog.=) 'r'
    LOOP
        EXECUTE pg_catalog.format('CREATE TRIGGER library_only BEFORE INSERT OR UPDATE OR DELETE ON keyspace_internal.%I
                                   FOR EACH ROW EXECUTE FUNCTION keyspace_internal.library_only()', name);
        EXECUTE pg_catalog.format('CREATE TRIGGER library_only_truncate BEFORE TRUNCATE ON keyspace_internal.%I
                                   FOR EACH STATEMENT EXECUTE FUNCTION keyspace_internal.library_only()', name);
        EXECUTE pg_catalog.format('ALTER TABLE keyspace_internal.%I ENABLE ALWAYS TRIGGER library_only', name);
        EXECUTE pg_catalog.format('ALTER TABLE keyspace_internal.%I ENABLE ALWAYS TRIGGER library_only_truncate', name);
        EXECUTE pg_catalog.format('COMMENT ON TRIGGER library_only ON keyspace_internal.%I IS %L', name,
            'leaves out rows that replication brings from another server, and refuses changes by others than the extension');
        EXECUTE pg_catalog.format('COMMENT ON TRIGGER library_only_truncate ON keyspace_internal.%I IS %L', name,
            'refuses TRUNCATE');
        EXECUTE pg_catalog.format('REVOKE ALL ON keyspace_internal.%I FROM PUBLIC', name);
    END LOOP;
END
$do$;
