-- $1 oid[]: functions.
-- Returns the triggers that call them, and those that give arguments to functions in C. Bits of tgtype are
-- 1 for a row, 2 for BEFORE, 4 for INSERT, 16 for UPDATE, 64 for INSTEAD OF.
SELECT t.tgrelid, t.tgfoid, c.relowner, p.proowner,
       (t.tgtype & 3) = 3 AND (t.tgtype & 20) <> 0, (t.tgtype & 64) <> 0,
       convert_to(quote_ident(t.tgname), 'SQL_ASCII'), t.tgargs,
       convert_to(n.nspname::text, 'SQL_ASCII'), convert_to(c.relname::text, 'SQL_ASCII'),
       convert_to(format('%I.%I', n.nspname, c.relname), 'SQL_ASCII')
FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_proc p ON p.oid = t.tgfoid
JOIN pg_language l ON l.oid = p.prolang
WHERE NOT t.tgisinternal AND t.tgparentid = 0
  AND (t.tgfoid = ANY ($1)
       OR l.lanname = 'c' AND octet_length(t.tgargs) > 0 AND (t.tgtype & 3) = 3)
