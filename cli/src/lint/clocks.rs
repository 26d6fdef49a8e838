//! The clocks of the nodes, compared with each other.
//!
//! A clock is asked several times, and the answer that came fastest counts: the server has read its
//! clock somewhere between question and answer.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::finding::{Check, Finding, Row};
use crate::check::Severity;
use crate::failure::Result;
use crate::session::Session;

/// Clocks that are apart.
pub const CLOCKS: Check = Check {
    name: "clocks",
    reason: "Where the later of two updates wins, a clock that is ahead wins over later changes of other nodes. Keys that contain the time are then not in the order of the rows, either.",
    hint: "Synchronize the clocks of all nodes with the same source (chrony, NTP).",
};

/// Clocks closer than this are as good as equal, in seconds.
const TOLERANCE: f64 = 0.1;
/// From here on even people notice, in seconds.
const GROSS: f64 = 10.0;
/// How often each clock is asked.
const TRIES: usize = 5;

/// How far the clock of a node is ahead of that of this machine, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Offset {
    ahead: f64,
    /// The answer can be wrong by so much, in either direction.
    error: f64,
}

/// Asks a node for its time.
///
/// # Errors
/// Those of the server.
pub fn read(session: &mut Session) -> Result<Offset> {
    let mut best: Option<Offset> = None;
    for _ in 0..TRIES {
        let here = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        let began = Instant::now();
        let row = session.query_one("SELECT extract(epoch FROM clock_timestamp())::float8", &[])?;
        let trip = began.elapsed().as_secs_f64();
        let there: f64 = row.try_get(0)?;
        let offset = Offset { ahead: there - (here + trip / 2.0), error: trip / 2.0 };
        if best.is_none_or(|best| offset.error < best.error) {
            best = Some(offset);
        }
    }
    Ok(best.unwrap_or(Offset { ahead: 0.0, error: f64::MAX }))
}

/// Every two nodes whose clocks are apart for certain.
pub fn compare(clocks: &[(&str, Offset)]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, (one, first)) in clocks.iter().enumerate() {
        for (other, second) in clocks.iter().skip(at + 1) {
            let difference = first.ahead - second.ahead;
            let certain = difference.abs() - first.error - second.error;
            if certain < TOLERANCE {
                continue;
            }
            let severity = if certain < GROSS { Severity::Warning } else { Severity::Error };
            let (ahead, behind) = if difference > 0.0 { (one, other) } else { (other, one) };
            let detail =
                format!("the clock of {ahead} is {:.1} s ahead of that of {behind}", difference.abs());
            found.push(CLOCKS.about(&[one, other], Row { severity, object: None, detail }));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clocks_that_are_apart_for_certain_are_found() {
        let near = Offset { ahead: 1000.0, error: 0.01 };
        let slow = Offset { ahead: 1000.5, error: 0.45 };
        let late = Offset { ahead: 998.0, error: 0.01 };
        assert!(compare(&[("one", near), ("two", slow)]).is_empty(), "the answer took too long to tell");
        let found = compare(&[("one", near), ("two", slow), ("three", late)]);
        let details: Vec<&str> = found.iter().map(|finding| finding.detail.as_str()).collect();
        assert_eq!(
            details,
            [
                "the clock of one is 2.0 s ahead of that of three",
                "the clock of two is 2.5 s ahead of that of three"
            ]
        );
        assert_eq!(found[0].severity, Severity::Warning);
        let wrong = Offset { ahead: 2000.0, error: 0.01 };
        assert_eq!(compare(&[("one", near), ("two", wrong)])[0].severity, Severity::Error);
    }
}
