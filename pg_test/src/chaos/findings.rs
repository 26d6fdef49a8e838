//! The findings of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// This many findings of each kind are printed; the others are counted.
const SHOWN: usize = 10;

/// A kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// An acknowledged row is missing on a node.
    Missing,
    /// A row exists that was deleted, rejected or never written.
    Unexpected,
    /// A row exists twice, or a key was generated twice.
    Duplicate,
    /// A row has another key or version than was acknowledged.
    Changed,
    /// Only a part of a transaction exists.
    Incomplete,
    /// An id that is not of the class of its node.
    WrongClass,
    /// A key that is less than a previous one although their order is guaranteed.
    OutOfOrder,
    /// Nodes hold different rows.
    Different,
    /// Replication found a row that already existed, or did not find a row.
    Conflict,
    /// Replication stopped.
    Stopped,
    /// A server rejected a valid statement.
    Rejected,
    /// A finding of `check_interleaved_sequences`.
    Check,
    /// An index that does not agree with its table.
    Index,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::Unexpected => "unexpected",
            Self::Duplicate => "duplicate",
            Self::Changed => "changed",
            Self::Incomplete => "incomplete transaction",
            Self::WrongClass => "wrong class",
            Self::OutOfOrder => "out of order",
            Self::Different => "different",
            Self::Conflict => "conflict",
            Self::Stopped => "stopped",
            Self::Rejected => "rejected",
            Self::Check => "check",
            Self::Index => "index",
        })
    }
}

/// Findings by kind, collected by all threads.
#[derive(Default)]
pub struct Findings(Mutex<BTreeMap<Finding, (u64, Vec<String>)>>);

impl Findings {
    /// Adds one.
    pub fn add(&self, kind: Finding, detail: impl FnOnce() -> String) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, details) = found.entry(kind).or_default();
        *count += 1;
        if details.len() < SHOWN {
            details.push(detail());
        }
    }

    /// The number of findings of each kind, and the details of the first ones.
    #[must_use]
    pub fn by_kind(&self) -> BTreeMap<Finding, (u64, Vec<String>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
