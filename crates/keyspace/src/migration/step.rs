//! One step of a migration: its statements, what it locks and what it costs.

use super::facts::Table;
use super::phase::Phase;

/// A lock on a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lock {
    /// Keeps out nothing but what rebuilds or drops the table.
    AccessShare,
    /// What every writer takes.
    RowExclusive,
    /// Lets writers pass.
    ShareUpdateExclusive,
    /// Keeps writers out.
    ShareRowExclusive,
    /// Keeps readers out, too.
    AccessExclusive,
}

impl Lock {
    /// Its name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccessShare => "ACCESS SHARE",
            Self::RowExclusive => "ROW EXCLUSIVE",
            Self::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Self::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Self::AccessExclusive => "ACCESS EXCLUSIVE",
        }
    }
}

/// Who runs a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// `key_migration_advance`, in one transaction.
    Advance,
    /// `key_migration_advance`, in many.
    Batches,
    /// The client, as a statement of its own: PostgreSQL takes it from nobody else (trap M12).
    Client,
    /// A procedure that is called for this alone.
    Procedure,
}

/// A statement that is run under locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// As SQL.
    pub text: String,
    /// The table whose owner has to run it, since PostgreSQL evaluates in it what the owner has written: checks, and
    /// expressions of indexes.
    pub as_owner_of: Option<u32>,
}

impl From<String> for Statement {
    fn from(text: String) -> Self {
        Self { text, as_owner_of: None }
    }
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The phase that it is part of.
    pub phase: Phase,
    /// The table; 0 where it is about all of them.
    pub table: u32,
    /// A few words.
    pub action: String,
    /// The statements, which one transaction holds.
    pub statements: Vec<String>,
    /// The strongest lock that it takes.
    pub lock: Option<Lock>,
    /// About how many rows it reads or writes.
    pub rows: i64,
    /// About how many bytes it writes.
    pub bytes: i64,
    /// Who runs it.
    pub runs: Runs,
    /// Whether it is done.
    pub done: bool,
    /// What to mind.
    pub detail: String,
    /// Whether PostgreSQL evaluates expressions of the table's owner in it: of checks, and of the indexes of a table that
    /// it queries.
    pub evaluates: bool,
    /// Another table whose names it uses, and the lock that keeps them, and what the planner evaluates of it, as they are.
    pub other: Option<(u32, Lock)>,
}

impl Step {
    pub(super) fn new(
        phase: Phase,
        table: &Table,
        action: impl Into<String>,
        statements: Vec<String>,
    ) -> Self {
        Self {
            phase,
            table: table.oid,
            action: action.into(),
            statements,
            lock: None,
            rows: 0,
            bytes: 0,
            runs: Runs::Advance,
            done: false,
            detail: String::new(),
            evaluates: false,
            other: None,
        }
    }

    /// Whether another plan has the same step, so that its statements mean what they meant.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.phase, self.table, &self.statements) == (other.phase, other.table, &other.statements)
    }
}
