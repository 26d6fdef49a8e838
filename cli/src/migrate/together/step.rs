//! A step of a node, taken once the states of the others allow it.

use std::time::{Duration, Instant};

use super::super::run::run_one;
use super::super::watch::Display;
use super::group::{Exchange, Member};
use crate::failure::{Failure, Result};
use crate::interrupt;

/// How long the same refusal is waited for: states are passed meanwhile, and changes arrive.
const PATIENCE: Duration = Duration::from_secs(120);
/// When it is said what is waited for.
const SILENCE: Duration = Duration::from_secs(2);
/// Between two tries.
const INTERVAL: Duration = Duration::from_millis(50);

/// Whether a node must not take a step yet: "node 1 cannot cut over now".
pub fn is_refusal(failure: &Failure) -> bool {
    failure.is("55000") && failure.message.starts_with("node ") && failure.message.ends_with(" now")
}

/// Does something on a node. If it is refused, states are passed, and it is done again.
///
/// # Errors
/// Those of the server; the refusal, if it stays the same for too long.
pub fn when_allowed<T>(
    member: &mut Member<'_>,
    exchange: &Exchange<'_>,
    display: &Display,
    mut work: impl FnMut(&mut Member<'_>) -> Result<T>,
) -> Result<T> {
    let mut refused: Option<(String, Instant, bool)> = None;
    loop {
        let failure = match work(member) {
            Err(failure) if is_refusal(&failure) => failure,
            done => return done,
        };
        let detail = failure.detail.clone().unwrap_or_default();
        match &mut refused {
            Some((before, since, is_said)) if *before == detail => {
                if since.elapsed() > PATIENCE {
                    return Err(failure);
                }
                if since.elapsed() > SILENCE && !std::mem::replace(is_said, true) {
                    display.say(&format!("waits: {detail}"));
                }
            }
            // Changes arrive: only what the node waits for first is said.
            Some((before, since, _)) => (*before, *since) = (detail, Instant::now()),
            None => refused = Some((detail, Instant::now(), false)),
        }
        interrupt::sleep(INTERVAL)?;
        exchange.pass()?;
    }
}

/// The same for a statement.
///
/// # Errors
/// As above.
pub fn run_when_allowed(
    member: &mut Member<'_>,
    exchange: &Exchange<'_>,
    display: &Display,
    statement: &str,
) -> Result<()> {
    when_allowed(member, exchange, display, |member| run_one(&mut member.session, statement, display))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_other_errors() {
        let of = |message: &str, sqlstate: &str| Failure {
            sqlstate: Some(sqlstate.into()),
            ..Failure::new(message)
        };
        assert!(is_refusal(&of("node 2 cannot fill the keys of existing rows now", "55000")));
        assert!(!is_refusal(&of("node 2 cannot fill the keys of existing rows now", "22023")));
        assert!(!is_refusal(&of("table a is not verified", "55000")));
    }
}
