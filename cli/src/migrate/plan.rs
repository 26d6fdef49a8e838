//! `migrate plan`: what a migration would do, or what is left of it.

use serde::{Deserialize, Serialize};

use super::arguments::{KeyArguments, PlanArguments};
use super::table::Table;
use crate::check::Severity;
use crate::exit::Exit;
use crate::failure::Result;
use crate::output::{Output, bytes, say, section};
use crate::session::Session;
use crate::table::Table as Drawn;

/// A row of `key_migration_plan`: a finding, or a step.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Step {
    /// Its number; a finding has none.
    pub step: Option<i32>,
    /// The phase that it leads to.
    pub phase: Option<String>,
    /// The table.
    pub table_name: Option<String>,
    /// What it does; `error`, `warning` or `note` for a finding.
    pub action: Option<String>,
    /// Whether it is done.
    pub done: Option<bool>,
    /// The strongest lock.
    pub lock: Option<String>,
    /// Rows, as the planner estimates them.
    pub row_count: Option<i64>,
    /// Bytes.
    pub byte_count: Option<i64>,
    /// What there is to know.
    pub detail: Option<String>,
    /// The statements.
    pub statement: Option<String>,
}

/// A plan.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// The node.
    pub node: String,
    /// The table.
    pub table: String,
    /// The phase of the migration, if it is created.
    pub phase: Option<String>,
    /// What is in the way or has to be known.
    pub findings: Vec<Finding>,
    /// The steps.
    pub steps: Vec<Step>,
}

/// What is in the way or has to be known.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The table.
    pub table: Option<String>,
    /// What it is, and what to do.
    pub detail: String,
}

/// Reads a plan. The arguments do not matter for a migration that is created.
///
/// # Errors
/// Those of the server.
pub fn read(session: &mut Session, table: &Table, key: &KeyArguments) -> Result<Plan> {
    let function = session.object("key_migration_plan")?;
    let rows: Vec<Step> = session.rows(
        &format!(
            "SELECT p.step, p.phase, p.table_name::text AS table_name, p.action, p.done, p.lock, p.row_count, p.byte_count, p.detail, p.statement
             FROM {function}({}) AS p",
            key.named().after(&table.argument())
        ),
        &[],
    )?;
    // One that has ended does not keep the table from being migrated once more.
    let phase = table.phase(session)?.filter(|phase| phase != "finalized");
    let (steps, findings) = rows.into_iter().partition::<Vec<_>, _>(|row| row.step.is_some());
    let findings = findings.into_iter().map(|row| Finding {
        severity: match row.action.as_deref() {
            Some("error") => Severity::Error,
            Some("warning") => Severity::Warning,
            _ => Severity::Info,
        },
        table: row.table_name,
        detail: row.detail.unwrap_or_default(),
    });
    let mut findings: Vec<Finding> = findings.collect();
    findings.sort_by_key(|finding| finding.severity);
    Ok(Plan { node: session.name().to_owned(), table: table.name.clone(), phase, findings, steps })
}

impl Plan {
    /// Whether the migration cannot be created.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        if self.has_errors() { Exit::Findings } else { Exit::Fine }
    }

    /// The plan for people.
    pub fn text(&self, width: Option<u16>) -> String {
        let mut steps =
            Drawn::new(["#step", "phase", "table", "action", "lock", "#rows", "size", "done", "detail"]);
        for step in &self.steps {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let number = step.step.map(|step| step.to_string()).unwrap_or_default();
            let rows = step.row_count.filter(|rows| *rows > 0).map(|rows| rows.to_string());
            let size = step.byte_count.filter(|size| *size > 0).map(bytes);
            steps.row([
                &number,
                &text(&step.phase),
                &text(&step.table_name),
                &text(&step.action),
                &text(&step.lock),
                &rows.unwrap_or_default(),
                &size.unwrap_or_default(),
                if step.done == Some(true) { "yes" } else { "" },
                &text(&step.detail),
            ]);
        }
        let phase = self.phase.as_deref().unwrap_or("not created");
        findings_text(&self.findings, width)
            + &section("Steps", steps, width)
            + &format!("Migration of table {}: {phase}\n", crate::printable::printable(&self.table))
    }
}

/// Findings, each with its whole text.
pub fn findings_text(findings: &[Finding], width: Option<u16>) -> String {
    let mut table = Drawn::new(["severity", "table", "detail"]);
    for finding in findings {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "note",
        };
        table.row([severity, finding.table.as_deref().unwrap_or_default(), &finding.detail]);
    }
    section("Findings", table, width)
}

/// What is said if arguments come too late.
pub const KEPT: &str = "the migration exists: it keeps the arguments with which it was created";

/// The plan with further references, for which the migration is created, or changed, and rolled back.
fn with_references(
    session: &mut Session,
    table: &Table,
    key: &KeyArguments,
    phase: Option<String>,
) -> Result<Plan> {
    let statements =
        if phase.is_none() { key.create(session, table, &[])? } else { key.add_references(session, table)? };
    session.batch_execute("BEGIN; SET LOCAL idle_in_transaction_session_timeout TO '1min'")?;
    let plan = statements
        .iter()
        .try_for_each(|statement| session.batch_execute(statement))
        .and_then(|()| read(session, table, key));
    session.batch_execute("ROLLBACK")?;
    Ok(Plan { phase, ..plan? })
}

/// Shows a plan.
///
/// # Errors
/// Those of the server, or if stdout cannot be written to.
pub fn run(session: &mut Session, output: Output, arguments: &PlanArguments) -> Result<Exit> {
    let table = Table::find(session, &arguments.table)?;
    let mut plan = read(session, &table, &arguments.key)?;
    if plan.phase.is_some() && !arguments.key.named().is_empty() {
        say(KEPT);
    }
    if !arguments.key.references.is_empty() && (plan.phase.is_some() || !plan.has_errors()) {
        plan = with_references(session, &table, &arguments.key, plan.phase)?;
    }
    output.result(&plan, |width| plan.text(width))?;
    Ok(plan.exit())
}
