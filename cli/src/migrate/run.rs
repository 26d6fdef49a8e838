//! `migrate run`: the migration up to the cut-over.
//!
//! Everything that an interrupted run needs is in the database: the statements that are left are
//! asked for again. So there is no log.

use std::time::{Duration, Instant};

use keyspace::sql::literal;

use super::arguments::RunArguments;
use super::outcome::Outcome;
use super::plan::{self, Plan, Step};
use super::table::Table;
use super::watch::{Display, watched};
use super::{call, first_words};
use crate::check::Severity;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::nodes::Node;
use crate::output::{Output, say};
use crate::session::Session;

/// The phase before the cut-over.
const VERIFIED: &str = "verified";
/// Another session works on the migration.
const IN_USE: &str = "55006";
/// How long the session of an interrupted run is waited for: it ends on its own.
const PATIENCE: Duration = Duration::from_secs(60);
/// The first key of the lock that keeps two runs apart; the second one is the OID of the table.
const LOCK: i32 = 0x6b65_796d;

/// Runs a migration up to the cut-over, or shows what would be run.
///
/// # Errors
/// Those of the server, with the way on.
pub fn run(session: &mut Session, node: &Node, output: Output, arguments: &RunArguments) -> Result<Exit> {
    let table = Table::find(session, &arguments.table)?;
    // A setting that does not exist is an error of usage, whatever the plan says.
    call::set(session, &table, &arguments.settings)?;
    if arguments.dry_run {
        return show(session, &table, arguments)?.print(output);
    }
    let plan = plan::read(session, &table, &arguments.key)?;
    if plan.phase.is_none() && plan.has_errors() {
        // Nothing is created.
        return of_plan(plan, Vec::new(), false).print(output);
    }
    careful(session, arguments.maintenance_work_mem.as_ref())?;
    lock(session, &table)?;
    let display = Display::new();
    let pid = session.process()?;
    let done = watched(node, &table, pid, &display, || carry_out(session, &table, arguments, plan, &display));
    display.finish();
    let outcome = done.map_err(|failure| {
        let on = "Call it again, and it goes on with what is left.";
        let hint = failure.hint.as_ref().map_or_else(|| on.to_owned(), |hint| format!("{hint} {on}"));
        failure.hint(hint)
    })?;
    outcome.print(output)
}

/// Settings of the session. If this program is killed, the server ends its statement soon, so that
/// the next run need not wait.
///
/// # Errors
/// If the memory is no size.
pub fn careful(session: &mut Session, maintenance_work_mem: Option<&String>) -> Result<()> {
    // Not on every platform.
    let _ = session.batch_execute("SET client_connection_check_interval TO '2s'");
    interrupt::check()?;
    if let Some(memory) = maintenance_work_mem {
        session.execute("SELECT set_config('maintenance_work_mem', $1, false)", &[memory])?;
    }
    Ok(())
}

/// Keeps a second run of this program away: two of them would build the same index.
///
/// # Errors
/// If another run does not end in time.
pub fn lock(session: &mut Session, table: &Table) -> Result<()> {
    let began = Instant::now();
    loop {
        let row =
            session.query_one("SELECT pg_try_advisory_lock($1, $2)", &[&LOCK, &table.oid.cast_signed()])?;
        if row.try_get(0)? {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(Failure::new(format!("another run works on the migration of table {}", table.name))
                .of_node(session.name())
                .hint("Wait until it has ended, or interrupt it."));
        }
        interrupt::sleep(Duration::from_millis(500))?;
    }
}

