//! Names that a migration needs and that are taken, at every step up to its end (fault C08).
//!
//! A name with its suffix is cut at 63 bytes. So two names that the migration needs can be the same,
//! too.

use std::collections::HashMap;

use super::facts::Table;
use super::finding::Finding;
use super::foreign_keys;
use super::names::is_cut;
use super::replacement_index::{self, Replacement};
use super::scope::{Scope, check_name, old_column_name};
use super::surroundings::Taken;
use super::triggers;
use crate::error::{Error, SqlState};
use crate::sql::{in_message, qualified, quoted};

/// Where a name has to be unique.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Space {
    /// Among the columns of a table.
    Columns(u32),
    /// Among the constraints of a table.
    Constraints(u32),
    /// Among the triggers of a table.
    Triggers(u32),
    /// Among the relations of a schema.
    Relations(String),
}

/// A name that the migration gives to an object.
struct Wanted<'a> {
    table: &'a Table,
    space: Space,
    name: String,
    /// The object that gets the name, with its present name.
    object: String,
    /// Whether only a cut-over by views needs it.
    for_view: bool,
}

/// The names of relations that the migration needs, each with its schema. The glue looks up which of
/// them are taken.
pub fn relation_names(scope: &Scope<'_>) -> Vec<(String, String)> {
    let relation = |wanted: Wanted<'_>| match wanted.space {
        Space::Relations(schema) => Some((schema, wanted.name)),
        _ => None,
    };
    wanted(scope).into_iter().filter_map(relation).collect()
}

pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    let mut seen: HashMap<(Space, String), String> = HashMap::new();
    for wanted in wanted(scope) {
        if let Some(kind) = taken(scope, &wanted) {
            found.push(clash(scope, &wanted, &kind));
            continue;
        }
        let other = seen.insert((wanted.space.clone(), wanted.name.clone()), wanted.object.clone());
        if let Some(other) = other.filter(|_| !wanted.for_view) {
            let error = Error::new(
                SqlState::DuplicateObject,
                format!("name \"{}\" would be needed twice", wanted.name),
            )
            .detail(format!(
                "It would be that of {other} and that of {}, because names are cut at 63 bytes.",
                wanted.object
            ))
            .hint("Give one of them a shorter name.");
            found.push(Finding::error(wanted.table, error));
        }
    }
}

/// The errors for names that are taken, for a cut-over that is about to happen.
pub fn errors(scope: &Scope<'_>, by_views: bool) -> Vec<Error> {
    let mut found = Vec::new();
    let needed = wanted(scope).into_iter().filter(|wanted| wanted.for_view == by_views);
    for wanted in needed {
        if let Some(kind) = taken(scope, &wanted) {
            found.push(clash(scope, &wanted, &kind).error);
        }
    }
    found
}

/// All names that objects get before the migration ends. None after the cut-over, when all have been
/// given.
fn wanted<'a>(scope: &Scope<'a>) -> Vec<Wanted<'a>> {
    let mut all = Vec::new();
    if scope.options.cut_over {
        return all;
    }
    let options = scope.options;
    let mut add = |table: &'a Table, space: Space, name: String, object: String| {
        all.push(Wanted { table, space, name, object, for_view: false });
    };
    for member in &scope.members {
        let (table, old_id) = (member.table, &member.old_id.name);
        if member.shadow.is_none() {
            let object = format!("the new column for column \"{old_id}\"");
            add(table, Space::Columns(table.oid), member.shadow_name.clone(), object);
        }
        let object = format!("column \"{old_id}\" after the cut-over");
        if let Some(name) = old_column_name(scope, member) {
            add(table, Space::Columns(table.oid), name, object);
        }
        if (scope.is_required(member) || member.old_id.not_null)
            && member.shadow.is_none_or(|shadow| !shadow.not_null)
        {
            let object = format!("the check that no row lacks \"{}\"", member.shadow_name);
            add(table, Space::Constraints(table.oid), check_name(scope, member), object);
        }
        for name in triggers::names(scope, member) {
            let object = format!("a trigger for column \"{old_id}\"");
            add(table, Space::Triggers(table.oid), name, object);
        }
    }
    for table in scope.tables_and_partitions() {
        let space = Space::Relations(table.schema.clone());
        for index in scope.indexes(table).filter(|index| index.is_valid && !scope.is_new(table, index)) {
            let Replacement::Create { name, .. } = replacement_index::replacement(scope, table, index) else {
                continue;
            };
            if replacement_index::existing(scope, table, index).is_none() {
                add(table, space.clone(), name, format!("the replacement of index \"{}\"", index.name));
            }
            if scope.index_stays(table.oid, index) {
                continue;
            }
            let object = format!("index \"{}\" after the cut-over", index.name);
            let old_name = options.old_name(&index.name);
            if index.constraint.is_some() {
                add(table, Space::Constraints(table.oid), old_name.clone(), object.clone());
            }
            // It may be there already, for a primary key that moves.
            if scope.kept_index(table).is_none_or(|kept| kept.name != old_name) {
                add(table, space.clone(), old_name, object);
            }
        }
    }
    for (key, replacement) in scope.foreign_keys() {
        let Some(child) = scope.facts.table(key.child) else { continue };
        if replacement.is_none() {
            let object = format!("the replacement of foreign key \"{}\"", key.name);
            add(child, Space::Constraints(child.oid), foreign_keys::new_name(scope, key), object);
        }
        let object = format!("foreign key \"{}\" after the cut-over", key.name);
        add(child, Space::Constraints(child.oid), options.old_name(&key.name), object.clone());
        for part in &key.parts {
            let Some(partition) = scope.facts.table(part.table) else { continue };
            let space = Space::Constraints(partition.oid);
            if replacement.is_none() && scope.part_of_replacement(key, partition).is_none() {
                let object = format!("the replacement of foreign key \"{}\"", key.name);
                add(partition, space.clone(), foreign_keys::new_name(scope, key), object);
            }
            add(partition, space, options.old_name(&part.name), object.clone());
        }
    }
    for table in scope.tables() {
        all.push(Wanted {
            table,
            space: Space::Relations(table.schema.clone()),
            name: options.old_name(&table.name),
            object: format!("table \"{}\" under its view", table.name),
            for_view: true,
        });
    }
    all
}

