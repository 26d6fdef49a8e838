//! The sequences that a change cannot alter: an error that names them or, if they are left out, a
//! warning for each.

use keyspace::error::sentence;
use keyspace::{Error, SqlState};
use pgrx::PgLogLevel;

use crate::error::report;
use crate::sequences::change::step::Step;

/// How many sequences an error names.
const NAMED: usize = 10;

/// The error for sequences that cannot be altered: that of the only one of them, or one that names
/// the first of them. If others could be left out, these cannot.
pub(crate) fn refusal(failed: &[(&Step, &Error)], skip_failed: bool) -> Result<(), Error> {
    let Some((_, first)) = failed.first() else { return Ok(()) };
    if failed.len() == 1 && !skip_failed {
        return Err((*first).clone());
    }
    let way_out = if skip_failed {
        "skip_failed leaves out only sequences that cannot generate values of the former class."
    } else {
        "Or pass skip_failed => true to leave these sequences out."
    };
    let hint = [first.hint.as_deref(), Some(way_out)].into_iter().flatten().collect::<Vec<_>>().join(" ");
    if failed.len() == 1 {
        return Err((*first).clone().hint(hint));
    }
    let mut reasons: Vec<String> =
        failed.iter().take(NAMED).map(|(step, error)| reason(step, error)).collect();
    // Often one transaction is in the way of all of them.
    if first.sqlstate == SqlState::LockNotAvailable {
        reasons.extend(first.detail.clone());
    }
    if failed.len() > NAMED {
        reasons.push(format!("And {} more.", failed.len() - NAMED));
    }
    let message = format!("{} sequences cannot be altered", failed.len());
    Err(Error::new(first.sqlstate, message).detail(reasons.join("\n")).hint(hint))
}

/// The reason, which names the sequence.
fn reason(step: &Step, error: &Error) -> String {
    let message = sentence(&error.message);
    if error.message.contains(&step.entry.name) {
        message
    } else {
        format!("Sequence \"{}\": {}.", step.entry.name, error.message)
    }
}

/// Warns of each sequence that was left out.
pub(crate) fn warn<'a>(failed: impl Iterator<Item = (&'a Step, &'a Error)>) {
    for (step, error) in failed {
        let message = if error.message.contains(&step.entry.name) {
            format!("left out: {}", error.message)
        } else {
            format!("sequence \"{}\" is left out: {}", step.entry.name, error.message)
        };
        report(Error { message, ..error.clone() }).report(PgLogLevel::WARNING);
    }
}
