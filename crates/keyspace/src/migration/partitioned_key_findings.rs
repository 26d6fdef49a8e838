//! What prevents the migration of the key of a partitioned table, or of columns that refer to it. Most of it is
//! about rows that are looked up. If keys keep their values, none are.

use super::companions::{self, MOST_COMPANIONS};
use super::facts::{ForeignKey, Index, Table};
use super::finding::{Finding, list};
use super::member::Member;
use super::properties::{DefaultOf, default_of};
use super::scope::{Key, Scope};
use crate::error::{Error, SqlState};
use crate::sql::{in_message, qualified, quoted};

/// All findings.
pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    for key in scope.keys.iter().filter(|key| key.column.table.is_partitioned()) {
        of_key(scope, key, found);
    }
    let is_reference = |member: &&Member<'_>| {
        !member.is_key && !scope.keeps_values() && scope.key_of(member).column.table.is_partitioned()
    };
    for member in scope.members.iter().filter(is_reference) {
        found.extend(of_reference(scope, member).map(|error| Finding::error(member.table, error)));
    }
}

fn of_key(scope: &Scope<'_>, key: &Key<'_>, found: &mut Vec<Finding>) {
    let (table, column) = (key.column.table, &key.column.old_id.name);
    let name = key.column.table_sql();
    let shown = in_message(&name);
    let Some(primary) = table.primary_key() else { return };
    let mut refuse = |message: String, detail: &str, hint: String| {
        let error = Error::new(SqlState::FeatureNotSupported, message).detail(detail).hint(hint);
        found.push(Finding::error(table, error));
    };
    let of_name = format!("primary key \"{}\" of partitioned table {shown}", primary.name);
    if !primary.is_valid {
        refuse(
            format!("{of_name} is not valid"),
            "Partitions without it can have rows with the same key.",
            "Add the primary key to each partition, and attach its index with ALTER INDEX ... ATTACH PARTITION.".to_owned(),
        );
    }
    let shadow = key.column.shadow.map(|shadow| shadow.number);
    let others = companions::of_key(table, key.column.old_id.number, shadow);
    let is_looked_up = !scope.keeps_values();
    let mut migrated = others.iter().filter_map(|other| scope.member(table.oid, *other));
    if let Some(other) = migrated.next().filter(|_| is_looked_up) {
        refuse(
            format!(
                "{of_name} contains column \"{}\", which is also part of the migration",
                other.old_id.name
            ),
            "Rows are looked up by the key and the other columns of the primary key, which must keep their values.",
            "Migrate one of the keys after the other.".to_owned(),
        );
    }
    if is_looked_up && others.len() > MOST_COMPANIONS {
        refuse(
            format!("{of_name} has {} columns", primary.keys.len()),
            "Rows are looked up by the key and the other columns of the primary key.",
            format!("Only primary keys of up to {} columns can be migrated.", MOST_COMPANIONS + 1),
        );
    }
    for (of, constraint) in foreign_keys_to_partitions(scope, table) {
        let partition = qualified(&of.schema, &of.name);
        refuse(
            format!("{constraint} refers to partition {}", in_message(&partition)),
            "Only foreign keys that refer to the partitioned table get a counterpart on keys.",
            format!("Until the migration is finalized, drop it, or let it refer to table {name}."),
        );
    }
    if key.column.shadow.is_none() {
        let names: Vec<String> = others
            .iter()
            .filter_map(|other| table.column(*other))
            .map(|column| column.name.clone())
            .collect();
        let message = format!("the key of partitioned table {shown} is column \"{column}\"");
        let detail = if is_looked_up {
            format!("Rows are found by it together with {}.", list(&names))
        } else {
            format!("The primary key contains {}, too.", list(&names))
        };
        let error = Error::new(SqlState::ObjectNotInPrerequisiteState, message).detail(detail);
        found.push(Finding::note(table, error));
    }
}

/// The foreign keys that refer to a partition of a table alone, each with the partition and its name.
fn foreign_keys_to_partitions<'a>(scope: &Scope<'a>, table: &Table) -> Vec<(&'a Table, String)> {
    let mut found = Vec::new();
    for partition in scope.partitions_of(table.oid) {
        let is_to_it = |key: &&ForeignKey| key.parent == partition.oid;
        let inside = scope.facts.foreign_keys.iter().filter(is_to_it).map(|key| {
            let child = scope.facts.table(key.child);
            let child = child.map(|child| qualified(&child.schema, &child.name)).unwrap_or_default();
            format!("foreign key \"{}\" of table {child}", key.name)
        });
        let constraints = |index: &'a Index| index.constraint.as_ref().map(|one| &one.dependents);
        let outside = partition.indexes.iter().filter_map(constraints).flatten();
        let outside = outside.filter(|name| name.starts_with("foreign key ")).cloned();
        found.extend(inside.chain(outside).map(|name| (partition, name)));
    }
    found
}

/// Why a column cannot refer to the key of a partitioned table.
fn of_reference(scope: &Scope<'_>, member: &Member<'_>) -> Option<Error> {
    let key = &scope.key_of(member).column;
    let (name, other) = (member.table_sql(), key.table_sql());
    let (shown, shown_other) = (in_message(&name), in_message(&other));
    let of = format!("column \"{}\" of table {shown}", member.old_id.name);
    let refused = |message: String| Error::new(SqlState::FeatureNotSupported, message);
    if member.table.owner != key.table.owner {
        let message = format!("tables {shown} and {shown_other} have different owners");
        return Some(
            refused(message)
                .detail("Keys of a partitioned table can be looked up only for tables of the same owner.")
                .hint(format!("ALTER TABLE {name} OWNER TO {}.", quoted(&key.table.owner))),
        );
    }
    if member.companions.is_empty() {
        let message = format!(
            "{of} refers to partitioned table {shown_other} without a foreign key on all columns of its primary key"
        );
        return Some(
            refused(message)
                .detail("An id of a partitioned table is unique only together with the other columns of the primary key. Only a foreign key says which columns refer to them.")
                .hint("Add such a foreign key, or drop the column from the migration."),
        );
    }
    for companion in &member.companions {
        let (Some(own), Some(of_key)) =
            (member.table.column(companion.own), key.table.column(companion.of_key))
        else {
            continue;
        };
        let is_same = own.type_name == of_key.type_name && own.collation == of_key.collation;
        if !is_same || !companions::is_fit(&own.type_name) || of_key.is_nondeterministic {
            let message = format!(
                "column \"{}\" of table {shown} is of type {}, and column \"{}\" of table {shown_other} of type {}",
                own.name, own.declared_type, of_key.name, of_key.declared_type
            );
            return Some(
                Error::new(SqlState::DatatypeMismatch, message)
                    .detail("Rows are looked up by them. They must have the same type, a number, uuid, text, date, timestamp, or boolean, and the same collation, which must be deterministic.")
                    .hint("Change the type of one of them with ALTER TABLE ... ALTER COLUMN ... TYPE."),
            );
        }
    }
    (matches!(default_of(member.old_id), DefaultOf::Row(_))).then(|| {
        refused(format!("{of} has a default"))
            .detail(
                "The default is one id, and an id of a partitioned table does not say which row it means.",
            )
            .hint(format!("ALTER TABLE {name} ALTER COLUMN {} DROP DEFAULT.", quoted(&member.old_id.name)))
    })
}
