//! What a check has found.

use serde::{Deserialize, Serialize};

use crate::check::Severity;

/// A check: what it looks for, why that matters, and what to do.
#[derive(Debug)]
pub struct Check {
    /// Its name, for `--ignore`.
    pub name: &'static str,
    /// Why a finding matters.
    pub reason: &'static str,
    /// What to do.
    pub hint: &'static str,
}

/// A finding.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The node, or the nodes if it is about several.
    pub nodes: Vec<String>,
    /// The name of the check.
    pub check: &'static str,
    /// What it is about, as SQL writes it.
    pub object: Option<String>,
    /// What exactly.
    pub detail: String,
    /// Why it matters.
    pub reason: &'static str,
    /// What to do.
    pub hint: &'static str,
}

/// A row of a query that is a check.
#[derive(Debug, Deserialize)]
pub struct Row {
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub object: Option<String>,
    /// What exactly.
    pub detail: String,
}

impl Check {
    /// A finding of this check about some nodes.
    pub fn about(&self, nodes: &[&str], row: Row) -> Finding {
        Finding {
            severity: row.severity,
            nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
            check: self.name,
            object: row.object,
            detail: row.detail,
            reason: self.reason,
            hint: self.hint,
        }
    }
}
