//! A check that could not run is a finding, too.

use super::finding::{Check, Finding, Row};
use crate::check::Severity;

/// Something could not be checked.
pub const NOT_CHECKED: Check = Check {
    name: "not-checked",
    reason: "The check could not run there, so that it has found nothing does not mean that all is well.",
    hint: "Connect as a role with the privileges, or try again.",
};

/// The finding that a check could not look at something.
pub fn not_checked(node: &str, check: &str, detail: String) -> Finding {
    let row = Row { severity: Severity::Warning, object: Some(check.to_owned()), detail };
    NOT_CHECKED.about(&[node], row)
}
