//! Defaults that each node evaluates for itself.

use super::finding::Check;
use super::query::Query;

/// Defaults whose values differ.
pub const DEFAULT: Check = Check {
    name: "default-differs",
    reason: "A node that evaluates this default for itself gets another value: for existing rows if the column is added on each node, and for rows of a node whose table does not have the column. In a key, two nodes can get the same value.",
    hint: "Have the column on all nodes before replication begins. Do not use it in a key; use an interleaved sequence, uuidv7() or gen_random_uuid() there.",
};

/// Defaults with the number of a node.
pub const FIXED_NODE: Check = Check {
    name: "fixed-node",
    reason: "The default names the number of the node. A dump, a copy or replicated DDL carries it to other nodes, which then generate the same values.",
    hint: "Leave the number out: partitioned_nextval(sequence) uses that of the database.",
};

pub const QUERIES: [Query; 2] = [
    Query {
        check: &DEFAULT,
        // The functions of an expression are in its tree; those of PostgreSQL are in no dependency.
        sql: "
    SELECT CASE WHEN EXISTS (SELECT FROM pg_index i WHERE i.indrelid = m.oid AND i.indisunique
                                                     AND a.attnum = ANY (i.indkey::int2[])
                                                     -- A generated column keeps such keys apart.
                                                     AND NOT EXISTS (SELECT FROM generated k WHERE k.table_oid = m.oid
                                                                     AND k.attnum = ANY (i.indkey::int2[])))
                THEN 'warning' ELSE 'info' END AS severity,
           format('%s.%I', m.name, a.attname) AS object,
           'DEFAULT ' || pg_get_expr(e.adbin, e.adrelid) AS detail
    FROM mine m JOIN pg_attrdef e ON e.adrelid = m.oid
    JOIN pg_attribute a ON a.attrelid = e.adrelid AND a.attnum = e.adnum AND a.attgenerated = ''
    WHERE m.oid = m.root
      AND NOT EXISTS (SELECT FROM generated g WHERE g.table_oid = m.oid AND g.attnum = a.attnum)
      AND (e.adbin::text LIKE '%{SQLVALUEFUNCTION%'
           OR EXISTS (SELECT FROM regexp_matches(e.adbin::text, ':funcid (\\d+)', 'g') AS f (match)
                      JOIN pg_proc p ON p.oid = f.match[1]::oid WHERE p.provolatile <> 'i'))",
    },
    Query {
        check: &FIXED_NODE,
        sql: "
    SELECT 'warning' AS severity, format('%s.%I', m.name, a.attname) AS object,
           'DEFAULT ' || pg_get_expr(e.adbin, e.adrelid) AS detail
    FROM mine m JOIN pg_attrdef e ON e.adrelid = m.oid
    JOIN pg_attribute a ON a.attrelid = e.adrelid AND a.attnum = e.adnum
    WHERE m.oid = m.root
      AND EXISTS (SELECT FROM regexp_matches(e.adbin::text, ':funcid (\\d+)', 'g') AS f (match)
                  JOIN pg_proc p ON p.oid = f.match[1]::oid
                  JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
                  JOIN pg_extension x ON x.oid = d.refobjid
                  WHERE x.extname = 'pg_keyspace' AND p.proname = 'partitioned_nextval' AND p.pronargs > 1)",
    },
];
