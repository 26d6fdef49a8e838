//! Primary keys that move to the new columns at the cut-over (`move_primary_key`), so that tools which
//! read the catalogs see one primary key and one foreign key from then on. Otherwise they move at the
//! end.
//!
//! PostgreSQL drops the index of a primary key with it. So before the cut-over a second unique index
//! on the old ids is built, which keeps them unique until the end, and becomes the primary key again at
//! a rollback. The rollback drops the index on keys, and with it the foreign keys on them. The steps
//! that make them are then left once more.

use super::facts::{Index, Table};
use super::finding::{Finding, list_of_objects};
use super::phase::Phase;
use super::properties;
use super::replacement_index;
use super::scope::Scope;
use super::step::{Lock, Runs, Statement, Step};
use crate::error::{Error, SqlState};
use crate::sql::{in_message, qualified, quoted};

/// Whether the primary key of a table moves at the cut-over.
pub(super) fn moves(scope: &Scope<'_>, table: &Table) -> bool {
    let options = scope.options;
    options.move_primary_key
        && !options.cut_over
        && options.views.is_empty()
        && scope.old_primary_key(table).is_some_and(|primary| stays(scope, table, primary).is_none())
}

/// Why a primary key cannot move at the cut-over, as the end of a sentence.
fn stays(scope: &Scope<'_>, table: &Table, primary: &Index) -> Option<String> {
    if table.is_partitioned() {
        return Some("the table is partitioned".to_owned());
    }
    let constraint = primary.constraint.as_ref();
    if constraint.is_some_and(|constraint| constraint.deferrable) {
        return Some("it is deferrable, and an index that keeps old ids unique would not be".to_owned());
    }
    let mut members = primary.keys.iter().filter_map(|key| scope.member(table.oid, key.column));
    if let Some(member) = members.find(|member| !scope.is_required(member)) {
        return Some(format!("rows may lack \"{}\" for a while", member.shadow_name));
    }
    // An UPDATE of a published table fails if a list of columns or a filter does not fit the replica
    // identity, which is the primary key.
    let is_identity = table.replica_identity == "d" || primary.is_replica_identity;
    let publication = table
        .dependents
        .iter()
        .find(|used| used.kind == "publication" && primary.keys.iter().any(|key| key.column == used.column));
    if let Some(publication) = publication.filter(|_| is_identity) {
        return Some(format!("publication \"{}\" lists the old ids, or filters by them", publication.name));
    }
    let dependents = &constraint?.dependents;
    (!dependents.is_empty()).then(|| format!("it is needed by {}", list_of_objects(dependents)))
}

/// Warns of primary keys that stay.
pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    if !scope.options.move_primary_key || scope.options.cut_over {
        return;
    }
    for table in scope.tables() {
        let Some(primary) = scope.old_primary_key(table) else { continue };
        if let Some(why) = stays(scope, table, primary) {
            let name = qualified(&table.schema, &table.name);
            if scope.keeps_values() {
                let message = format!(
                    "primary key \"{}\" of table {} cannot move at the cut-over",
                    primary.name,
                    in_message(&name)
                );
                let error = Error::new(SqlState::FeatureNotSupported, message)
                    .detail(format!("It would have to, because old ids can be NULL from then on. But {why}."))
                    .hint("Remove the reason until the migration is finalized.");
                found.push(Finding::error(table, error));
                continue;
            }
            if !scope.options.nodes.is_empty() {
                let message = format!(
                    "primary key \"{}\" of table {} cannot move at the cut-over",
                    primary.name,
                    in_message(&name)
                );
                let error = Error::new(SqlState::FeatureNotSupported, message)
                    .detail(format!("It would have to, because replication finds rows by it. But {why}."))
                    .hint("Remove the reason until the migration is finalized.");
                found.push(Finding::error(table, error));
                continue;
            }
            found.push(Finding::warning(
                table,
                format!("primary key \"{}\" of table {} does not move at the cut-over", primary.name, in_message(&name)),
                format!("It moves at the end of the migration, because {why}. The foreign keys that refer to keys of this table stay until then, too."),
            ));
        }
    }
}

/// Adds the steps of one table to a plan: the index that keeps old ids unique. It comes after its
/// replacement, which is then the one that finds duplicates (fault C21).
pub(super) fn steps(scope: &Scope<'_>, table: &Table, steps: &mut Vec<Step>) {
    let Some(primary) = scope.old_primary_key(table).filter(|_| !scope.options.cut_over) else { return };
    let (name, moves) = (scope.options.old_name(&primary.name), moves(scope, table));
    let kept = scope.kept_index(table);
    let client = |action: String, statement: String, detail: &str| {
        let mut step = Step::new(Phase::Indexed, table, action, vec![statement]);
        step.lock = Some(Lock::ShareUpdateExclusive);
        step.runs = Runs::Client;
        step.detail = detail.to_owned();
        step
    };
    if let Some(kept) = kept.filter(|kept| !moves || !kept.is_valid) {
        let (kind, detail) = if kept.is_valid {
            ("index", "the primary key does not move at the cut-over")
        } else {
            ("invalid index", "left over from a build that was interrupted")
        };
        let statement = format!("DROP INDEX CONCURRENTLY {}", qualified(&table.schema, &name));
        steps.push(client(format!("drop {kind} \"{name}\""), statement, detail));
    }
    if moves {
        let detail = "keeps old ids unique when the primary key moves at the cut-over";
        let action = format!("build unique index \"{name}\"");
        let mut step = client(action, copy(scope, table, primary, &name), detail);
        step.rows = table.rows;
        step.bytes = primary.bytes;
        step.done = kept.is_some_and(|kept| kept.is_valid);
        steps.push(step);
    }
}

