//! Primary keys that move to the new columns at the cut-over (`move_primary_key`), so that tools which
//! read the catalogs see one primary key and one foreign key from then on. Otherwise they move at the
//! end.
//!
//! PostgreSQL drops the index of a primary key with it. So before the cut-over a second unique index
//! on the old ids is built (`kept_index`), which keeps them unique until the end, and becomes the primary
//! key again at a rollback. The rollback drops the index on keys, and with it the foreign keys on them. The
//! steps that make them are then left once more.
//!
//! That of a partitioned table moves together with those of its partitions.

use super::facts::{Index, Table};
use super::finding::{Finding, list_of_objects};
use super::properties;
use super::replacement_index;
use super::scope::Scope;
use super::step::Statement;
use crate::error::{Error, SqlState};
use crate::sql::{in_message, literal, qualified, quoted};

/// Whether the primary key of a table moves at the cut-over. That of a partition moves with that of its table.
pub(super) fn moves(scope: &Scope<'_>, table: &Table) -> bool {
    let options = scope.options;
    let top = table.parent.and_then(|_| scope.facts.table(scope.facts.top_of(table.oid)));
    let table = top.unwrap_or(table);
    options.move_primary_key
        && !options.cut_over
        && options.views.is_empty()
        && scope.old_primary_key(table).is_some_and(|primary| stays(scope, table, primary).is_none())
}

/// Why a primary key cannot move at the cut-over, as the end of a sentence.
fn stays(scope: &Scope<'_>, table: &Table, primary: &Index) -> Option<String> {
    if primary.constraint.as_ref().is_some_and(|constraint| constraint.deferrable) {
        return Some("it is deferrable, and an index that keeps old ids unique would not be".to_owned());
    }
    let mut members = primary.keys.iter().filter_map(|key| scope.member(table.oid, key.column));
    if let Some(member) = members.find(|member| !scope.is_required(member)) {
        return Some(format!("rows may lack \"{}\" for a while", member.shadow_name));
    }
    is_used(table, primary)
}

/// What else needs the primary key of a table or partition, as the end of a sentence.
fn is_used(table: &Table, primary: &Index) -> Option<String> {
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
    let dependents = &primary.constraint.as_ref()?.dependents;
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
        } else {
            found.extend(
                scope.partitions_of(table.oid).filter_map(|partition| of_partition(scope, partition)),
            );
        }
    }
}

/// Refuses a partition whose primary key cannot move with that of its table.
fn of_partition(scope: &Scope<'_>, partition: &Table) -> Option<Finding> {
    let primary = partition.primary_key()?;
    let why = is_used(partition, primary)?;
    let name = qualified(&partition.schema, &partition.name);
    let message = format!(
        "primary key \"{}\" of partition {} cannot move at the cut-over",
        primary.name,
        in_message(&name)
    );
    let hint = if scope.keeps_values() {
        "Remove the reason until the migration is finalized."
    } else {
        "Remove the reason until the migration is finalized, or let primary keys move at the end (move_primary_key => false)."
    };
    let detail = format!("It would have to, with that of its table. But {why}.");
    Some(Finding::error(
        partition,
        Error::new(SqlState::FeatureNotSupported, message).detail(detail).hint(hint),
    ))
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
        statements.push(drop(table, primary).into());
        statements.extend(add(scope, table, primary, replacement));
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
            // PostgreSQL cannot build it concurrently.
            let concurrently = if table.is_partitioned() { "" } else { " CONCURRENTLY" };
            return Err(error.detail("The unique index on the old ids is missing, or not valid.").hint(
                format!(
                    "CREATE UNIQUE INDEX{concurrently} on the same columns of old ids, with the name {}.",
                    quoted(&scope.options.old_name(name))
                ),
            ));
        }
        // Those of partitions are dropped with it.
        let parts = scope.partitions_of(table.oid).filter_map(Table::primary_key);
        let constraints = std::iter::once(primary).chain(parts).filter_map(|one| one.constraint.as_ref());
        let dependents: Vec<String> =
            constraints.flat_map(|constraint| constraint.dependents.iter().cloned()).collect();
        if !dependents.is_empty() {
            return Err(error
                .detail(format!("It is needed by {}.", list_of_objects(&dependents)))
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
        statements.extend(old.into_iter().flat_map(|old| add(scope, table, primary, old)));
    }
    statements
}

fn drop(table: &Table, primary: &Index) -> String {
    let of = qualified(&table.schema, &table.name);
    format!("ALTER TABLE {of} DROP CONSTRAINT {}", quoted(&primary.name))
}

/// The statements that make a primary key of an index, with the name and the properties of another
/// one that has been dropped.
fn add(scope: &Scope<'_>, table: &Table, from: &Index, to: &Index) -> Vec<Statement> {
    let (of, name) = (qualified(&table.schema, &table.name), quoted(&from.name));
    let mut statements: Vec<Statement> = Vec::new();
    let moved = attached(scope, table, from, to);
    if table.is_partitioned() {
        // The function gives a constraint the name of its index.
        for (table, from, to) in moved.iter().filter(|(_, from, to)| from.name != to.name) {
            let index = qualified(&table.schema, &to.name);
            statements.push(format!("ALTER INDEX {index} RENAME TO {}", quoted(&from.name)).into());
        }
        statements.push(of_partitioned_table(scope, table, &from.name).into());
    } else {
        // As for every constraint of an index, PostgreSQL looks at the checks of the table.
        let index = quoted(&to.name);
        let text = format!("ALTER TABLE {of} ADD CONSTRAINT {name} PRIMARY KEY USING INDEX {index}");
        statements.push(Statement { text, as_owner_of: Some(table.oid) });
    }
    for (table, from, to) in moved {
        if from.is_replica_identity {
            let of = qualified(&table.schema, &table.name);
            let text = format!("ALTER TABLE {of} REPLICA IDENTITY USING INDEX {}", quoted(&from.name));
            statements.push(Statement { text, as_owner_of: Some(table.oid) });
        }
        let properties = properties::of_index(table, from, to, &from.name);
        statements.extend(properties.into_iter().map(Statement::from));
    }
    statements
}

/// Two indexes of a table, followed by those that are attached to them, each with the partition.
fn attached<'a>(
    scope: &Scope<'a>,
    table: &'a Table,
    from: &'a Index,
    to: &'a Index,
) -> Vec<(&'a Table, &'a Index, &'a Index)> {
    let mut all = vec![(table, from, to)];
    for partition in scope.partitions_of(scope.facts.top_of(table.oid)) {
        let above = all.iter().find(|(one, ..)| partition.parent == Some(one.oid));
        let Some((_, from, to)) = above.copied() else { continue };
        let of = |index: &Index| partition.indexes.iter().find(|one| one.parent == Some(index.oid));
        if let (Some(from), Some(to)) = (of(from), of(to)) {
            all.push((partition, from, to));
        }
    }
    all
}

/// The statement that makes a primary key of the unique index of a partitioned table and those of its
/// partitions. PostgreSQL has no command for it, so a function of ours does it.
pub(super) fn of_partitioned_table(scope: &Scope<'_>, table: &Table, index: &str) -> String {
    format!(
        "SELECT {}.key_migration_add_primary_key({}::pg_catalog.regclass)",
        scope.facts.internal_schema,
        literal(&qualified(&table.schema, index))
    )
}
