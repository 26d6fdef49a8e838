//! The SQL calls that change a node, with what they need from the user.

use std::time::{Duration, Instant};

use clap::Args;
use serde::{Deserialize, Serialize};

use keyspace::sequences::Class;
use postgres::types::ToSql;

use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::progress::Bar;
use crate::session::Session;

/// How long a set-up that is still running from an interrupted run is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

/// Arguments of a set-up that are the same for all nodes.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SetupOptions {
    /// Only sequences in this schema; may be repeated
    #[arg(long = "schema", value_name = "SCHEMA")]
    pub schemas: Option<Vec<String>>,

    /// All sequences except this one, with its schema; may be repeated
    #[arg(long, value_name = "SEQUENCE")]
    pub exclude: Option<Vec<String>>,

    /// Columns that the database cannot connect with their sequences, as JSON
    #[arg(long, value_name = "JSON")]
    pub feeds: Option<String>,

    /// Ids to leave free above those in use, instead of as many as the states of the nodes show
    #[arg(long, value_name = "IDS", value_parser = clap::value_parser!(i64).range(0..))]
    pub gap: Option<i64>,

    /// An increment other than 1 is the size of a block of ids
    #[arg(long)]
    pub blocks: bool,

    /// A sequence whose position counts, and not rows far ahead of it; may be repeated
    #[arg(long, value_name = "SEQUENCE")]
    pub trust_position: Option<Vec<String>>,
}

/// What a set-up did with a sequence, or would do.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Change {
    /// The sequence, with its schema.
    pub sequence: String,
    /// `altered`, `planned`, `unchanged`, `skipped` or `failed`.
    pub action: String,
    /// The next value afterwards.
    pub restart: Option<i64>,
    /// How many values are left.
    pub values_left: Option<i64>,
    /// What changes, and what to know about it.
    pub detail: Option<String>,
    /// The statement.
    pub ddl: Option<String>,
}

/// The arguments of the function and of the procedure that they have in common.
const ARGUMENTS: &str =
    "$1, $2, schemas => $3::text[]::name[], exclude => $4::text[]::regclass[], feeds => $5::text::jsonb,
     peers => $6::text[]::jsonb[], gap => $7, blocks => $8, trust_position => $9::text[]::regclass[]";

/// The columns of `Change`.
const COLUMNS: &str = "sequence::text, action, restart, values_left, detail, ddl";

impl SetupOptions {
    /// Whether none is given.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Sets a node up in one transaction, or shows what would be done.
    ///
    /// # Errors
    /// Those of the server.
    pub fn set_up(
        &self,
        session: &mut Session,
        class: Class,
        peers: &[String],
        dry_run: bool,
    ) -> Result<Vec<Change>> {
        let function = session.object("setup_interleaved_sequences")?;
        let query = format!("SELECT {COLUMNS} FROM {function}({ARGUMENTS}, dry_run => {dry_run})");
        let (node, nodes) = (class.node(), class.nodes());
        session.rows(&query, &self.arguments(&node, &nodes, &peers))
    }

    /// Sets a node up with one transaction for each sequence, while it is in use.
    ///
    /// # Errors
    /// Those of the server; in particular if some sequences could not be set up, and the others are.
    pub fn set_up_in_batches(&self, session: &mut Session, class: Class, peers: &[String]) -> Result<()> {
        let procedure = session.object("setup_interleaved_sequences_in_batches")?;
        let call = format!("CALL {procedure}({ARGUMENTS})");
        let (node, nodes) = (class.node(), class.nodes());
        session.execute(&call, &self.arguments(&node, &nodes, &peers)).map(|_| ())
    }

    /// The values of [`ARGUMENTS`].
    fn arguments<'a>(
        &'a self,
        node: &'a i32,
        nodes: &'a i32,
        peers: &'a &[String],
    ) -> [&'a (dyn ToSql + Sync); 9] {
        [
            node,
            nodes,
            &self.schemas,
            &self.exclude,
            &self.feeds,
            peers,
            &self.gap,
            &self.blocks,
            &self.trust_position,
        ]
    }
}

