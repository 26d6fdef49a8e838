-- $1 oid[]: tables.
-- Returns the columns of those without children through which an index leads to the furthest value, and
-- that index, as the library would choose it: a btree index of numbers, of all rows, that every snapshot
-- can use.
SELECT i.indrelid, i.indkey[0]::smallint, min(i.indexrelid)
FROM pg_index i
JOIN pg_class c ON c.oid = i.indrelid
WHERE i.indrelid IN (SELECT unnest($1)) AND c.relkind = 'r' AND NOT c.relhassubclass
  AND i.indisvalid AND NOT i.indcheckxmin AND i.indpred IS NULL AND i.indkey[0] > 0
  -- The families integer_ops and numeric_ops of btree.
  AND i.indclass[0] IN (SELECT o.oid FROM pg_opclass o WHERE o.opcfamily IN (1976, 1988))
GROUP BY i.indrelid, i.indkey[0]