/// The statements that are left up to a phase.
///
/// # Errors
/// Those of the server.
pub fn left(session: &mut Session, table: &Table, through: &str) -> Result<Vec<String>> {
    let function = session.object("key_migration_statements")?;
    let query = format!(
        "SELECT s.statement FROM {function}({}, through => {}) AS s ORDER BY s.step",
        table.argument(),
        literal(through)
    );
    session.query(&query, &[])?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

fn carry_out(
    session: &mut Session,
    table: &Table,
    arguments: &RunArguments,
    plan: Plan,
    display: &Display,
) -> Result<Outcome> {
    let mut done = Vec::new();
    let is_new = plan.phase.is_none();
    let is_cut_over = plan.phase.as_deref() == Some("cut over");
    let mut first = if is_new {
        arguments.key.create(session, table, &[])?
    } else {
        if !arguments.key.named().is_empty() {
            display.say(plan::KEPT);
        }
        if is_cut_over && !arguments.key.references.is_empty() {
            display.say("the migration is cut over: no reference is added to it");
        }
        if is_cut_over { Vec::new() } else { arguments.key.add_references(session, table)? }
    };
    first.extend(call::set(session, table, &arguments.settings)?);
    if is_new {
        // All of it or nothing: a migration without its references would leave them behind.
        // In one message, so that no transaction stays open if the connection is lost.
        let created = session.batch_execute(&format!("BEGIN; {}; COMMIT", first.join("; ")));
        if created.is_err() {
            session.batch_execute("ROLLBACK")?;
        }
        created?;
    } else {
        first.iter().try_for_each(|statement| session.batch_execute(statement))?;
    }
    done.append(&mut first);
    let mut before = Vec::new();
    loop {
        let statements = left(session, table, VERIFIED)?;
        if statements.is_empty() {
            break;
        }
        if statements == before {
            return Err(Failure::new(format!("the migration of table {} does not advance", table.name))
                .of_node(session.name())
                .detail(format!(
                    "The same statements are left after they were run: {}.",
                    statements.join("; ")
                )));
        }
        for (at, statement) in statements.iter().enumerate() {
            display.say(&format!("{} of {}: {}", at + 1, statements.len(), first_words(statement)));
            run_one(session, statement, display)?;
            done.push(statement.clone());
        }
        before = statements;
    }
    let phase = table.phase(session)?;
    let mut findings = plan.findings;
    // Those of before are shown only the first time.
    findings.retain(|finding| is_new && finding.severity == Severity::Warning);
    let next = match phase.as_deref() {
        Some("verified") => "migrate cut-over; --rehearse and --dry-run show what would be in its way.",
        Some("cut over") => "migrate finalize, days or weeks later; migrate rollback goes back.",
        _ => "migrate plan shows what is left.",
    };
    Ok(Outcome {
        command: "run",
        node: session.name().to_owned(),
        table: table.name.clone(),
        phase,
        findings,
        statements: done,
        notices: session.take_notices().into_iter().filter(|notice| notice.severity == "WARNING").collect(),
        next: vec![next.to_owned()],
        ..Outcome::default()
    })
}

/// Runs a statement. If the session of an interrupted run still works on the migration, it is
/// waited for.
///
/// # Errors
/// Those of the server.
pub fn run_one(session: &mut Session, statement: &str, display: &Display) -> Result<()> {
    let began = Instant::now();
    let mut is_said = false;
    loop {
        match session.batch_execute(statement) {
            Err(failure) if failure.is(IN_USE) && began.elapsed() < PATIENCE => {
                if !std::mem::replace(&mut is_said, true) {
                    display.say(&format!("{}; waiting", failure.message));
                }
                interrupt::sleep(Duration::from_secs(1))?;
            }
            done => return done,
        }
    }
}

/// The statements that would be run. A migration that does not exist is created and rolled back.
fn show(session: &mut Session, table: &Table, arguments: &RunArguments) -> Result<Outcome> {
    let plan = plan::read(session, table, &arguments.key)?;
    if let Some(phase) = &plan.phase {
        if !arguments.key.named().is_empty() {
            say(plan::KEPT);
        }
        // As in a run.
        let mut statements =
            if phase == "cut over" { Vec::new() } else { arguments.key.add_references(session, table)? };
        statements.extend(call::set(session, table, &arguments.settings)?);
        statements.extend(left(session, table, VERIFIED)?);
        return Ok(of_plan(plan, statements, true));
    }
    if plan.has_errors() {
        return Ok(of_plan(plan, Vec::new(), true));
    }
    let mut statements = arguments.key.create(session, table, &[])?;
    statements.extend(call::set(session, table, &arguments.settings)?);
    session.batch_execute("BEGIN; SET LOCAL idle_in_transaction_session_timeout TO '1min'")?;
    let shown: Result<Plan> = (|| {
        statements.iter().try_for_each(|statement| session.batch_execute(statement))?;
        statements.extend(left(session, table, VERIFIED)?);
        // With the references.
        plan::read(session, table, &arguments.key)
    })();
    session.batch_execute("ROLLBACK")?;
    let plan = Plan { phase: None, ..shown? };
    Ok(of_plan(plan, statements, true))
}

fn of_plan(plan: Plan, statements: Vec<String>, dry_run: bool) -> Outcome {
    // Steps that no statement of the list does come later.
    let is_left = |step: &&Step| step.done == Some(false);
    let number = plan.steps.iter().filter(is_left).count();
    let next = if plan.has_errors() {
        "resolve every error, then call it again.".to_owned()
    } else {
        format!("{number} steps are left; migrate plan shows each of them.")
    };
    Outcome {
        command: "run",
        node: plan.node,
        table: plan.table,
        dry_run,
        phase: plan.phase,
        findings: plan.findings,
        statements,
        next: vec![next],
        ..Outcome::default()
    }
}
