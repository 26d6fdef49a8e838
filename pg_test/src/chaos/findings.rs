//! What is wrong, as far as it was found.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Of each kind so many are told; the others are counted.
const TOLD: usize = 10;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A row that was acknowledged is not on a node.
    Missing,
    /// A row is there that was deleted, refused or never written.
    Unexpected,
    /// A row is there twice, or a key was given twice.
    Duplicate,
    /// A row has another key or version than was acknowledged.
    Changed,
    /// A transaction of which only a part is there.
    Torn,
    /// A number that is not of the class of its node.
    WrongClass,
    /// A key that is less than one before it, where that is promised.
    OutOfOrder,
    /// Nodes hold different rows.
    Different,
    /// Replication met a row that was there already, or was not there.
    Conflict,
    /// Replication stopped.
    Stopped,
    /// A server refused what is no fault.
    Refused,
    /// What `check_interleaved_sequences` found.
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

/// Faults by kind, gathered by all threads.
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

    /// How many there are of each kind, and what the first ones are.
    #[must_use]
    pub fn of_each_kind(&self) -> BTreeMap<Fault, (u64, Vec<String>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
