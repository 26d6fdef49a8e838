-- Prints the statements that move all columns of pgx_ulid's type to the type of pg_keyspace. Each
-- table is written once, with all of its columns, and no other table. Foreign keys are validated after
-- the commit, so that tables are locked for as long as they are rewritten, and not longer.
--
--     psql -d shop -v ON_ERROR_STOP=1 -v old=public.ulid -v new=keyspace.ulid -f from_pgx_ulid.sql
--
-- Read them. With -v execute=yes, it runs them instead; with any other value, it prints them. Printed
-- statements can be run by psql, too, which stops at the first error with -v ON_ERROR_STOP=1.
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on
\pset null ''
\if :{?execute}
\else
    \set execute no
\endif
SELECT :'execute' = 'yes' AS is_executed, set_config('from_pgx_ulid.new', :'new', false) AS new_type
\gset
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
        WHERE d.classid = 'pg_type'::regclass AND d.objid = current_setting('from_pgx_ulid.new')::regtype
            AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'pg_keyspace')
    THEN
        RAISE wrong_object_type USING MESSAGE =
            format('type %s is not the one of pg_keyspace', current_setting('from_pgx_ulid.new'));
    END IF;
END $$;

WITH changed AS (
    SELECT a.attrelid, a.attnum, a.attname, a.atttypid <> :'old'::regtype AS is_array, d.oid AS default_of,
        pg_get_expr(d.adbin, d.adrelid) AS default, c.relkind
    FROM pg_attribute a
        JOIN pg_class c ON c.oid = a.attrelid
        JOIN pg_type t ON t.oid = :'old'::regtype
        LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum) AND a.attgenerated = ''
    WHERE a.atttypid IN (t.oid, t.typarray) AND a.attnum > 0 AND NOT a.attisdropped
        AND c.relkind IN ('r', 'p')
        -- A partition or a child is changed with its parent.
        AND a.attinhcount = 0
),
foreign_keys AS (
    SELECT con.oid, con.conrelid::regclass AS name, con.conname, pg_get_constraintdef(con.oid) AS definition,
        c.relkind = 'r' AND con.convalidated AS is_validated_later
    FROM pg_constraint con JOIN pg_class c ON c.oid = con.conrelid
    WHERE con.contype = 'f' AND con.conparentid = 0
        AND EXISTS (SELECT FROM changed
            WHERE (attrelid, attnum) IN (SELECT con.conrelid, unnest(con.conkey))
               OR (attrelid, attnum) IN (SELECT con.confrelid, unnest(con.confkey)))
),
actions AS (
    SELECT attrelid, attnum, concat_ws(E',\n    ',
        CASE WHEN default_of IS NOT NULL THEN format('ALTER COLUMN %I DROP DEFAULT', attname) END,
        format('ALTER COLUMN %1$I TYPE %2$s%3$s USING %1$I::text%3$s::%2$s%3$s', attname, type, brackets),
        CASE WHEN default_of IS NOT NULL THEN format('ALTER COLUMN %I SET DEFAULT %s', attname, CASE
            WHEN "default" ~ '\mgen_ulid\(\)$' THEN schema || '.ulid()'
            WHEN "default" ~ '\mgen_monotonic_ulid\(\)$' THEN schema || '.ulid_monotonic()'
            ELSE replace("default", '::' || old_type, '::' || type) END) END) AS action
    FROM changed,
        LATERAL (SELECT CASE WHEN is_array THEN '[]' END) AS array_of (brackets),
        LATERAL (SELECT format_type(oid, NULL), typnamespace::regnamespace, :'old'::regtype::text
            FROM pg_type WHERE oid = :'new'::regtype) AS new (type, schema, old_type)
)
SELECT statement || ';' FROM (
    SELECT 1 AS step, 0::oid AS what, 'BEGIN' AS statement
    UNION ALL
    SELECT 2, oid, format('ALTER TABLE %s DROP CONSTRAINT %I', name, conname) FROM foreign_keys
    UNION ALL
    SELECT 3, attrelid, format(E'ALTER TABLE %s\n    %s', attrelid::regclass,
        string_agg(action, E',\n    ' ORDER BY attnum))
    FROM actions GROUP BY attrelid
    UNION ALL
    SELECT 4, oid, format('ALTER TABLE %s ADD CONSTRAINT %I %s%s', name, conname, definition,
        CASE WHEN is_validated_later THEN ' NOT VALID' END)
    FROM foreign_keys
    UNION ALL
    SELECT 5, 0, 'COMMIT'
    UNION ALL
    SELECT 6, oid, format('ALTER TABLE %s VALIDATE CONSTRAINT %I', name, conname)
    FROM foreign_keys WHERE is_validated_later
) AS statements
ORDER BY step, what
\if :is_executed
\gexec
\else
\g
\endif
