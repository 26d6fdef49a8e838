//! Errors of the program, in the style of PostgreSQL's client programs.

use std::error::Error as _;
use std::fmt;

use crate::printable::printable;

/// What went wrong, with the node where it happened and the way on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// The node, if it is about one.
    pub node: Option<Box<str>>,
    /// Lower-case, without a full stop.
    pub message: String,
    /// A sentence that says more.
    pub detail: Option<String>,
    /// A sentence that says what to do.
    pub hint: Option<String>,
    /// Whether the user interrupted the program.
    pub is_interrupt: bool,
    /// Its error code, if a server raised it.
    pub sqlstate: Option<Box<str>>,
}

/// The result of everything that can fail.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure with a message only.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// The same with a detail.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, about a node.
    #[must_use]
    pub fn of_node(mut self, node: &str) -> Self {
        self.node.get_or_insert_with(|| node.into());
        self
    }

    /// The error of a statement or a connection. The parameters of a connection are never part of
    /// it, so that no password can be.
    pub fn of_server(error: &postgres::Error) -> Self {
        if let Some(error) = error.as_db_error() {
            return Self {
                message: error.message().to_owned(),
                detail: error.detail().map(str::to_owned),
                hint: error.hint().map(str::to_owned),
                sqlstate: Some(error.code().code().into()),
                ..Self::default()
            };
        }
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !message.contains(&cause_text) {
                message = format!("{message}: {cause_text}");
            }
            source = cause.source();
        }
        Self::new(message)
    }

    /// Whether a server raised this SQLSTATE.
    pub fn is(&self, sqlstate: &str) -> bool {
        self.sqlstate.as_deref() == Some(sqlstate)
    }
}

impl From<postgres::Error> for Failure {
    fn from(error: postgres::Error) -> Self {
        Self::of_server(&error)
    }
}

impl From<keyspace::Error> for Failure {
    fn from(error: keyspace::Error) -> Self {
        Self { message: error.message, detail: error.detail, hint: error.hint, ..Self::default() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.node.as_ref().map(|node| format!("node \"{node}\": ")).unwrap_or_default();
        write!(f, "pg_keyspace: error: {}{}", printable(&node), printable(&self.message))?;
        for (word, text) in [("detail", &self.detail), ("hint", &self.hint)] {
            if let Some(text) = text {
                write!(f, "\npg_keyspace: {word}: {}", printable(text))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_printed_as_client_programs_of_postgresql_do() {
        let failure = Failure::new("server is in recovery").of_node("two").hint("Promote it first.");
        let expected =
            "pg_keyspace: error: node \"two\": server is in recovery\npg_keyspace: hint: Promote it first.";
        assert_eq!(failure.to_string(), expected);
        let raw = Failure::new("relation \"a\u{1b}[2Jb\" does not exist");
        assert_eq!(raw.to_string(), "pg_keyspace: error: relation \"a\\u{1b}[2Jb\" does not exist");
        assert_eq!(raw.of_node("one").of_node("two").node.as_deref(), Some("one"), "the first node stays");
    }
}
