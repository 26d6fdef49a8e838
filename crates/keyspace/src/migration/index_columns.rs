//! The names of the columns of partitioned indexes.
//!
//! PostgreSQL names the index of a new partition after the columns of the index of its table. These
//! columns keep the names that those of the table had when the index was created, so they are renamed
//! together with those of the table. The indexes of an unchanged name follow at the end: until then, a
//! new partition has the name of the old one, which the replacement takes over.

use super::checks::Names;
use super::facts::{Index, Table};
use super::lacking_old_ids::is_dropped;
use super::member::Member;
use super::primary_key;
use super::replacement_index::{self, keeps_name};
use super::scope::Scope;
use crate::sql::{qualified, quoted};

/// The present name of a column, and its next one.
type Renamed = (String, String);

/// The statements at a cut-over or its rollback, as long as the indexes have their names. `names` gives
/// the names that the columns of tables get.
pub(super) fn with_columns(scope: &Scope<'_>, names: impl Fn(&Member<'_>) -> Names) -> Vec<String> {
    let mut statements = Vec::new();
    for table in partitioned(scope) {
        let members = || scope.members_of(table.oid).filter(|member| member.shadow.is_some());
        let old: Vec<Renamed> = members().map(|one| (one.old_id.name.clone(), names(one).old)).collect();
        let new: Vec<Renamed> = members().map(|one| (one.shadow_name.clone(), names(one).key)).collect();
        for (index, replacement) in pairs(scope, table, false) {
            let (has_old, has_new) = remain(scope, table, index, replacement);
            if has_old {
                rename(scope, (table, index), &old, &mut statements);
            }
            if has_new {
                rename(scope, (table, replacement), &new, &mut statements);
            }
        }
        if let Some(kept) = scope.kept_index(table).filter(|kept| kept.parent.is_none()) {
            rename(scope, (table, kept), &old, &mut statements);
        }
    }
    statements
}

/// Which of the two indexes the cut-over or its rollback does not drop.
fn remain(scope: &Scope<'_>, table: &Table, index: &Index, replacement: &Index) -> (bool, bool) {
    let is_moved = primary_key::is_moved(scope, table, index, replacement);
    if scope.options.cut_over {
        (true, !is_moved)
    } else {
        (!is_moved && !is_dropped(scope, table, index), true)
    }
}

/// The statements at the end of a migration.
pub(super) fn at_end(scope: &Scope<'_>, keep_old_ids: bool) -> Vec<String> {
    let mut statements = Vec::new();
    for table in partitioned(scope) {
        let members = || scope.members_of(table.oid);
        let old: Vec<Renamed> =
            members().map(|one| (one.shadow_name.clone(), one.old_id.name.clone())).collect();
        let new: Vec<Renamed> = members()
            .map(|one| (scope.options.new_name(&one.shadow_name), one.shadow_name.clone()))
            .collect();
        for (index, replacement) in pairs(scope, table, true) {
            if keep_old_ids && index.constraint.is_none() {
                rename(scope, (table, index), &old, &mut statements);
            }
            rename(scope, (table, replacement), &new, &mut statements);
        }
    }
    statements
}

fn partitioned<'a>(scope: &Scope<'a>) -> impl Iterator<Item = &'a Table> {
    scope.tables_and_partitions().into_iter().filter(|table| table.is_partitioned())
}

/// The indexes of a partitioned table with their replacements. Those that are attached are renamed with
/// the index that they are attached to.
fn pairs<'a>(
    scope: &Scope<'a>,
    table: &'a Table,
    keep_name: bool,
) -> impl Iterator<Item = (&'a Index, &'a Index)> {
    let is_one = |(index, replacement): &(&Index, &Index)| {
        let keeps =
            keeps_name(scope, table, index) && !primary_key::is_moved(scope, table, index, replacement);
        index.parent.is_none() && keeps == keep_name && !scope.index_stays(table.oid, index)
    };
    let pairs: Vec<_> = replacement_index::pairs(scope, table).into_iter().filter(is_one).collect();
    pairs.into_iter()
}

fn rename(
    scope: &Scope<'_>,
    (table, index): (&Table, &Index),
    renamed: &[Renamed],
    statements: &mut Vec<String>,
) {
    for (at, name) in index.column_names.iter().enumerate() {
        // Another name, such as one that the column of the table had long ago, stays.
        if let Some((_, next)) = renamed.iter().find(|(present, _)| present == name) {
            align(scope, (table, index), at, next, statements);
        }
    }
}

/// PostgreSQL renames a column together with those of all attached indexes, if they have the same name.
/// An index that was built before it was attached has the name of its own time.
fn align(
    scope: &Scope<'_>,
    (table, index): (&Table, &Index),
    at: usize,
    to: &str,
    statements: &mut Vec<String>,
) {
    let Some(name) = index.column_names.get(at) else { return };
    for partition in scope.facts.tables.iter().filter(|one| one.parent == Some(table.oid)) {
        let attached = partition.indexes.iter().filter(|one| one.parent == Some(index.oid));
        attached.for_each(|one| align(scope, (partition, one), at, name, statements));
    }
    if name != to {
        let of = qualified(&table.schema, &index.name);
        statements.push(format!("ALTER TABLE {of} RENAME COLUMN {} TO {}", quoted(name), quoted(to)));
    }
}
