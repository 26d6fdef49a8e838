//! The sequences that a change cannot alter: an error that names them or, if they are left out, a
//! warning for each.

use keyspace::Error;
use keyspace::error::sentence;
use pgrx::PgLogLevel;

use crate::error::report;
use crate::sequences::change::step::Step;

/// How many sequences an error names.
const NAMED: usize = 10;

/// The error for sequences that cannot be altered by the change called `name`: that of the only one
/// of them, or one that names the first of them.
pub(crate) fn refusal(name: &str, failed: &[(&Step, &Error)]) -> Result<(), Error> {
    let Some((_, first)) = failed.first() else { return Ok(()) };
    if failed.len() == 1 {
        return Err((*first).clone());
    }
    let mut reasons: Vec<String> =
        failed.iter().take(NAMED).map(|(step, error)| reason(step, error)).collect();
    if failed.len() > NAMED {
        reasons.push(format!("And {} more.", failed.len() - NAMED));
    }
    let error =
        Error::new(first.sqlstate, format!("{} sequences stand in the way of the {name}", failed.len()));
    let hint = first.hint.as_deref().unwrap_or_default();
    Err(error
        .detail(reasons.join("\n"))
        .hint(format!("For the first: {hint} To leave such sequences out, pass skip_failed => true.")))
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
        let message = format!("sequence \"{}\" is left out: {}", step.entry.name, error.message);
        report(Error { message, ..error.clone() }).report(PgLogLevel::WARNING);
    }
}
