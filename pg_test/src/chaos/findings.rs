//! The faults that were found.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// This many faults of each kind are printed; the others are counted.
const TOLD: usize = 10;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// An acknowledged row is missing on a node.
    Missing,
    /// A row exists that was deleted, refused or never written.
    Unexpected,
    /// A row exists twice, or a key was generated twice.
    Duplicate,
    /// A row has another key or version than was acknowledged.
    Changed,
    /// A transaction is only partly there.
    Torn,
    /// A number that is not of the class of its node.
    WrongClass,
    /// A key that is less than a previous one although their order is guaranteed.
    OutOfOrder,
    /// Nodes hold different rows.
    Different,
    /// Replication found a row that already existed, or did not find a row.
    Conflict,
    /// Replication stopped.
    Stopped,
    /// A server refused a valid statement.
    Refused,
    /// A finding of `check_interleaved_sequences`.
    Check,
    /// An index that does not agree with its table.
    Index,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::Unexpected => "unexpected",
            Self::Duplicate => "duplicate",
            Self::Changed => "changed",
            Self::Torn => "torn",
            Self::WrongClass => "wrong class",
            Self::OutOfOrder => "out of order",
            Self::Different => "different",
            Self::Conflict => "conflict",
            Self::Stopped => "stopped",
            Self::Refused => "refused",
            Self::Check => "check",
            Self::Index => "index",
        })
    }
}

/// Faults by kind, collected by all threads.
#[derive(Default)]
pub struct Findings(Mutex<BTreeMap<Fault, (u64, Vec<String>)>>);

impl Findings {
    /// Adds one.
    pub fn add(&self, fault: Fault, detail: impl FnOnce() -> String) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, told) = found.entry(fault).or_default();
        *count += 1;
        if told.len() < TOLD {
            told.push(detail());
        }
    }

    /// The number of each kind, and the first ones.
    #[must_use]
    pub fn of_each_kind(&self) -> BTreeMap<Fault, (u64, Vec<String>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
