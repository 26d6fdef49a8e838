//! What a command of `migrate` has done, or would do.

use serde::Serialize;

use super::blockers::Blocker;
use super::plan::{Finding, findings_text};
use super::rehearsal::Rehearsal;
use crate::exit::Exit;
use crate::failure::Result;
use crate::output::{Output, section};
use crate::printable::printable;
use crate::session::Notice;
use crate::table::Table;

/// The result of a command.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// The command.
    pub command: &'static str,
    /// The node.
    pub node: String,
    /// The table.
    pub table: String,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// The phase of the migration at the end; none if there is no migration.
    pub phase: Option<String>,
    /// What is in the way or has to be known.
    pub findings: Vec<Finding>,
    /// What still uses the old ids.
    pub uses: Vec<Use>,
    /// Sessions that have a lock on the tables at this moment.
    pub blockers: Vec<Blocker>,
    /// The statements that were run, or would be.
    pub statements: Vec<String>,
    /// A rehearsal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<Rehearsal>,
    /// What the server has said.
    pub notices: Vec<Notice>,
    /// What is left to do for the user.
    pub next: Vec<String>,
}

/// A row of `key_migration_usage`.
#[derive(Clone, Debug, serde::Deserialize, Serialize)]
pub struct Use {
    /// The table.
    pub table_name: Option<String>,
    /// The column.
    pub column_name: Option<String>,
    /// `view`, `function` ...
    pub kind: Option<String>,
    /// The object.
    pub used_by: Option<String>,
    /// How reliable it is.
    pub known_by: Option<String>,
}

impl Outcome {
    /// Prints it. The exit code says whether it would work, or has.
    ///
    /// # Errors
    /// If stdout cannot be written to.
    pub fn print(&self, output: Output) -> Result<Exit> {
        output.result(self, |width| self.text(width))?;
        let has_errors =
            self.findings.iter().any(|finding| finding.severity == crate::check::Severity::Error);
        let failed = self.rehearsal.as_ref().is_some_and(|rehearsal| !rehearsal.acquired);
        Ok(if has_errors || failed { Exit::Findings } else { Exit::Fine })
    }

    /// What still uses the old ids, for people.
    pub fn uses_text(&self, width: Option<u16>) -> String {
        let mut uses = Table::new(["table", "column", "kind", "used by", "known by"]);
        for one in &self.uses {
            let cell = |text: &Option<String>| text.clone().unwrap_or_default();
            uses.row([
                &cell(&one.table_name),
                &cell(&one.column_name),
                &cell(&one.kind),
                &cell(&one.used_by),
                &cell(&one.known_by),
            ]);
        }
        section("What uses the old ids", uses, width)
    }

    fn text(&self, width: Option<u16>) -> String {
        let mut text = findings_text(&self.findings, width);
        text += &self.uses_text(width);
        if !self.blockers.is_empty() {
            text += "Sessions that have a lock on the tables now\n";
            for blocker in &self.blockers {
                text += &format!(" {}\n", printable(&blocker.words()));
            }
            text.push('\n');
        }
        if self.dry_run && !self.statements.is_empty() {
            text += "Would run\n";
            for statement in &self.statements {
                text += &format!(" {};\n", printable(statement));
            }
            text.push('\n');
        }
        if let Some(rehearsal) = &self.rehearsal {
            text += &rehearsal.text(width);
        }
        for notice in &self.notices {
            text += &format!("{}: {}\n", printable(&notice.severity), printable(&notice.message));
            for detail in notice.detail.iter().chain(&notice.hint) {
                text += &format!("  {}\n", printable(detail));
            }
        }
        let phase = self.phase.as_deref().unwrap_or("there is none");
        text += &format!("Migration of table {}: {}\n", printable(&self.table), printable(phase));
        for next in &self.next {
            text += &format!("Next: {}\n", printable(next));
        }
        text
    }
}
