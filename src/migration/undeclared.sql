-- $1 text[]: names that references to the keys can have, in lower case and without anything between
-- their words. $2 oid: our schema. One JSON document: a list of
-- keyspace::migration::candidate_reference::Candidate. They are columns with one of these names, and those that
-- have another column next to them that seems to say to which table they refer. None has a foreign key.
WITH
tables AS (
    SELECT c.oid, n.nspname, c.relname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' AND c.oid >= 16384
      AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.oid <> $2
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
),
columns AS (
    SELECT t.oid, t.nspname, t.relname, a.attnum, a.attname, a.attnotnull, format_type(a.atttypid, a.atttypmod) AS declared,
           coalesce(nullif(y.typbasetype, 0), y.oid) AS base,
           regexp_replace(lower(a.attname::text), '[^[:alnum:]]', '', 'g') AS word
    FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type y ON y.oid = a.atttypid
),
found AS (
    SELECT c.*
    FROM columns c
    WHERE c.base IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype, 'text'::regtype, 'varchar'::regtype, 'bpchar'::regtype)
      AND (c.word = ANY ($1::text[])
           -- Not for each column again. One that ends with "id" is none of these itself.
           OR c.word ~ 'id$' AND c.oid IN (SELECT o.oid FROM columns o WHERE o.word ~ '(type|class|klass|kind|table|model|entity|resource)(name|code)?$'))
      -- The id of a row of its own table.
      AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indnkeyatts = 1 AND i.indkey[0] = c.attnum)
      AND NOT EXISTS (SELECT FROM pg_constraint f WHERE f.conrelid = c.oid AND f.contype = 'f' AND c.attnum = ANY (f.conkey))
)
SELECT convert_to(coalesce(jsonb_agg(jsonb_build_object(
    'table', f.oid::bigint,
    'schema', f.nspname,
    'name', f.relname,
    'number', f.attnum,
    'column', f.attname,
    'type_name', f.declared,
    'is_number', f.base IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype),
    'not_null', f.attnotnull,
    'others', coalesce((SELECT jsonb_agg(jsonb_build_array(o.attname, format_type(o.base, NULL)) ORDER BY o.attnum)
                        FROM columns o WHERE o.oid = f.oid AND o.attnum <> f.attnum), '[]')
) ORDER BY f.nspname, f.relname, f.attnum), '[]')::text, 'SQL_ASCII')
FROM found f
