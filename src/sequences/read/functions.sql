-- $1 oid[]: functions that draw from the sequence that they are given.
-- Returns the functions that have a source and draw from sequences or call one of these. Text is in the
-- encoding of the database, of which nothing else needs to be valid.
WITH words AS MATERIALIZED (
    SELECT 'nextval' AS word UNION SELECT lower(p.proname::text COLLATE "C") FROM pg_proc p WHERE p.oid = ANY ($1)
)
SELECT p.oid, p.proowner, p.prorettype = 'trigger'::regtype, l.lanname IN ('sql', 'plpgsql'),
       convert_to(p.oid::regprocedure::text, 'SQL_ASCII'), convert_to(n.nspname::text, 'SQL_ASCII'),
       convert_to(p.proname::text, 'SQL_ASCII'), convert_to(p.prosrc, 'SQL_ASCII')
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_language l ON l.oid = p.prolang
WHERE l.lanname NOT IN ('internal', 'c')
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  -- Anybody can create a source of any length.
  AND octet_length(p.prosrc) <= 262144
  AND EXISTS (SELECT FROM words WHERE strpos(lower(p.prosrc COLLATE "C"), words.word) > 0)
  AND NOT EXISTS (SELECT FROM pg_depend member
                  WHERE member.classid = 'pg_proc'::regclass AND member.objid = p.oid AND member.deptype = 'e')