/// The statement that builds the same index as that of a primary key.
fn copy(scope: &Scope<'_>, table: &Table, primary: &Index, name: &str) -> String {
    let list = |columns: &mut dyn Iterator<Item = i16>| {
        columns.map(|column| scope.column_sql(table, column)).collect::<Vec<_>>().join(", ")
    };
    let mut sql = format!(
        "CREATE UNIQUE INDEX CONCURRENTLY {} ON {} USING btree ({})",
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

/// Whether two indexes are on old ids and on keys, and the primary key moves from one to the other at
/// the cut-over, or has moved.
pub(super) fn is_moved(scope: &Scope<'_>, table: &Table, index: &Index, replacement: &Index) -> bool {
    if scope.options.cut_over { replacement.is_primary } else { index.is_primary && moves(scope, table) }
}

/// The statements of the cut-over.
pub(super) fn cut_over(scope: &Scope<'_>) -> Vec<Statement> {
    let mut statements = Vec::new();
    for table in scope.tables().into_iter().filter(|table| moves(scope, table)) {
        let Some(primary) = scope.old_primary_key(table) else { continue };
        let Some(replacement) = replacement_index::existing(scope, table, primary) else { continue };
        statements.extend(move_to(table, primary, replacement));
    }
    statements
}

/// The primary keys on keys that a rollback moves back, each with the index on old ids.
fn moved<'a>(scope: &Scope<'a>) -> Vec<(&'a Table, Option<&'a Index>, &'a Index)> {
    if !(scope.options.cut_over && scope.options.move_primary_key) {
        return Vec::new();
    }
    let of_table = |table: &'a Table| {
        let primary = table.primary_key().filter(|index| scope.is_new(table, index))?;
        let is_old = |index: &&Index| {
            index.is_unique
                && !scope.is_new(table, index)
                && replacement_index::existing(scope, table, index)
                    .is_some_and(|one| std::ptr::eq(one, primary))
        };
        Some((table, scope.indexes(table).find(is_old), primary))
    };
    scope.tables().into_iter().filter_map(of_table).collect()
}

/// Refuses a rollback that cannot move the primary keys back.
///
/// # Errors
/// 55000 if the index on old ids is gone, or if other objects need the primary key on keys.
pub(super) fn check_roll_back(scope: &Scope<'_>) -> Result<(), Error> {
    for (table, old, primary) in moved(scope) {
        let (name, of) = (&primary.name, qualified(&table.schema, &table.name));
        let message =
            format!("primary key \"{name}\" of table {} cannot move back to the old ids", in_message(&of));
        let error = Error::new(SqlState::ObjectNotInPrerequisiteState, message);
        if old.is_none() {
            return Err(error.detail("The unique index on the old ids is missing, or not valid.").hint(
                format!(
                    "CREATE UNIQUE INDEX CONCURRENTLY on the same columns of old ids, with the name {}.",
                    quoted(&scope.options.old_name(name))
                ),
            ));
        }
        let dependents =
            primary.constraint.as_ref().map(|constraint| list_of_objects(&constraint.dependents));
        if let Some(dependents) = dependents.filter(|dependents| !dependents.is_empty()) {
            return Err(error
                .detail(format!("It is needed by {dependents}."))
                .hint("Drop these objects, and try again."));
        }
    }
    Ok(())
}

/// The statements of a rollback that drop the primary keys on keys.
pub(super) fn drop_moved(scope: &Scope<'_>) -> Vec<String> {
    moved(scope).into_iter().map(|(table, _, primary)| drop(table, primary)).collect()
}

/// The statements of a rollback that make primary keys of the indexes on old ids again, once the ones
/// on keys are gone.
pub(super) fn add_again(scope: &Scope<'_>) -> Vec<Statement> {
    let mut statements = Vec::new();
    for (table, old, primary) in moved(scope) {
        statements.extend(old.into_iter().flat_map(|old| add(table, primary, old)));
    }
    statements
}

/// The statement that drops the index that was built to be kept, with the migration.
pub(super) fn remove(scope: &Scope<'_>) -> Vec<String> {
    let of_table = |table| {
        let kept = scope.kept_index(table)?;
        Some(drop_index(table, kept))
    };
    scope.tables().into_iter().filter_map(of_table).collect()
}

pub(super) fn drop_index(table: &Table, index: &Index) -> String {
    format!("DROP INDEX {}", qualified(&table.schema, &index.name))
}

fn move_to(table: &Table, from: &Index, to: &Index) -> Vec<Statement> {
    let mut statements = vec![drop(table, from).into()];
    statements.extend(add(table, from, to));
    statements
}

fn drop(table: &Table, primary: &Index) -> String {
    let of = qualified(&table.schema, &table.name);
    format!("ALTER TABLE {of} DROP CONSTRAINT {}", quoted(&primary.name))
}

/// The statements that make a primary key of an index, with the name and the properties of another
/// one that has been dropped.
fn add(table: &Table, from: &Index, to: &Index) -> Vec<Statement> {
    let (of, name) = (qualified(&table.schema, &table.name), quoted(&from.name));
    let as_owner_of = Some(table.oid);
    let index = quoted(&to.name);
    // As for every constraint of an index, PostgreSQL looks at the checks of the table.
    let text = format!("ALTER TABLE {of} ADD CONSTRAINT {name} PRIMARY KEY USING INDEX {index}");
    let mut statements = vec![Statement { text, as_owner_of }];
    if from.is_replica_identity {
        let text = format!("ALTER TABLE {of} REPLICA IDENTITY USING INDEX {name}");
        statements.push(Statement { text, as_owner_of });
    }
    let properties = properties::of_index(table, from, to, &from.name);
    statements.extend(properties.into_iter().map(Statement::from));
    statements
}
