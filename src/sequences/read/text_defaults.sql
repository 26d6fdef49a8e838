-- Returns the defaults, of columns and of the domains that they have, that cast text to regclass or call a
-- function of users.
WITH defaults AS (
    SELECT a.adrelid AS relation, a.adnum AS attribute, a.adbin::text AS expression,
           'pg_attrdef'::regclass::oid AS class, a.oid AS object
    FROM pg_attrdef a
    UNION ALL
    SELECT a.attrelid, a.attnum, t.typdefaultbin::text, 'pg_type'::regclass::oid, t.oid
    FROM pg_type t
    JOIN pg_depend u ON u.refclassid = 'pg_type'::regclass AND u.refobjid = t.oid
                    AND u.classid = 'pg_class'::regclass AND u.objsubid > 0
    -- A column's own default takes the place of its domain's.
    JOIN pg_attribute a ON a.attrelid = u.objid AND a.attnum = u.objsubid AND NOT a.atthasdef AND a.attidentity = ''
    WHERE t.typtype = 'd' AND t.typdefaultbin IS NOT NULL
)
SELECT c.oid, d.attribute, c.relowner, a.atttypid, convert_to(n.nspname::text, 'SQL_ASCII'),
       convert_to(format('%I.%I.%I', n.nspname, c.relname, a.attname), 'SQL_ASCII'),
       convert_to(d.expression, 'SQL_ASCII')
FROM defaults d
JOIN pg_class c ON c.oid = d.relation
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = d.relation AND a.attnum = d.attribute AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'f', 'v') AND c.relpersistence <> 't'
  AND octet_length(d.expression) <= 262144
  -- The cast is the function regclass(text).
  AND (strpos(d.expression, ':funcid 1079 ') > 0
       OR (d.class, d.object) IN (SELECT f.classid, f.objid FROM pg_depend f
                                  WHERE f.classid IN ('pg_attrdef'::regclass, 'pg_type'::regclass)
                                    AND f.refclassid = 'pg_proc'::regclass))
