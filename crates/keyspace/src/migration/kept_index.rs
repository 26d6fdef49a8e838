//! The index that keeps old ids unique once the primary key has moved to the new columns, and that becomes
//! the primary key again at a rollback. It is built before the cut-over.
//!
//! That of a partitioned table is made `ON ONLY` the table, built on each partition, and attached, as the
//! other indexes are.

use super::facts::{Index, Table};
use super::partitions::attach_index;
use super::phase::Phase;
use super::primary_key::moves;
use super::scope::Scope;
use super::step::{Lock, Runs, Step};
use crate::sql::{qualified, quoted};

/// Why it is built.
const WHY: &str = "keeps old ids unique when the primary key moves at the cut-over";

/// Adds the steps of one table to a plan. They come after those of its replacement, which is then the one
/// that finds duplicates (fault C21).
pub(super) fn steps(scope: &Scope<'_>, table: &Table, steps: &mut Vec<Step>) {
    if scope.options.cut_over {
        return;
    }
    let moves = moves(scope, table);
    if !table.is_partitioned() {
        of_table(scope, table, moves, steps);
        return;
    }
    let all: Vec<&Table> = std::iter::once(table).chain(scope.partitions_of(table.oid)).collect();
    if !moves {
        steps.extend(scope.kept_index(table).map(|kept| drop_with_partitions(table, kept)));
        // What is attached is dropped with it.
        let is_alone = |one: &&&Table| scope.kept_index(one).is_some_and(|kept| kept.parent.is_none());
        let partitions = all.iter().skip(1).filter(is_alone);
        partitions.for_each(|one| of_table(scope, one, false, steps));
        return;
    }
    steps.extend(all.iter().filter(|one| one.is_partitioned()).filter_map(|one| on_only(scope, one)));
    for partition in scope.with_rows(table) {
        of_table(scope, partition, true, steps);
    }
    // The lowest level first: an index is valid once all below it are attached.
    steps.extend(all.iter().rev().filter_map(|one| attach(scope, one)));
}

/// A step by which the client changes an index without blocking writers.
fn client(table: &Table, action: String, statement: String, detail: &str) -> Step {
    let mut step = Step::new(Phase::Indexed, table, action, vec![statement]);
    step.lock = Some(Lock::ShareUpdateExclusive);
    step.runs = Runs::Client;
    step.detail = detail.to_owned();
    step
}

/// The steps of a table or partition with rows. An index that is not valid is built again, and one that is
/// not needed dropped.
fn of_table(scope: &Scope<'_>, table: &Table, moves: bool, steps: &mut Vec<Step>) {
    let Some(primary) = scope.old_primary_key(table) else { return };
    let kept = scope.kept_index(table);
    let name = name(scope, table, primary);
    if let Some(kept) = kept.filter(|kept| !moves || !kept.is_valid) {
        let (kind, detail) = if kept.is_valid {
            ("index", "the primary key does not move at the cut-over")
        } else {
            ("invalid index", "left over from a build that was interrupted")
        };
        let statement = format!("DROP INDEX CONCURRENTLY {}", qualified(&table.schema, &name));
        steps.push(client(table, format!("drop {kind} \"{name}\""), statement, detail));
    }
    if moves {
        let action = format!("build unique index \"{name}\"");
        let mut step = client(table, action, copy(scope, table, primary, &name), WHY);
        step.rows = table.rows;
        step.bytes = primary.bytes;
        step.done = kept.is_some_and(|kept| kept.is_valid);
        steps.push(step);
    }
}

/// The step that drops the index of a partitioned table, with those of its partitions.
fn drop_with_partitions(table: &Table, kept: &Index) -> Step {
    let action = format!("drop index \"{}\"", kept.name);
    let mut step = Step::new(Phase::Indexed, table, action, vec![drop(table, kept)]);
    step.lock = Some(Lock::AccessExclusive);
    step.detail = "the primary key does not move at the cut-over".to_owned();
    step
}

/// The step that makes that of a partitioned table, without those of its partitions.
fn on_only(scope: &Scope<'_>, table: &Table) -> Option<Step> {
    let primary = scope.old_primary_key(table)?;
    let name = name(scope, table, primary);
    let action = format!("create unique index \"{name}\" without those of its partitions");
    let mut step = Step::new(Phase::Indexed, table, action, vec![copy(scope, table, primary, &name)]);
    step.lock = Some(Lock::ShareRowExclusive);
    step.evaluates = true;
    step.detail = WHY.to_owned();
    step.done = scope.kept_index(table).is_some();
    Some(step)
}

/// The step that attaches that of a partition.
fn attach(scope: &Scope<'_>, table: &Table) -> Option<Step> {
    let parent = scope.facts.table(table.parent?)?;
    let to = name(scope, parent, scope.old_primary_key(parent)?);
    let name = name(scope, table, scope.old_primary_key(table)?);
    let mut step = attach_index(table, &name, (parent, &to), Vec::new());
    step.done = scope.kept_index(table).is_some_and(|kept| kept.parent.is_some());
    Some(step)
}

/// Its name, which it has or will have.
fn name(scope: &Scope<'_>, table: &Table, primary: &Index) -> String {
    scope.kept_index(table).map_or_else(|| scope.options.old_name(&primary.name), |kept| kept.name.clone())
}

/// The statement that builds the same index as that of a primary key.
fn copy(scope: &Scope<'_>, table: &Table, primary: &Index, name: &str) -> String {
    let list = |columns: &mut dyn Iterator<Item = i16>| {
        columns.map(|column| scope.column_sql(table, column)).collect::<Vec<_>>().join(", ")
    };
    let (concurrently, only) = if table.is_partitioned() { ("", "ONLY ") } else { ("CONCURRENTLY ", "") };
    let mut sql = format!(
        "CREATE UNIQUE INDEX {concurrently}{} ON {only}{} USING btree ({})",
        quoted(name),
        qualified(&table.schema, &table.name),
        list(&mut primary.keys.iter().map(|key| key.column))
    );
    if !primary.include.is_empty() {
        sql.push_str(&format!(" INCLUDE ({})", list(&mut primary.include.iter().copied())));
    }
    if !primary.options.is_empty() {
        sql.push_str(&format!(" WITH ({})", primary.options.join(", ")));
    }
    if let Some(tablespace) = &primary.tablespace {
        sql.push_str(&format!(" TABLESPACE {}", quoted(tablespace)));
    }
    sql
}

/// The statements that drop it with the migration. Those of partitions are dropped with the one that they
/// are attached to.
pub(super) fn remove(scope: &Scope<'_>) -> Vec<String> {
    let of_table = |table| {
        let kept = scope.kept_index(table).filter(|kept| kept.parent.is_none())?;
        Some(drop(table, kept))
    };
    scope.tables_and_partitions().into_iter().filter_map(of_table).collect()
}

/// The statement that drops an index.
pub(super) fn drop(table: &Table, index: &Index) -> String {
    format!("DROP INDEX {}", qualified(&table.schema, &index.name))
}
