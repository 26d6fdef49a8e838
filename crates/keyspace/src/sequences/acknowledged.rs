//! Which findings can be acknowledged: those that are not always errors.

use crate::error::{Error, SqlState};

/// Findings that are a warning or an info, at least in some cases. An acknowledgement has no effect
/// on a finding of severity error.
const ACCEPTABLE: [&str; 25] = [
    "blocks of ids",
    "column fed twice",
    "DDL replication",
    "ids in blocks ahead",
    "locked",
    "missing on the peer",
    "missing on this node",
    "moved back",
    "name not in UTF-8",
    "nearly used up",
    "no known column",
    "no known columns",
    "not read",
    "permission denied",
    "position published",
    "positions published",
    "restart too low",
    "rows not followed",
    "rows not read",
    "same server twice",
    "set-up unknown",
    "type mismatch",
    "unlogged",
    "values of this class",
    "versions differ",
];

/// Findings that are always errors.
const ERRORS: [&str; 19] = [
    "another writer in the class",
    "behind the table",
    "classes overlap",
    "column not read",
    "custom increment",
    "default of another node",
    "insert conflicts",
    "no node",
    "no sequence known",
    "not confirmed",
    "not set up",
    "position replicated",
    "START not aligned",
    "unknown use",
    "unsafe CYCLE",
    "used up",
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
    fn every_finding_is_listed() {
        let compare = include_str!("compare.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("const ")?.split_once(": &str = \"")?.1.strip_suffix("\";"));
        let status = include_str!("status.rs");
        let (_, names) = status.split_once("pub const fn name(&self)").expect("names");
        let (names, _) = names.split_once("/// How severe").expect("an end");
        let status = names.lines().filter_map(|line| line.split_once("=> \"")?.1.strip_suffix("\","));
        // Hints are sentences.
        let names: Vec<&str> = compare.chain(status).filter(|text| !text.ends_with('.')).collect();
        assert!(names.len() > 25, "{names:?}");
        for name in names {
            assert!(ACCEPTABLE.contains(&name) || ERRORS.contains(&name), "{name} is not listed");
        }
    }

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
