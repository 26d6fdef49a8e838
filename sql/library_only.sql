-- Only the library changes our tables, whatever role or command is used. The rows belong to one
-- server, but publications FOR ALL TABLES and tools that replicate through ordinary sessions send
-- them to others. They are skipped on arrival, so that no server takes over the identity of
-- another.
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
            'skips rows that replication applies from another server, and refuses changes by anything but the extension');
        EXECUTE pg_catalog.format('COMMENT ON TRIGGER library_only_truncate ON keyspace_internal.%I IS %L', name,
            'refuses TRUNCATE');
        EXECUTE pg_catalog.format('REVOKE ALL ON keyspace_internal.%I FROM PUBLIC', name);
    END LOOP;
END
$do$;
