//! Keys that interleaving does not protect.

use super::finding::Check;
use super::query::Query;

/// Further unique keys.
pub const FURTHER_UNIQUE: Check = Check {
    name: "further-unique-key",
    reason: "Interleaving keeps generated ids apart. Two nodes can still insert the same name, number or combination at the same time: natively replicated apply stops then, and pglogical discards one of the two rows.",
    hint: "Let only one node write such rows, include a generated id or the node in the key, or check for duplicates afterwards instead.",
};

/// Primary keys that nothing generates.
pub const NATURAL_KEY: Check = Check {
    name: "natural-key",
    reason: "The values of this primary key come from the application or from other rows. Interleaving does not keep those of two nodes apart.",
    hint: "Let only one node insert such rows, or generate the key: by an interleaved sequence or by uuidv7().",
};

/// Exclusion constraints.
pub const EXCLUSION: Check = Check {
    name: "exclusion-constraint",
    reason: "Each node checks an exclusion constraint against its own rows. Two nodes can insert rows that exclude each other at the same time, and apply stops.",
    hint: "Let only one node write such rows.",
};

pub const QUERIES: [Query; 3] = [
    Query {
        check: &FURTHER_UNIQUE,
        sql: "
    SELECT 'warning' AS severity, m.name AS object, pg_get_indexdef(i.indexrelid) AS detail
    FROM mine m JOIN pg_index i ON i.indrelid = m.oid
    WHERE m.oid = m.root AND i.indisunique AND NOT i.indisprimary AND NOT i.indisexclusion
      AND NOT EXISTS (SELECT FROM generated g WHERE g.table_oid = m.oid
                      AND g.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))",
    },
    Query {
        check: &NATURAL_KEY,
        sql: "
    SELECT 'warning' AS severity, m.name AS object, pg_get_constraintdef(n.oid) AS detail
    FROM mine m JOIN pg_constraint n ON n.conrelid = m.oid AND n.contype = 'p'
    WHERE m.oid = m.root
      AND NOT EXISTS (SELECT FROM generated g WHERE g.table_oid = m.oid AND g.attnum = ANY (n.conkey))",
    },
    Query {
        check: &EXCLUSION,
        sql: "
    SELECT 'warning' AS severity, m.name AS object, format('%I %s', n.conname, pg_get_constraintdef(n.oid)) AS detail
    FROM mine m JOIN pg_constraint n ON n.conrelid = m.oid
    WHERE m.oid = m.root AND n.contype = 'x'",
    },
];
