//! `migrate cut-over`, `rollback` and `finalize`: one call each.

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use keyspace::sql::literal;

use super::arguments::{CutOverArguments, FinalizeArguments, Ignored, RollbackArguments};
use super::blockers;
use super::first_words;
use super::outcome::{Outcome, Use};
use super::plan::{self, Finding};
use super::rehearsal;
use super::table::Table;
use super::watch::{Display, watched};
use crate::check::Severity;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::nodes::Node;
use crate::output::Output;
use crate::session::Session;

/// Cuts over, rehearses it, or shows what it would find.
///
/// # Errors
/// Those of the server.
pub fn cut_over(
    session: &mut Session,
    node: &Node,
    output: Output,
    arguments: &CutOverArguments,
) -> Result<Exit> {
    let table = Table::find(session, &arguments.table)?;
    let procedure = session.object("key_migration_cutover")?;
    let statement = format!(
        "CALL {procedure}({}, way => {}::pg_catalog.text, ignore => ARRAY[{}]::pg_catalog.text[])",
        table.argument(),
        named(&arguments.way),
        ignored(&arguments.ignore)
    );
    if arguments.rehearse {
        let phase = required_phase(session, &table)?;
        let rehearsal = rehearsal::rehearse(session, node, &table, arguments)?;
        let next = if rehearsal.acquired {
            "migrate cut-over".to_owned()
        } else {
            "wait until the sessions that are in the way have ended, or end them: SELECT pg_terminate_backend(...).".to_owned()
        };
        let outcome = Outcome {
            command: "cut-over",
            dry_run: true,
            phase: Some(phase),
            rehearsal: Some(rehearsal),
            next: vec![next],
            ..of(session, &table)
        };
        return outcome.print(output);
    }
    if arguments.dry_run {
        let findings = known(session, &table)?;
        let tables: Vec<u32> = rehearsal::tables(session, &table)?.into_iter().map(|(oid, _)| oid).collect();
        let outcome = Outcome {
            command: "cut-over",
            dry_run: true,
            phase: Some(required_phase(session, &table)?),
            findings,
            uses: uses(session, &table)?,
            blockers: blockers::of_tables(session, &tables)?,
            statements: vec![statement],
            ..of(session, &table)
        };
        return outcome.print(output);
    }
    required_phase(session, &table)?;
    let next = "watch the application; migrate rollback goes back, migrate finalize ends it.";
    carry_out(session, node, &table, "cut-over", statement, next)?.print(output)
}

/// A value as a literal.
fn named(value: &impl ValueEnum) -> String {
    literal(value.to_possible_value().as_ref().map_or("", |value| value.get_name()))
}

/// What a cut-over overlooks, as the elements of an array.
pub fn ignored(ignored: &[Ignored]) -> String {
    ignored.iter().map(named).collect::<Vec<_>>().join(", ")
}

/// Rolls back, or shows the statement.
///
/// # Errors
/// Those of the server.
pub fn rollback(
    session: &mut Session,
    node: &Node,
    output: Output,
    arguments: &RollbackArguments,
) -> Result<Exit> {
    let table = Table::find(session, &arguments.table)?;
    let procedure = session.object("key_migration_rollback")?;
    let confirm = arguments.confirm.as_ref().map_or_else(|| "NULL".to_owned(), |name| literal(name));
    let statement = format!("CALL {procedure}({}, confirm => {confirm}::pg_catalog.text)", table.argument());
    let phase = required_phase(session, &table)?;
    if arguments.dry_run {
        let next = if phase == "cut over" {
            "it undoes the cut-over; all keys are kept."
        } else {
            "it removes everything that the migration has added."
        };
        let outcome = Outcome {
            command: "rollback",
            dry_run: true,
            phase: Some(phase),
            statements: vec![statement],
            next: vec![next.to_owned()],
            ..of(session, &table)
        };
        return outcome.print(output);
    }
    let next = "migrate run goes on from here, or begins again.";
    carry_out(session, node, &table, "rollback", statement, next)?.print(output)
}

