//! Rows that a server has acknowledged, recorded outside of the server for later comparison.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use postgres::types::ToSql;
use postgres::{Client, GenericClient, Statement};

/// An INSERT whose rows are recorded by their keys.
///
/// Every table that it is used with has a column `made_by`, which identifies the writer of a row.
/// It distinguishes rows to which two servers gave the same key.
pub struct Insert {
    statement: Statement,
    key: String,
}

impl Insert {
    /// Prepares an INSERT and adds the clause RETURNING to it. `key` is the column of the key,
    /// quoted if necessary.
    ///
    /// # Errors
    ///
    /// If the server rejects the statement.
    pub fn prepare(client: &mut impl GenericClient, insert: &str, key: &str) -> Result<Self> {
        let statement = client
            .prepare(&format!("{insert} RETURNING tableoid::regclass::text, {key}::text, made_by"))
            .with_context(|| format!("could not prepare: {insert}"))?;
        Ok(Self { statement, key: key.to_owned() })
    }
}

/// Acknowledged rows by table; a partition counts as a table of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    tables: BTreeMap<String, Rows>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rows {
    key: String,
    /// In the order in which they were acknowledged.
    keys: Vec<String>,
    makers: Vec<String>,
}

impl Acknowledged {
    /// Executes an INSERT and records its rows. Returns their keys.
    ///
    /// The rows count from now on, so keep the record only if the transaction has been committed.
    ///
    /// # Errors
    ///
    /// If the server returns an error.
    pub fn insert(
        &mut self,
        client: &mut impl GenericClient,
        insert: &Insert,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<String>> {
        let rows = client.query(&insert.statement, values).context("could not insert")?;
        let mut inserted = Vec::with_capacity(rows.len());
        for row in rows {
            let (table, key): (String, String) = (row.get(0), row.get(1));
            self.add(table, &insert.key, key.clone(), row.get(2));
            inserted.push(key);
        }
        Ok(inserted)
    }

    fn add(&mut self, table: String, column: &str, key: String, maker: String) {
        let rows = self.tables.entry(table).or_default();
        column.clone_into(&mut rows.key);
        rows.keys.push(key);
        rows.makers.push(maker);
    }

    /// Adds the rows of another connection.
    pub fn merge(&mut self, other: Self) {
        for (table, rows) in other.tables {
            let mine = self.tables.entry(table).or_default();
            mine.key = rows.key;
            mine.keys.extend(rows.keys);
            mine.makers.extend(rows.makers);
        }
    }

    /// The table names, quoted as PostgreSQL does.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str)
    }

    /// The keys of one table in the order in which they were acknowledged; empty if there are none.
    #[must_use]
    pub fn keys(&self, table: &str) -> &[String] {
        self.tables.get(table).map_or(&[], |rows| &rows.keys)
    }

    /// Number of rows of one table.
    #[must_use]
    pub fn rows(&self, table: &str) -> i64 {
        i64::try_from(self.keys(table).len()).unwrap_or(i64::MAX)
    }

    /// Number of rows of all tables.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.tables.keys().map(|table| self.rows(table)).sum()
    }

    /// Counts the rows of a table that are not on a server exactly once, with key and writer.
    ///
    /// # Errors
    ///
    /// If the table cannot be read.
    pub fn missing(&self, client: &mut Client, table: &str) -> Result<i64> {
        let Some(rows) = self.tables.get(table) else { return Ok(0) };
        let query = format!(
            "SELECT count(*) FROM unnest($1::text[], $2::text[]) AS acked (key, made_by)
             LEFT JOIN (SELECT {}::text AS key, made_by, count(*) AS copies FROM {table}
                        WHERE made_by = ANY ($2) GROUP BY 1, 2) AS held USING (key, made_by)
             WHERE copies IS DISTINCT FROM 1",
            rows.key
        );
        let row = client.query_one(&query, &[&rows.keys, &rows.makers]);
        Ok(row.with_context(|| format!("could not look for the rows of {table}"))?.get(0))
    }

    /// Counts the rows of all tables that are not on a server exactly once.
    ///
    /// # Errors
    ///
    /// If a table cannot be read.
    pub fn missing_in_all(&self, client: &mut Client) -> Result<i64> {
        self.tables().map(|table| self.missing(client, table)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_several_connections_add_up() {
        let acked = |keys: &[&str], table: &str| {
            let mut acked = Acknowledged::default();
            for key in keys {
                acked.add(table.to_owned(), "id", (*key).to_owned(), "node 1".to_owned());
            }
            acked
        };
        let mut all = acked(&["1", "3"], "orders");
        all.merge(acked(&["5"], "orders"));
        all.merge(acked(&["7"], "lines"));
        assert_eq!((all.rows("orders"), all.rows("lines"), all.rows("nothing"), all.total()), (3, 1, 0, 4));
        assert_eq!(all.keys("orders"), ["1", "3", "5"]);
        assert_eq!(all.tables().collect::<Vec<_>>(), ["lines", "orders"]);
    }
}
