//! The tables that a check looks at.

/// A common table expression `mine`: the tables of applications. Left out are those of PostgreSQL
/// and of extensions, and temporary ones. `root` is the partitioned table of a partition, or the
/// table itself. The name has its schema, and is quoted where that is needed.
pub const MINE: &str = "mine AS (
    SELECT c.oid, c.relkind, c.relpersistence, c.relreplident, c.relispartition, c.relnamespace,
           format('%I.%I', n.nspname, c.relname) AS name,
           CASE WHEN c.relispartition THEN coalesce(pg_partition_root(c.oid)::oid, c.oid) ELSE c.oid END AS root
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'keyspace_internal')
      AND NOT EXISTS (SELECT FROM pg_depend d
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))";

/// A common table expression `generated`: columns whose values differ between nodes by themselves.
/// They draw from a sequence, or their default calls a function that returns a `uuid` or a `ulid`.
/// It needs `mine`.
pub const GENERATED: &str = "generated AS (
    SELECT a.attrelid AS table_oid, a.attnum
    FROM mine m JOIN pg_attribute a ON a.attrelid = m.oid AND a.attnum > 0 AND a.attidentity <> ''
    UNION
    SELECT e.adrelid, e.adnum
    FROM mine m JOIN pg_attrdef e ON e.adrelid = m.oid
    JOIN pg_attribute a ON a.attrelid = e.adrelid AND a.attnum = e.adnum AND a.attgenerated = ''
    WHERE EXISTS (
        SELECT FROM regexp_matches(e.adbin::text, ':funcid (\\d+)', 'g') AS f (match)
        JOIN pg_proc p ON p.oid = f.match[1]::oid JOIN pg_type t ON t.oid = p.prorettype
        WHERE p.provolatile = 'v' AND (p.oid = 'nextval(regclass)'::regprocedure OR t.oid = 'uuid'::regtype
                                       OR t.typname = 'ulid' OR p.proname = 'partitioned_nextval')))";
