//! Which findings can be acknowledged: those that are not always errors.

use crate::error::{Error, SqlState};

/// Findings that are a warning or an info, at least in some cases. An acknowledgement has no effect
/// on a finding of severity error.
const ACCEPTABLE: [&str; 20] = [
    "blocks of ids",
    "column not read",
    "DDL replication",
    "locked",
    "missing at the peer",
    "missing here",
    "nearly used up",
    "no known column",
    "no known columns",
    "not read",
    "permission denied",
    "position published",
    "positions published",
    "restart not above",
    "rows not followed",
    "same server twice",
    "set-up not known",
    "type mismatch",
    "unlogged",
    "versions differ",
];

/// Findings that are always errors.
const ERRORS: [&str; 18] = [
    "another writer in the class",
    "behind the table",
    "classes overlap",
    "default of another node",
    "increment of its own",
    "insert conflicts",
    "no node",
    "not confirmed",
    "not set up",
    "position replicated",
    "rows not read",
    "START not aligned",
    "unsafe CYCLE",
    "used up",
    "values of this class",
    "values overlap",
    "wrong class",
    "wrong increment",
];

/// Checks the name of a finding that is to be acknowledged.
///
/// # Errors
/// 22023 for an unknown finding, and for one that is always an error.
pub fn check_name(finding: &str) -> Result<(), Error> {
    if ACCEPTABLE.contains(&finding) {
        return Ok(());
    }
    if ERRORS.contains(&finding) {
        return Err(Error::new(
            SqlState::InvalidParameterValue,
            format!("finding \"{finding}\" cannot be acknowledged"),
        )
        .detail("It is an error: two nodes can generate the same key, or inserts fail.")
        .hint("Do what the column hint of check_interleaved_sequences() says."));
    }
    Err(Error::new(SqlState::InvalidParameterValue, format!("unknown finding \"{finding}\"")).hint(format!(
        "Findings that can be acknowledged are: {}.",
        ACCEPTABLE.map(|name| format!("\"{name}\"")).join(", ")
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn fault_b22_errors_stay_errors() {
        for name in ACCEPTABLE {
            assert_eq!(check_name(name), Ok(()));
            assert!(!ERRORS.contains(&name), "{name}");
        }
        for name in ERRORS {
            let error = check_name(name).expect_err("refused");
            assert!(error.message.ends_with("cannot be acknowledged"), "{error}");
            assert_eq!(error.sqlstate.code(), "22023");
        }
        let error = check_name("colour").expect_err("refused");
        assert_eq!((error.sqlstate.code(), error.message.as_str()), ("22023", "unknown finding \"colour\""));
    }
}
