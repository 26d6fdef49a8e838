//! Keys and replica identities: how a subscriber finds the row that was changed.

use super::finding::Check;
use super::query::Query;

/// Tables whose changes cannot be sent.
pub const NO_KEY: Check = Check {
    name: "no-key",
    reason: "Without a replica identity, UPDATE and DELETE fail on a table that is published, and tools such as pglogical replicate only its INSERTs, or leave it out.",
    hint: "Add a primary key, or name a unique index on NOT NULL columns: ALTER TABLE ... REPLICA IDENTITY USING INDEX ....",
};

/// Tables that are identified by all of their columns.
pub const FULL_IDENTITY: Check = Check {
    name: "full-identity",
    reason: "With REPLICA IDENTITY FULL a row is found by all of its columns: by reading the table if no index serves, and not at all once another node has changed any of them.",
    hint: "Use the primary key: ALTER TABLE ... REPLICA IDENTITY DEFAULT.",
};

/// Keys that are checked late.
pub const DEFERRABLE: Check = Check {
    name: "deferrable-key",
    reason: "A deferrable key cannot be a replica identity or the arbiter of ON CONFLICT, and replication does not detect conflicts on it before the end of the transaction, where apply stops.",
    hint: "Make it NOT DEFERRABLE, or add a unique index that is not deferrable and name it as replica identity.",
};

pub const QUERIES: [Query; 3] = [
    Query {
        check: &NO_KEY,
        sql: "
    SELECT 'error' AS severity, r.name AS object,
           CASE WHEN bool_or(m.oid <> m.root) THEN count(*) || ' partitions: ' ELSE '' END
           || string_agg(DISTINCT CASE m.relreplident WHEN 'n' THEN 'replica identity NOTHING'
                                  WHEN 'i' THEN 'the index of its replica identity is missing'
                                  WHEN 'd' THEN CASE WHEN EXISTS (SELECT FROM pg_index i WHERE i.indrelid = m.oid AND i.indisprimary)
                                                     THEN 'its primary key is deferrable' ELSE 'no primary key' END END, ', ') AS detail
    FROM mine m JOIN mine r ON r.oid = m.root
    WHERE m.relkind = 'r' AND m.relpersistence = 'p' AND m.relreplident <> 'f'
      AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = m.oid AND i.indisvalid AND i.indimmediate
                      AND CASE m.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END)
    GROUP BY r.name",
    },
    Query {
        check: &FULL_IDENTITY,
        sql: "
    SELECT 'warning' AS severity, m.name AS object, 'replica identity FULL' AS detail
    FROM mine m WHERE m.relkind = 'r' AND m.relreplident = 'f'",
    },
    Query {
        check: &DEFERRABLE,
        sql: "
    SELECT 'warning' AS severity, m.name AS object,
           format('%I %s', n.conname, pg_get_constraintdef(n.oid)) AS detail
    FROM mine m JOIN pg_constraint n ON n.conrelid = m.oid
    WHERE n.contype IN ('p', 'u', 'x') AND n.condeferrable AND n.conparentid = 0",
    },
];
