-- Returns what names a sequence as a regclass, other than a default: rules, which views are, functions with a parsed
-- body, policies, constraints of tables and domains, and conditions of triggers.
WITH dependents AS (
    SELECT d.refobjid AS sequence, d.classid, d.objid
    FROM pg_depend d
    JOIN pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjsubid = 0
      AND d.classid IN ('pg_rewrite'::regclass, 'pg_proc'::regclass, 'pg_policy'::regclass, 'pg_constraint'::regclass,
                        'pg_trigger'::regclass)
),
expressions AS (
    SELECT d.sequence, r.ev_class AS relation,
           CASE WHEN c.relkind IN ('v', 'm') AND r.rulename = '_RETURN' THEN 'view' ELSE format('rule %I on', r.rulename) END AS kind,
           concat(r.ev_qual::text, ' ', r.ev_action::text) AS expression
    FROM dependents d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    JOIN pg_class c ON c.oid = r.ev_class
    UNION ALL
    SELECT d.sequence, p.polrelid, format('policy %I on', p.polname), concat(p.polqual::text, ' ', p.polwithcheck::text)
    FROM dependents d JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
    UNION ALL
    SELECT d.sequence, o.conrelid, format('constraint %I on', o.conname), o.conbin::text
    FROM dependents d JOIN pg_constraint o ON d.classid = 'pg_constraint'::regclass AND o.oid = d.objid
    UNION ALL
    SELECT d.sequence, t.tgrelid, format('trigger %I on', t.tgname), t.tgqual::text
    FROM dependents d JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
)
SELECT e.sequence, c.relowner, convert_to(format('%s %I.%I', e.kind, n.nspname, c.relname), 'SQL_ASCII'),
       convert_to(e.expression, 'SQL_ASCII')
FROM expressions e
JOIN pg_class c ON c.oid = e.relation
JOIN pg_namespace n ON n.oid = c.relnamespace
UNION ALL
SELECT d.sequence, p.proowner,
       convert_to(format('function %s', p.oid::regprocedure), 'SQL_ASCII'), convert_to(p.prosqlbody::text, 'SQL_ASCII')
FROM dependents d
JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid AND p.prosqlbody IS NOT NULL
UNION ALL
-- A domain is checked wherever a value of it is made: in columns, arrays, composite types and functions.
SELECT d.sequence, t.typowner,
       convert_to(format('constraint %I on domain %I.%I', o.conname, n.nspname, t.typname), 'SQL_ASCII'),
       convert_to(o.conbin::text, 'SQL_ASCII')
FROM dependents d
JOIN pg_constraint o ON d.classid = 'pg_constraint'::regclass AND o.oid = d.objid
JOIN pg_type t ON t.oid = o.contypid
JOIN pg_namespace n ON n.oid = t.typnamespace