/// Splits the class of a node, or shows what would be done.
///
/// # Errors
/// Those of the server.
pub fn split(session: &mut Session, factor: i32, dry_run: bool) -> Result<Vec<Change>> {
    let function = session.object("split_interleaved_sequences")?;
    let query = format!("SELECT {COLUMNS} FROM {function}($1, dry_run => {dry_run})");
    session.rows(&query, &[&factor])
}

/// Waits until no other set-up in batches runs in the database.
///
/// # Errors
/// Those of the server, or if it does not end.
pub fn wait_for_others(session: &mut Session) -> Result<()> {
    let view = session.object("interleaved_setup_progress")?;
    let query = format!("SELECT pid FROM {view} WHERE state IN ('running', 'waiting')");
    let began = Instant::now();
    while let Some(row) = session.query(&query, &[])?.first() {
        if began.elapsed() > PATIENCE {
            let pid: i32 = row.try_get(0)?;
            return Err(Failure::new("another set-up is running in this database")
                .of_node(session.name())
                .detail(format!("Process {pid} runs it."))
                .hint("Wait until it has ended, or cancel it."));
        }
        interrupt::sleep(Duration::from_millis(500))?;
    }
    Ok(())
}

/// Shows the progress of a set-up in batches, as another session sees it, until `is_over`.
///
/// # Errors
/// Those of the server.
pub fn watch_batches(session: &mut Session, bar: &Bar, is_over: impl Fn() -> bool) -> Result<()> {
    let view = session.object("interleaved_setup_progress")?;
    // A row of an earlier call says nothing about this one.
    let query = format!(
        "SELECT sequences, altered, failed, current_sequence::text, tries FROM {view}
         WHERE state IN ('running', 'waiting')"
    );
    while !is_over() {
        if let Some(row) = session.query(&query, &[])?.first() {
            let get =
                |at: usize| row.try_get::<_, i32>(at).map_or(0, |number| u64::try_from(number).unwrap_or(0));
            let current: Option<String> = row.try_get(3).unwrap_or_default();
            let waits = get(4) > 0;
            bar.set(get(0), get(1) + get(2), current.filter(|_| waits).as_deref());
        }
        interrupt::sleep(Duration::from_millis(200))?;
    }
    Ok(())
}

/// Fails if a dry run has shown sequences that cannot be set up, before anything is changed.
///
/// # Errors
/// In that case.
pub fn none_fails(node: &str, changes: &[Change]) -> Result<()> {
    let failed: Vec<&Change> = changes.iter().filter(|change| change.action == "failed").collect();
    let Some(first) = failed.first() else { return Ok(()) };
    let each = failed.iter().take(10).map(|change| {
        format!("{} ({})", change.sequence, change.detail.as_deref().unwrap_or("no reason given"))
    });
    let each = each.collect::<Vec<_>>().join(", ");
    let more = failed.len().saturating_sub(10);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(Failure::new(format!("{} of {} sequences cannot be set up", failed.len(), changes.len()))
        .of_node(node)
        .detail(format!("{each}{more}. Nothing was changed on any node."))
        .hint(format!("Fix the reason, or leave the sequence out: --exclude '{}'.", first.sequence)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sequences_that_cannot_be_set_up_are_named() {
        let change = |action: &str, at: usize| Change {
            sequence: format!("public.s{at}"),
            action: action.to_owned(),
            restart: None,
            values_left: None,
            detail: Some("must be owner".to_owned()),
            ddl: None,
        };
        assert!(none_fails("one", &[change("planned", 1), change("skipped", 2)]).is_ok());
        let many: Vec<Change> =
            (0..13).map(|at| change(if at == 0 { "planned" } else { "failed" }, at)).collect();
        let failure = none_fails("one", &many).unwrap_err();
        assert_eq!(failure.message, "12 of 13 sequences cannot be set up");
        let detail = failure.detail.unwrap();
        assert!(
            detail.starts_with("public.s1 (must be owner), ") && detail.contains(" and 2 more. Nothing"),
            "{detail}"
        );
        assert!(failure.hint.unwrap().ends_with("--exclude 'public.s1'."));
    }
}
