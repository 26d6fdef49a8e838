-- Returns what has an expression that casts text to regclass or calls a function of users, other than a default:
-- rules, which views are, functions with a parsed body, policies, constraints of tables and domains, and conditions of
-- triggers. With the schema in which names without one are looked up first.
WITH expressions AS (
    SELECT 'pg_rewrite'::regclass::oid AS class, r.oid AS object, 'pg_class'::regclass::oid AS holder_class, c.oid AS holder,
           c.relowner AS owner, c.relnamespace AS schema, c.relname AS name,
           CASE WHEN c.relkind IN ('v', 'm') AND r.rulename = '_RETURN' THEN 'view' ELSE format('rule %I on', r.rulename) END AS kind,
           concat(r.ev_qual::text, ' ', r.ev_action::text) AS expression
    FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
    UNION ALL
    SELECT 'pg_policy'::regclass, p.oid, 'pg_class'::regclass, c.oid, c.relowner, c.relnamespace, c.relname,
           format('policy %I on', p.polname), concat(p.polqual::text, ' ', p.polwithcheck::text)
    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
    UNION ALL
    SELECT 'pg_constraint'::regclass, o.oid, 'pg_class'::regclass, c.oid, c.relowner, c.relnamespace, c.relname,
           format('constraint %I on', o.conname), o.conbin::text
    FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
    WHERE o.contype = 'c'
    UNION ALL
    -- A domain is checked wherever a value of it is made: in columns, arrays, composite types and functions.
    SELECT 'pg_constraint'::regclass, o.oid, 'pg_type'::regclass, t.oid, t.typowner, t.typnamespace, t.typname,
           format('constraint %I on domain', o.conname), o.conbin::text
    FROM pg_constraint o JOIN pg_type t ON t.oid = o.contypid
    WHERE o.contype = 'c'
    UNION ALL
    SELECT 'pg_trigger'::regclass, t.oid, 'pg_class'::regclass, c.oid, c.relowner, c.relnamespace, c.relname,
           format('trigger %I on', t.tgname), t.tgqual::text
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE t.tgqual IS NOT NULL
    UNION ALL
    SELECT 'pg_proc'::regclass, p.oid, 'pg_proc'::regclass, p.oid, p.proowner, p.pronamespace, NULL,
           format('function %s', p.oid::regprocedure), p.prosqlbody::text
    FROM pg_proc p
    WHERE p.prosqlbody IS NOT NULL
)
SELECT e.owner, convert_to(n.nspname::text, 'SQL_ASCII'),
       convert_to(CASE WHEN e.name IS NULL THEN e.kind ELSE format('%s %I.%I', e.kind, n.nspname, e.name) END, 'SQL_ASCII'),
       convert_to(e.expression, 'SQL_ASCII')
FROM expressions e
JOIN pg_namespace n ON n.oid = e.schema
WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND octet_length(e.expression) <= 262144
  -- The cast is the function regclass(text).
  AND (strpos(e.expression, ':funcid 1079 ') > 0
       OR (e.class, e.object) IN (SELECT f.classid, f.objid FROM pg_depend f WHERE f.refclassid = 'pg_proc'::regclass))
  AND NOT EXISTS (SELECT FROM pg_depend member
                  WHERE member.classid = e.holder_class AND member.objid = e.holder AND member.objsubid = 0
                    AND member.deptype = 'e')