/// What has the name already.
fn taken(scope: &Scope<'_>, wanted: &Wanted<'_>) -> Option<String> {
    let (table, name) = (wanted.table, &wanted.name);
    match &wanted.space {
        Space::Columns(_) => table.column_named(name).map(|_| "column".to_owned()),
        Space::Triggers(_) => {
            let is_other = table.triggers.iter().any(|trigger| !trigger.is_ours && trigger.name == *name);
            is_other.then(|| "trigger".to_owned())
        }
        Space::Constraints(oid) => {
            // The check of the migration itself.
            let is_own = scope.members_of(*oid).any(|member| {
                check_name(scope, member) == *name
                    && member.shadow.is_some_and(|shadow| {
                        table
                            .checks
                            .iter()
                            .any(|check| check.name == *name && check.columns == [shadow.number])
                    })
            });
            let named = |names: &[String]| names.contains(name);
            let is_taken = scope
                .facts
                .surroundings
                .as_ref()
                .and_then(|surroundings| surroundings.table(*oid))
                .is_some_and(|uses| named(&uses.constraints))
                || table.checks.iter().any(|check| check.name == *name);
            (is_taken && !is_own).then(|| "constraint".to_owned())
        }
        Space::Relations(schema) => {
            let surroundings = scope.facts.surroundings.as_ref()?;
            let is_in_way = |taken: &&Taken| {
                // A table's row type has the table's name. An index has no type.
                (&taken.schema, &taken.name) == (schema, name) && (wanted.for_view || taken.kind != "type")
            };
            surroundings.taken.iter().find(is_in_way).map(|taken| taken.kind.clone())
        }
    }
}

fn clash(scope: &Scope<'_>, wanted: &Wanted<'_>, kind: &str) -> Finding {
    let table = wanted.table;
    let owner = qualified(&table.schema, &table.name);
    let (state, what) = match &wanted.space {
        Space::Columns(_) => {
            (SqlState::DuplicateColumn, format!("column \"{}\" of table {}", wanted.name, in_message(&owner)))
        }
        Space::Relations(schema) => {
            (SqlState::DuplicateObject, format!("{kind} {}", in_message(&qualified(schema, &wanted.name))))
        }
        _ => {
            (SqlState::DuplicateObject, format!("{kind} \"{}\" of table {}", wanted.name, in_message(&owner)))
        }
    };
    let suffixes = [&scope.options.new_suffix, &scope.options.old_suffix];
    let cut = if suffixes.iter().any(|suffix| is_cut(&wanted.name, suffix)) {
        ", which is cut at 63 bytes"
    } else {
        ""
    };
    let detail = format!("The migration needs this name{cut}, for {}.", wanted.object);
    // The suffixes of an existing migration stay as they are.
    let type_name = scope.options.target.type_name(&scope.facts.extension_schema);
    let is_key = table.column_named(&wanted.name).is_some_and(|column| {
        matches!(wanted.space, Space::Columns(_)) && type_name.ends_with(&column.type_name)
    });
    let hint = if is_key && !scope.options.shadows.is_empty() {
        // The triggers of a partition go when it is detached, and its columns stay.
        format!(
            "If the table was a partition of one of the migration, run ALTER TABLE {owner} DROP COLUMN {}, so that it gets a column of its own, or drop its foreign key to leave it out. Otherwise, rename the column.",
            quoted(&wanted.name)
        )
    } else if matches!(wanted.space, Space::Triggers(_)) || !scope.options.shadows.is_empty() {
        format!("Rename the {kind}.")
    } else {
        format!("Choose another new_suffix or old_suffix, or rename the {kind}.")
    };
    if wanted.for_view {
        let message = format!("{what} already exists, so the migration cannot be cut over by views");
        return Finding::warning(table, message, format!("{detail} {hint}"));
    }
    let error = Error::new(state, format!("{what} already exists")).detail(detail).hint(hint);
    Finding::error(table, error)
}
