-- $1 oid[], $2 smallint[]: columns that sequences feed; $3 oid: the function of the guards.
-- Returns one row for each of these columns, for each that is guarded, and for the same column of
-- partitions and children.
WITH RECURSIVE roots AS (
    SELECT fed.relation, fed.attribute FROM unnest($1::oid[], $2::smallint[]) AS fed (relation, attribute)
    UNION
    SELECT t.tgrelid, t.tgattr[0] FROM pg_trigger t WHERE t.tgfoid = $3
),
tree AS (
    SELECT relation AS root, attribute, relation FROM roots
    UNION
    SELECT t.root, t.attribute, i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.relation
),
ancestors AS (
    SELECT i.inhrelid AS relation, i.inhparent AS ancestor FROM pg_inherits i
    WHERE i.inhrelid IN (SELECT relation FROM tree)
    UNION
    SELECT a.relation, i.inhparent FROM ancestors a JOIN pg_inherits i ON i.inhrelid = a.ancestor
),
lineages AS (
    SELECT relation, array_agg(ancestor) AS ancestors FROM ancestors GROUP BY relation
),
columns AS (
    SELECT a.attrelid, a.attnum, a.attname, a.atttypid,
           array_agg(tree.root ORDER BY tree.root, tree.attribute) AS roots,
           array_agg(tree.attribute ORDER BY tree.root, tree.attribute) AS attributes
    FROM tree
    JOIN pg_attribute named ON named.attrelid = tree.root AND named.attnum = tree.attribute
    JOIN pg_attribute a ON a.attrelid = tree.relation AND a.attname = named.attname AND a.attnum > 0 AND NOT a.attisdropped
    GROUP BY a.attrelid, a.attnum, a.attname, a.atttypid
)
SELECT c.oid, columns.attnum,
       convert_to(n.nspname::text, 'SQL_ASCII'),
       convert_to(format('%I.%I', n.nspname, c.relname), 'SQL_ASCII'),
       convert_to(columns.attname::text, 'SQL_ASCII'),
       c.relkind::text,
       c.relpersistence = 't',
       pg_has_role(c.relowner, 'USAGE'),
       columns.atttypid,
       convert_to(format_type(columns.atttypid, NULL), 'SQL_ASCII'),
       CASE WHEN c.relispartition THEN (SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid) END,
       lineages.ancestors,
       columns.roots, columns.attributes
FROM columns
JOIN pg_class c ON c.oid = columns.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN lineages ON lineages.relation = c.oid
ORDER BY c.oid, columns.attnum
