//! Compares the contents of databases on several servers.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::Server;

/// The number of rows of one table, and a checksum that does not depend on their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Number of rows.
    pub rows: i64,
    /// Sum of a 64-bit hash of every row's text.
    pub checksum: String,
}

/// The contents of every table of a database, by its name. Members of extensions are excluded,
/// because they belong to each server.
///
/// # Errors
///
/// If the database cannot be read.
pub fn contents(server: &Server, database: &str) -> Result<BTreeMap<String, Contents>> {
    let mut client = server.connect(database)?;
    let tables = client
        .query(
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind = 'r' AND c.relpersistence = 'p'
               AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'pglogical')
               AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')",
            &[],
        )
        .context("could not list the tables")?;
    let mut contents = BTreeMap::new();
    for row in tables {
        let table: String = row.get(0);
        let query = format!(
            "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text FROM {table} AS t"
        );
        let row = client.query_one(&query, &[]).with_context(|| format!("could not read {table}"))?;
        contents.insert(table, Contents { rows: row.get(0), checksum: row.get(1) });
    }
    Ok(contents)
}
