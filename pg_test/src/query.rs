//! Queries that return a single value.

use anyhow::{Context, Result};
use postgres::{Client, SimpleQueryMessage};

/// Returns one number.
///
/// # Errors
///
/// If the statement fails, or returns something else.
pub fn number(client: &mut Client, sql: &str) -> Result<i64> {
    let row = client.query_one(sql, &[]).with_context(|| format!("failed: {sql}"))?;
    row.try_get(0).with_context(|| format!("not a bigint: {sql}"))
}

/// Executes statements as psql does. Returns the first value of their results as text, whatever its
/// type.
///
/// # Errors
///
/// If a statement fails.
pub fn first_value(client: &mut Client, sql: &str) -> Result<Option<String>> {
    let messages = client.simple_query(sql).with_context(|| format!("failed: {sql}"))?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
        _ => None,
    });
    Ok(row.flatten())
}
