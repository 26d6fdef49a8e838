//! Definitions as `pg_dump` writes them, to compare schemas.

use anyhow::{Context, Result, ensure};

use crate::Server;

/// The definitions of a schema: the lines of `pg_dump --schema-only`, without comments and settings.
/// `schema` is a pattern of `pg_dump`.
///
/// # Errors
///
/// If `pg_dump` fails.
pub fn schema_dump(server: &Server, database: &str, schema: &str) -> Result<Vec<String>> {
    let mut command = server.tree().command("pg_dump");
    command.args(["--schema-only", "--schema", schema, "--dbname", &server.conninfo(database)]);
    let output = command.output().context("could not run pg_dump")?;
    ensure!(output.status.success(), "pg_dump failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).context("the dump is not in UTF-8")?;
    let is_statement = |line: &&str| {
        !(line.is_empty() || line.starts_with("--") || line.starts_with("SET ") || line.starts_with('\\'))
    };
    Ok(text.lines().filter(is_statement).map(|line| line.trim().trim_end_matches(',').to_owned()).collect())
}

/// The lines that are in one dump but not in the other, in their order.
#[must_use]
pub fn lines_without(mut these: Vec<String>, those: &[String]) -> Vec<String> {
    for line in those {
        if let Some(at) = these.iter().position(|other| other == line) {
            these.remove(at);
        }
    }
    these
}
