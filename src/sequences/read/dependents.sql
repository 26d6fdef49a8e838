-- Returns the rules, which views are, and the functions with a parsed body that name a sequence.
SELECT d.refobjid, c.relowner,
       convert_to(CASE WHEN c.relkind IN ('v', 'm') AND r.rulename = '_RETURN' THEN format('view %I.%I', n.nspname, c.relname)
                       ELSE format('rule %I on %I.%I', r.rulename, n.nspname, c.relname) END, 'SQL_ASCII'),
       convert_to(concat(r.ev_qual::text, ' ', r.ev_action::text), 'SQL_ASCII')
FROM pg_depend d
JOIN pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
JOIN pg_rewrite r ON r.oid = d.objid
JOIN pg_class c ON c.oid = r.ev_class
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid = 0
UNION ALL
SELECT d.refobjid, p.proowner,
       convert_to(format('function %s', p.oid::regprocedure), 'SQL_ASCII'), convert_to(p.prosqlbody::text, 'SQL_ASCII')
FROM pg_depend d
JOIN pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
JOIN pg_proc p ON p.oid = d.objid AND p.prosqlbody IS NOT NULL
WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid = 0
