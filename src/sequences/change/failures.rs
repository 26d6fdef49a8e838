//! The sequences that a change cannot alter: an error that names them or, if they are left out, a
//! warning for each.

use keyspace::error::sentence;
use keyspace::sql::in_message;
use keyspace::{Error, SqlState};
use pgrx::PgLogLevel;

use crate::error::report;
use crate::sequences::change::step::Step;

/// How many sequences an error names.
const NAMED: usize = 10;

/// Sequences that cannot be altered, of which the first are known by name.
#[derive(Default)]
pub(crate) struct Failures {
    count: usize,
    /// Each with the reason.
    first: Vec<(String, Error)>,
}

impl Failures {
    pub(crate) fn add(&mut self, sequence: &str, error: &Error) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push((sequence.to_owned(), error.clone()));
        }
    }

    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// The error that names the first of them. It has the SQLSTATE of the first one; `None` if there
    /// is none.
    pub(crate) fn error(&self, message: String) -> Option<Error> {
        let (_, first) = self.first.first()?;
        let mut reasons: Vec<String> =
            self.first.iter().map(|(sequence, error)| reason(sequence, error)).collect();
        // Often one transaction is in the way of all of them.
        if first.sqlstate == SqlState::LockNotAvailable {
            reasons.extend(first.detail.clone());
        }
        if self.count > self.first.len() {
            reasons.push(format!("And {} more.", self.count - self.first.len()));
        }
        Some(Error::new(first.sqlstate, message).detail(reasons.join("\n")))
    }
}

/// The reason, which names the sequence.
fn reason(sequence: &str, error: &Error) -> String {
    if error.message.contains(sequence) {
        sentence(&error.message)
    } else {
        format!("Sequence {}: {}.", in_message(sequence), error.message)
    }
}

/// The error for sequences that cannot be altered: that of the only one of them, or one that names
/// the first of them. If others could be left out, these cannot.
pub(crate) fn refusal<'a>(
    failed: impl Iterator<Item = (&'a Step, &'a Error)>,
    skip_failed: bool,
) -> Result<(), Error> {
    let mut failures = Failures::default();
    failed.for_each(|(step, error)| failures.add(&step.entry.name, error));
    let Some((_, first)) = failures.first.first() else { return Ok(()) };
    if failures.count == 1 && !skip_failed {
        return Err(first.clone());
    }
    let way_out = if skip_failed {
        "skip_failed leaves out only sequences that cannot generate values of the former class."
    } else {
        "Or pass skip_failed => true to leave these sequences out."
    };
    let hint = [first.hint.as_deref(), Some(way_out)].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let all = || failures.error(format!("{} sequences cannot be altered", failures.count));
    let only = || (failures.count == 1).then(|| first.clone());
    only().or_else(all).map_or(Ok(()), |error| Err(error.hint(hint)))
}

/// Warns of each sequence that was left out.
pub(crate) fn warn<'a>(failed: impl Iterator<Item = (&'a Step, &'a Error)>) {
    for (step, error) in failed {
        let message = if error.message.contains(&step.entry.name) {
            format!("left out: {}", error.message)
        } else {
            format!("sequence {} is left out: {}", in_message(&step.entry.name), error.message)
        };
        report(Error { message, ..error.clone() }).report(PgLogLevel::WARNING);
    }
}
