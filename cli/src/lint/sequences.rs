//! Sequences that something else than their node moves, or that repeat values.

use serde::Deserialize;

use super::finding::{Check, Finding, Row};
use super::not_checked::not_checked;
use super::query::Query;
use crate::check::Severity;
use crate::failure::Result;
use crate::session::Session;

/// Sequences whose positions are replicated.
pub const REPLICATED: Check = Check {
    name: "replicated-sequence",
    reason: "Replication writes the position of another node over that of this one, so the sequence leaves its class, and both nodes generate the same values.",
    hint: "Take the sequence out of replication on all nodes, then run setup. Tables and sequences are added separately: leave the sequences out.",
};

/// Tools that may move sequences.
pub const MOVER: Check = Check {
    name: "sequence-mover",
    reason: "This tool can copy positions of sequences between servers. After set-up, that moves sequences out of their class; the check of the extension finds it only afterwards.",
    hint: "Replicate tables alone (Bucardo: no \"add all sequences\"; Slony: no SET ADD SEQUENCE; Londiste: no add-seq).",
};

/// Sequences that begin again.
pub const CYCLING: Check = Check {
    name: "cycling-sequence",
    reason: "A sequence that cycles generates values again that rows may still have. Interleaving keeps nodes apart, and not one round from the next.",
    hint: "ALTER SEQUENCE ... NO CYCLE, unless old rows are deleted before.",
};

/// Sequences that fall back.
pub const UNLOGGED: Check = Check {
    name: "unlogged-sequence",
    reason: "After a crash, an unlogged sequence falls back to the value of its last ALTER SEQUENCE, and generates values again.",
    hint: "ALTER SEQUENCE ... SET LOGGED.",
};

/// Sequences with a step of their own.
pub const INCREMENT: Check = Check {
    name: "increment",
    reason: "A step other than 1 often means that the application takes a block of ids for each value, as Hibernate does with 50. Another step would break that.",
    hint: "If each value is a block, run setup with --blocks. Otherwise give it the increment 1 before.",
};

pub const QUERIES: [Query; 4] = [
    Query {
        check: &MOVER,
        // Their tables belong to anybody. That they exist is all that is asked.
        sql: "
    SELECT DISTINCT 'warning' AS severity, quote_ident(n.nspname) AS object, t.tool AS detail
    FROM pg_namespace n
    JOIN (SELECT c.relnamespace, c.relname FROM pg_class c WHERE c.relname IN ('sl_sequence', 'seq_info')
          UNION ALL SELECT p.pronamespace, p.proname FROM pg_proc p WHERE p.proname LIKE 'bucardo\\_%') AS o (schema, name) ON o.schema = n.oid
    JOIN (VALUES ('sl_sequence', 'Slony'), ('seq_info', 'Londiste'), ('bucardo', 'Bucardo')) AS t (name, tool)
      ON t.name = CASE WHEN o.name LIKE 'bucardo\\_%' THEN 'bucardo' ELSE o.name::text END
    WHERE CASE t.tool WHEN 'Slony' THEN n.nspname LIKE '\\_%' WHEN 'Londiste' THEN n.nspname = 'londiste'
                      ELSE n.nspname = 'bucardo' END",
    },
    Query {
        check: &CYCLING,
        sql: "
    SELECT 'warning' AS severity, format('%I.%I', n.nspname, c.relname) AS object,
           format('cycles from %s to %s', q.seqmax, q.seqmin) AS detail
    FROM pg_sequence q JOIN pg_class c ON c.oid = q.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE q.seqcycle AND c.relpersistence <> 't'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')",
    },
    Query {
        check: &UNLOGGED,
        sql: "
    SELECT 'warning' AS severity, format('%I.%I', n.nspname, c.relname) AS object, 'unlogged' AS detail
    FROM pg_sequence q JOIN pg_class c ON c.oid = q.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relpersistence = 'u'",
    },
    Query {
        check: &INCREMENT,
        sql: "
    SELECT 'info' AS severity, format('%I.%I', n.nspname, c.relname) AS object, 'increment ' || q.seqincrement AS detail
    FROM pg_sequence q JOIN pg_class c ON c.oid = q.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE abs(q.seqincrement::numeric) <> 1 AND c.relpersistence <> 't'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')",
    },
];

/// A table in which an extension lists the sequences that it replicates.
#[derive(Deserialize)]
struct Listing {
    extension: String,
    table: String,
    is_readable: bool,
}

/// Members of the extensions only: a role that may create schemas can use any name.
const LISTINGS: &str = "
    SELECT x.extname AS extension, format('%I.%I', n.nspname, c.relname) AS table,
           has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS is_readable
    FROM pg_extension x
    JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = x.oid AND d.deptype = 'e'
                    AND d.classid = 'pg_class'::regclass
    JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'r' AND c.relname = 'replication_set_seq'
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE x.extname IN ('pglogical', 'spock')";

/// PostgreSQL 19 replicates sequences. Earlier versions have no such column, so it is read as JSON.
const PUBLICATIONS: &str = "
    SELECT 'error' AS severity, quote_ident(p.pubname) AS object, 'the publication publishes ALL SEQUENCES' AS detail
    FROM pg_publication p WHERE (to_jsonb(p) ->> 'puballsequences')::boolean
    UNION ALL
    SELECT 'error', format('%I.%I', n.nspname, c.relname), format('subscription %I replicates its position', s.subname)
    FROM pg_subscription_rel r JOIN pg_class c ON c.oid = r.srrelid AND c.relkind = 'S'
    JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_subscription s ON s.oid = r.srsubid";

/// The sequences whose positions are replicated on a node.
///
/// # Errors
/// Those of the server.
pub fn replicated(session: &mut Session) -> Result<Vec<Finding>> {
    let node = session.name().to_owned();
    let mut found = Vec::new();
    for listing in session.rows::<Listing>(LISTINGS, &[])? {
        let Listing { extension, table, is_readable } = listing;
        if !is_readable {
            let detail = format!("permission denied for table {table} of extension {extension}");
            found.push(not_checked(&node, REPLICATED.name, detail));
            continue;
        }
        let query =
            format!("SELECT DISTINCT s.set_seqoid::regclass::text AS object FROM {table} s ORDER BY 1");
        for row in session.query(&query, &[])? {
            let object: Option<String> = row.try_get(0)?;
            let detail = format!("is in a replication set of {extension}");
            found.push(REPLICATED.about(&[&node], Row { severity: Severity::Error, object, detail }));
        }
    }
    let rows: Vec<Row> = session.rows(PUBLICATIONS, &[])?;
    found.extend(rows.into_iter().map(|row| REPLICATED.about(&[&node], row)));
    Ok(found)
}
