-- Returns what has an expression that casts text to regclass or calls a function of users, other than a default:
-- rules, which views are, functions with a parsed body, policies, constraints and conditions of triggers. With the
-- schema in which names without one are looked up first.
WITH expressions AS (
    SELECT 'pg_rewrite'::regclass::oid AS class, r.oid AS object, r.ev_class AS relation, c.relowner AS owner, c.relnamespace AS schema,
           CASE WHEN c.relkind IN ('v', 'm') AND r.rulename = '_RETURN' THEN 'view' ELSE 'rule' END AS kind,
           r.rulename AS name, concat(r.ev_qual::text, ' ', r.ev_action::text) AS expression
    FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
    UNION ALL
    SELECT 'pg_policy'::regclass, p.oid, p.polrelid, c.relowner, c.relnamespace,
           'policy', p.polname, concat(p.polqual::text, ' ', p.polwithcheck::text)
    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
    UNION ALL
    SELECT 'pg_constraint'::regclass, o.oid, o.conrelid, c.relowner, c.relnamespace, 'constraint', o.conname, o.conbin::text
    FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
    WHERE o.contype = 'c'
    UNION ALL
    SELECT 'pg_trigger'::regclass, t.oid, t.tgrelid, c.relowner, c.relnamespace, 'trigger', t.tgname, t.tgqual::text
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE t.tgqual IS NOT NULL
    UNION ALL
    SELECT 'pg_proc'::regclass, p.oid, NULL, p.proowner, p.pronamespace, 'function', p.proname, p.prosqlbody::text
    FROM pg_proc p
    WHERE p.prosqlbody IS NOT NULL
)
SELECT e.owner, convert_to(n.nspname::text, 'SQL_ASCII'),
       convert_to(CASE e.kind WHEN 'function' THEN format('function %s', e.object::regprocedure)
                              WHEN 'view' THEN format('view %I.%I', n.nspname, c.relname)
                              ELSE format('%s %I on %I.%I', e.kind, e.name, n.nspname, c.relname) END, 'SQL_ASCII'),
       convert_to(e.expression, 'SQL_ASCII')
FROM expressions e
JOIN pg_namespace n ON n.oid = e.schema
LEFT JOIN pg_class c ON c.oid = e.relation
WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND octet_length(e.expression) <= 262144
  -- The cast is the function regclass(text).
  AND (strpos(e.expression, ':funcid 1079 ') > 0
       OR (e.class, e.object) IN (SELECT f.classid, f.objid FROM pg_depend f WHERE f.refclassid = 'pg_proc'::regclass))
  AND NOT EXISTS (SELECT FROM pg_depend member
                  WHERE member.classid = 'pg_class'::regclass AND member.objid = e.relation AND member.objsubid = 0
                    AND member.deptype = 'e')
  AND NOT EXISTS (SELECT FROM pg_depend member
                  WHERE member.classid = e.class AND member.objid = e.object AND member.deptype = 'e')