/// Finalizes, or shows what is in the way.
///
/// # Errors
/// Those of the server, or if the name of the table is not confirmed.
pub fn finalize(
    session: &mut Session,
    node: &Node,
    output: Output,
    arguments: &FinalizeArguments,
) -> Result<Exit> {
    let table = Table::find(session, &arguments.table)?;
    let procedure = session.object("key_migration_finalize")?;
    let phase = required_phase(session, &table)?;
    let call = |confirm: &str| {
        format!(
            "CALL {procedure}({}, confirm => {}::pg_catalog.text, keep_old_ids => {})",
            table.argument(),
            literal(confirm),
            arguments.keep_old_ids
        )
    };
    if arguments.dry_run {
        let outcome = Outcome {
            command: "finalize",
            dry_run: true,
            phase: Some(phase),
            findings: known(session, &table)?,
            uses: uses(session, &table)?,
            statements: vec![call(&table.plain)],
            ..of(session, &table)
        };
        return outcome.print(output);
    }
    let confirm = match &arguments.confirm {
        Some(name) => name.clone(),
        None => ask(&table)?,
    };
    let statement = call(&confirm);
    carry_out(session, node, &table, "finalize", statement, "nothing is left to do.")?.print(output)
}

/// Asks for the name of the table.
///
/// # Errors
/// If nobody can be asked.
pub fn ask(table: &Table) -> Result<String> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new("the name of the table is not confirmed")
            .detail("This drops the old ids, and cannot be undone.")
            .hint(format!("Pass it: --confirm {}", table.plain)));
    }
    let mut stderr = std::io::stderr();
    let failed =
        |error: std::io::Error| Failure::new(format!("could not ask for the name of the table: {error}"));
    write!(
        stderr,
        "This drops the old ids of table {}, and cannot be undone. Type the name of the table: ",
        crate::printable::printable(&table.name)
    )
    .and_then(|()| stderr.flush())
    .map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(failed)?;
    Ok(answer.trim_end_matches(['\r', '\n']).to_owned())
}

/// The phase of a migration that has to exist.
fn required_phase(session: &mut Session, table: &Table) -> Result<String> {
    table.phase(session)?.ok_or_else(|| {
        Failure::new(format!("table {} is not being migrated", table.name))
            .of_node(session.name())
            .hint("Begin with \"migrate plan\" and \"migrate run\".")
    })
}

/// The errors and warnings of the plan.
///
/// # Errors
/// Those of the server.
pub fn known(session: &mut Session, table: &Table) -> Result<Vec<Finding>> {
    let mut findings = plan::read(session, table, &super::arguments::KeyArguments::default())?.findings;
    findings.retain(|finding| finding.severity != Severity::Info);
    Ok(findings)
}

/// What still uses the old ids.
///
/// # Errors
/// Those of the server.
pub fn uses(session: &mut Session, table: &Table) -> Result<Vec<Use>> {
    let function = session.object("key_migration_usage")?;
    session.rows(
        &format!(
            "SELECT u.table_name::text AS table_name, u.column_name, u.kind, u.used_by, u.known_by FROM {function}({}) AS u",
            table.argument()
        ),
        &[],
    )
}

fn of(session: &Session, table: &Table) -> Outcome {
    Outcome { node: session.name().to_owned(), table: table.name.clone(), ..Outcome::default() }
}

/// Calls a procedure, and shows for whom it waits.
fn carry_out(
    session: &mut Session,
    node: &Node,
    table: &Table,
    command: &'static str,
    statement: String,
    next: &str,
) -> Result<Outcome> {
    let pid = session.process()?;
    session.take_notices();
    let display = Display::new();
    display.say(first_words(&statement));
    let done = watched(node, table, pid, &display, || session.batch_execute(&statement));
    display.finish();
    done.map_err(|failure| {
        // Each of them is a transaction, or can be called again.
        let on = "Call it again: what is done stays done.";
        match &failure.hint {
            Some(_) if !failure.is_interrupt => failure,
            _ => failure.hint(on),
        }
    })?;
    Ok(Outcome {
        command,
        phase: table.phase(session)?,
        statements: vec![statement],
        notices: session.take_notices(),
        next: vec![next.to_owned()],
        ..of(session, table)
    })
}
