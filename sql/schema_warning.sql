-- A role that may create objects in this schema can create functions with the names of ours that
-- take other arguments. Calls of ours with arguments of these types would run them.
DO $do$
DECLARE
    others text;
BEGIN
    SELECT pg_catalog.string_agg(CASE WHEN a.grantee OPERATOR(pg_catalog.=) 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, ', '
                                 ORDER BY a.grantee)
    INTO others
    FROM pg_catalog.pg_namespace n
    CROSS JOIN LATERAL pg_catalog.aclexplode(COALESCE(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) a
    LEFT JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) a.grantee
    WHERE n.oid OPERATOR(pg_catalog.=) '@extschema@'::regnamespace AND a.privilege_type OPERATOR(pg_catalog.=) 'CREATE'
      AND r.rolsuper IS NOT TRUE
      -- The owner of the database, under the role's own name or as pg_database_owner.
      AND a.grantee OPERATOR(pg_catalog.<>) (SELECT d.datdba FROM pg_catalog.pg_database d
                                             WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
      AND r.rolname IS DISTINCT FROM 'pg_database_owner'
      -- The role that installs the extension.
      AND a.grantee OPERATOR(pg_catalog.<>) (SELECT e.extowner FROM pg_catalog.pg_extension e
                                             WHERE e.extname OPERATOR(pg_catalog.=) 'pg_keyspace');
    IF others IS NOT NULL THEN
        RAISE WARNING 'other roles may create objects in schema %, which contains pg_keyspace', '@extschema@'::regnamespace
            USING DETAIL = pg_catalog.format('Roles with the CREATE privilege: %s.', others),
                  HINT = 'Revoke the privilege, or create the extension in its own schema: CREATE EXTENSION pg_keyspace SCHEMA keyspace.';
    END IF;
END
$do$;
