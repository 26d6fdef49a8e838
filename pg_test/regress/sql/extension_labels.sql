-- Every function has its volatility, parallel safety and strictness on purpose; every object has a comment.
-- Only from PostgreSQL 18 on there is ulid_skipsupport(internal), and core's own uuidv7() hides ours.
\pset format unaligned
SELECT p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS function,
       CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END AS volatility,
       CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END AS parallel,
       p.proisstrict AS strict
FROM pg_depend d
JOIN pg_proc p ON p.oid = d.objid
WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_keyspace')
  AND p.proname <> 'ulid_skipsupport'
ORDER BY (p.proname || '(' || pg_get_function_identity_arguments(p.oid)) COLLATE "C";
\pset format aligned
-- No object without a comment; row and array types have that of what they belong to.
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS without_comment
FROM pg_depend d
WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_keyspace')
  AND obj_description(d.objid, (SELECT relname FROM pg_class WHERE oid = d.classid)) IS NULL
  AND NOT EXISTS (SELECT FROM pg_type t WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid
                                          AND (t.typrelid <> 0 OR t.typelem <> 0))
ORDER BY 1;
-- No function of ours runs with more rights than its caller, or can be led by a search_path.
SELECT p.oid::regprocedure FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND p.prosecdef
  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_keyspace');
