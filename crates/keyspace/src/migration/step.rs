//! One step of a migration: its statements, its locks and its cost.

use super::facts::Table;
use super::phase::Phase;

/// A lock on a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lock {
    /// Blocks only commands that rebuild or drop the table.
    AccessShare,
    /// Every writer acquires it.
    RowExclusive,
    /// Does not block writers.
    ShareUpdateExclusive,
    /// Blocks writers.
    ShareRowExclusive,
    /// Blocks readers, too.
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
    /// The client, as a statement of its own: PostgreSQL accepts it in no other way (trap M12).
    Client,
    /// A procedure that is called only for this.
    Procedure,
}

/// A statement that is run under locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// As SQL.
    pub text: String,
    /// The table whose owner must run it, because PostgreSQL evaluates expressions of that owner in
    /// it: those of checks and indexes.
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
    /// The table; 0 if it is about all of them.
    pub table: u32,
    /// A few words.
    pub action: String,
    /// The statements of one transaction.
    pub statements: Vec<String>,
    /// The strongest lock that it takes.
    pub lock: Option<Lock>,
    /// The approximate number of rows that it reads or writes.
    pub rows: i64,
    /// The approximate number of bytes that it writes.
    pub bytes: i64,
    /// Who runs it.
    pub runs: Runs,
    /// Whether it is done.
    pub done: bool,
    /// What to note.
    pub detail: String,
    /// Whether PostgreSQL evaluates expressions of the table's owner in it: those of checks, and of
    /// the indexes of a table that it queries.
    pub evaluates: bool,
    /// Whether it only collects statistics for the planner: a cut-over without them is correct, but
    /// queries may be slow after it.
    pub is_statistics: bool,
    /// Another table whose names it uses. The lock keeps these names, and the code that the planner
    /// evaluates of that table, unchanged.
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
            is_statistics: false,
            other: None,
        }
    }

    /// The tables that it uses.
    pub fn tables(&self) -> Vec<u32> {
        std::iter::once(self.table).chain(self.other.map(|(table, _)| table)).collect()
    }

    /// Whether another plan has the same step, so that its statements still mean the same.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.phase, self.table, &self.statements) == (other.phase, other.table, &other.statements)
    }
}
