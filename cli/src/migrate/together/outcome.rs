//! What a command has done, or would do, on several nodes.

use serde::Serialize;

use super::super::outcome::{Outcome, Use};
use super::super::plan::{Finding, findings_text};
use crate::check::Severity;
use crate::exit::Exit;
use crate::failure::Result;
use crate::output::{Output, section};
use crate::printable::printable;
use crate::session::Notice;
use crate::table::Table;

/// The result of a command.
#[derive(Debug, Default, Serialize)]
pub struct Together {
    /// The command.
    pub command: &'static str,
    /// The table.
    pub table: String,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Each node.
    pub nodes: Vec<OfNode>,
    /// What is left to do for the user.
    pub next: Vec<String>,
}

/// The result on a node.
#[derive(Debug, Default, Serialize)]
pub struct OfNode {
    /// The node.
    pub node: String,
    /// Its number in the migration.
    pub number: i32,
    /// The phase of the migration there; none if there is no migration.
    pub phase: Option<String>,
    /// Whether its keys have been compared with those of the first node.
    pub compared: bool,
    /// Whether its writers wait.
    pub closed: bool,
    /// For how long writers waited, at most, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writers_waited_ms: Option<f64>,
    /// What is in the way or has to be known.
    pub findings: Vec<Finding>,
    /// What still uses the old ids.
    pub uses: Vec<Use>,
    /// The statements that were run, or would be.
    pub statements: Vec<String>,
    /// What the server has said.
    pub notices: Vec<Notice>,
}

impl OfNode {
    /// Whether something is in the way.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

impl Together {
    /// Prints it. The exit code says whether it would work, or has.
    ///
    /// # Errors
    /// If stdout cannot be written to.
    pub fn print(&self, output: Output) -> Result<Exit> {
        output.result(self, |width| self.text(width))?;
        let has_errors = self.nodes.iter().any(OfNode::has_errors);
        Ok(if has_errors { Exit::Findings } else { Exit::Fine })
    }

    fn text(&self, width: Option<u16>) -> String {
        let mut text = String::new();
        for node in &self.nodes {
            let mut own = findings_text(&node.findings, width);
            own += &Outcome { uses: node.uses.clone(), ..Outcome::default() }.uses_text(width);
            if self.dry_run && !node.statements.is_empty() {
                own += "Would run\n";
                for statement in &node.statements {
                    own += &format!(" {};\n", printable(statement));
                }
                own.push('\n');
            }
            for notice in &node.notices {
                own += &format!("{}: {}\n", printable(&notice.severity), printable(&notice.message));
                for detail in notice.detail.iter().chain(&notice.hint) {
                    own += &format!("  {}\n", printable(detail));
                }
            }
            if !own.is_empty() {
                text += &format!("Node {}\n{own}", node.node);
            }
        }
        let mut table =
            Table::new(["node", "#number", "phase", "keys compared", "#writers waited", "writers"]);
        for node in &self.nodes {
            let waited = node.writers_waited_ms.map(|ms| format!("{:.1} s", ms / 1000.0));
            table.row([
                &node.node,
                &node.number.to_string(),
                node.phase.as_deref().unwrap_or("there is none"),
                if node.compared { "yes" } else { "" },
                &waited.unwrap_or_default(),
                if node.closed { "wait" } else { "" },
            ]);
        }
        text += &section(&format!("Migration of table {}", printable(&self.table)), table, width);
        for next in &self.next {
            text += &format!("Next: {}\n", printable(next));
        }
        text
    }
}
