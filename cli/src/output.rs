//! What the program prints: results to stdout, progress and errors to stderr.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::printable::{json, printable};
use crate::table::Table;

/// Where results go, and in which form.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// One JSON document instead of tables.
    pub json: bool,
}

impl Output {
    /// Prints a result: as JSON, or as the text that is made for people.
    ///
    /// # Errors
    /// If stdout cannot be written to.
    pub fn result<T: Serialize>(self, value: &T, text: impl FnOnce(Option<u16>) -> String) -> Result<()> {
        let text = if self.json {
            let document = serde_json::to_string(value)
                .map_err(|error| Failure::new(format!("could not write JSON: {error}")))?;
            format!("{}\n", json(&document))
        } else {
            text(width())
        };
        print(&text)
    }
}

/// Writes to stdout. If nobody reads it any more, as with `head`, the program ends; not as if
/// everything were in order.
///
/// # Errors
/// If it cannot be written.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let done = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    match done {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            std::process::exit(crate::exit::Exit::Failed.code())
        }
        done => done.map_err(|error| Failure::new(format!("could not write to standard output: {error}"))),
    }
}

/// Tells what is going on, on stderr.
pub fn say(text: &str) {
    eprintln!("{}", printable(text));
}

/// The width of the terminal, if stdout is one.
fn width() -> Option<u16> {
    io::stdout().is_terminal().then(terminal_size::terminal_size).flatten().map(|(width, _)| width.0)
}

/// A table under a title; nothing if the table is empty.
pub fn section(title: &str, table: Table, width: Option<u16>) -> String {
    if table.is_empty() { String::new() } else { format!("{title}\n{}\n", table.text(width)) }
}

/// A number of things: `1 sequence`, `2 sequences`.
pub fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// A number of bytes, as PostgreSQL's `pg_size_pretty` shows it.
pub fn bytes(number: i64) -> String {
    let mut number = number;
    for unit in ["bytes", "kB", "MB", "GB"] {
        if number.unsigned_abs() < 10_240 {
            return format!("{number} {unit}");
        }
        number /= 1024;
    }
    format!("{number} TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(count(1, "sequence"), "1 sequence");
        assert_eq!(count(0, "sequence"), "0 sequences");
        assert_eq!(bytes(10_239), "10239 bytes");
        assert_eq!(bytes(10_240), "10 kB");
        assert_eq!(bytes(50 * 1024 * 1024), "50 MB");
        assert_eq!(bytes(i64::MAX), "8388607 TB");
    }
}
