//! Data that logical replication does not carry.

use super::finding::Check;
use super::query::Query;

/// Unlogged tables.
pub const UNLOGGED: Check = Check {
    name: "unlogged-table",
    reason: "An unlogged table writes no WAL. Its rows reach no other node, and are gone after a crash and on a standby.",
    hint: "ALTER TABLE ... SET LOGGED, or keep it as a table of this node alone.",
};

/// Large objects.
pub const LARGE_OBJECTS: Check = Check {
    name: "large-objects",
    reason: "Logical replication does not carry large objects. Rows on other nodes contain their numbers without their content, and another node can give the same number to another object.",
    hint: "Move them into columns of type bytea, or to other storage.",
};

/// Foreign tables.
pub const FOREIGN_TABLE: Check = Check {
    name: "foreign-table",
    reason: "The rows of a foreign table are on another server, and are not replicated.",
    hint: "Let the foreign server be reachable from each node, or leave the table to one of them.",
};

pub const QUERIES: [Query; 3] = [
    Query {
        check: &UNLOGGED,
        sql: "
    SELECT 'warning' AS severity, m.name AS object, 'unlogged' AS detail
    FROM mine m WHERE m.relpersistence = 'u' AND m.relkind = 'r'",
    },
    Query {
        check: &LARGE_OBJECTS,
        // Counting them all can take long.
        sql: "
    SELECT 'warning' AS severity, NULL::text AS object,
           CASE WHEN count(*) > 10000 THEN 'more than 10,000' ELSE count(*)::text END || CASE WHEN count(*) = 1 THEN ' large object' ELSE ' large objects' END AS detail
    FROM (SELECT FROM pg_largeobject_metadata LIMIT 10001) l HAVING count(*) > 0",
    },
    Query {
        check: &FOREIGN_TABLE,
        sql: "
    SELECT 'info' AS severity, format('%I.%I', n.nspname, c.relname) AS object, format('server %I', s.srvname) AS detail
    FROM pg_foreign_table f JOIN pg_class c ON c.oid = f.ftrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_foreign_server s ON s.oid = f.ftserver",
    },
];
