//! What gives a column its values, if keys keep theirs: an identity, or a default with its sequence.
//! It moves to the new column at the cut-over, and back at its rollback.
//!
//! A sequence becomes `bigint`, which lifts a MAXVALUE that nobody has chosen. It stays the same
//! sequence, with its position, class, privileges and comment. PostgreSQL has no command that gives the
//! sequence of an identity column to another column, so a function of ours does it.
//!
//! A rollback makes the sequence of an identity column as wide as that column again. Another one stays
//! `bigint`: other columns may draw from it.

use super::facts::{Column, Sequence};
use super::finding::Finding;
use super::member::Member;
use super::old_id::range;
use super::scope::Scope;
use crate::error::{Error, SqlState};
use crate::sql::{in_message, literal, quoted};

/// The type of keys that keep their values.
const WIDE: &str = "bigint";

/// The sequences of a column. For a partition, those that the column of its table does not have, too.
fn own_sequences<'a>(scope: &Scope<'_>, member: &Member<'_>, of: &'a Column) -> Vec<&'a Sequence> {
    let top = scope.of_top(member);
    let above = if of.number == member.old_id.number { Some(top.old_id) } else { top.shadow };
    let is_of_top = |sequence: &&Sequence| {
        member.table.parent.is_some()
            && above.is_some_and(|above| above.sequences.iter().any(|one| one.name == sequence.name))
    };
    of.sequences.iter().filter(|sequence| !is_of_top(sequence)).collect()
}

/// The statements of the cut-over. `old` and `key` are the names that the columns have then. A partition can
/// have a default of its own, and up to PostgreSQL 16 an identity.
pub(super) fn cut_over(scope: &Scope<'_>, member: &Member<'_>, old: &str, key: &str) -> Vec<String> {
    let narrow = |sequence: &&Sequence| sequence.type_name != WIDE;
    let widened = own_sequences(scope, member, member.old_id).into_iter().filter(narrow);
    let mut statements: Vec<String> =
        widened.map(|sequence| format!("ALTER SEQUENCE {} AS {WIDE}", sequence.name)).collect();
    statements.extend(moved(scope, member, member.old_id, (old, key)));
    statements
}

/// The statements of its rollback.
pub(super) fn roll_back(scope: &Scope<'_>, member: &Member<'_>, old: &str, key: &str) -> Vec<String> {
    let Some(shadow) = member.shadow else { return Vec::new() };
    let type_name = &member.old_id.type_name;
    let narrowed = |sequence: &&Sequence| sequence.kind == IDENTITY && sequence.type_name != *type_name;
    let mut statements = Vec::new();
    for sequence in own_sequences(scope, member, shadow).into_iter().filter(narrowed) {
        // A MAXVALUE of `bigint` becomes that of the other type by itself.
        let is_beyond = sequence.max != i64::MAX && sequence.max > range(type_name).1;
        let max = if is_beyond { " NO MAXVALUE" } else { "" };
        statements.push(format!("ALTER SEQUENCE {} AS {type_name}{max}", sequence.name));
    }
    statements.extend(moved(scope, member, shadow, (key, old)));
    statements
}

/// The statements that move a default.
fn moved_default(member: &Member<'_>, default: &str, names: (&str, &str)) -> Vec<String> {
    // A partition can have another default, or none.
    let only = if member.table.is_partitioned() { "ONLY " } else { "" };
    let alter =
        |column: &str| format!("ALTER TABLE {only}{} ALTER COLUMN {}", member.table_sql(), quoted(column));
    vec![format!("{} DROP DEFAULT", alter(names.0)), format!("{} SET DEFAULT {default}", alter(names.1))]
}

/// The statements that move everything from one column to the other one.
fn moved(scope: &Scope<'_>, member: &Member<'_>, from: &Column, names: (&str, &str)) -> Vec<String> {
    let table = member.table_sql();
    let mut statements = Vec::new();
    let sequences = own_sequences(scope, member, from);
    // Since PostgreSQL 17, the identity of a partition is that of its table.
    let is_identity = sequences.iter().any(|sequence| sequence.kind == IDENTITY);
    if is_identity {
        let (old, key) = (member.old_id.number, member.shadow_number);
        let to = if from.number == old { key } else { old };
        statements.push(format!(
            "SELECT {}.key_migration_move_identity({}::pg_catalog.regclass, {}::pg_catalog.int2, {to}::pg_catalog.int2)",
            scope.facts.internal_schema,
            literal(&table),
            from.number
        ));
    } else if let Some(default) = &from.default {
        statements.extend(moved_default(member, default, names));
    }
    let owned = sequences.into_iter().filter(|sequence| sequence.kind == OWNED);
    let to = quoted(names.1);
    statements
        .extend(owned.map(|sequence| format!("ALTER SEQUENCE {} OWNED BY {table}.{to}", sequence.name)));
    statements
}

/// The kinds of sequences that belong to a column.
const IDENTITY: &str = "identity";
const OWNED: &str = "owned";

/// Refuses sequences that the caller may not alter, and warns of those that end where old ids do.
pub(super) fn find(scope: &Scope<'_>, member: &Member<'_>, found: &mut Vec<Finding>) {
    let (table, column) = (member.table_sql(), &member.old_id.name);
    for sequence in own_sequences(scope, member, member.old_id) {
        let of = format!("column \"{column}\" of table {}", in_message(&table));
        if !sequence.is_owner {
            let error = Error::new(
                SqlState::InsufficientPrivilege,
                format!("must be owner of sequence {}", sequence.name),
            )
            .detail(format!("It gives {of} its values, and becomes bigint at the cut-over."))
            .hint("Run the migration as a role that owns the sequence, too.");
            found.push(Finding::error(member.table, error));
        }
        let is_chosen = sequence.max != range(&sequence.type_name).1;
        if is_chosen && sequence.max <= range(&member.old_id.type_name).1 {
            found.push(Finding::warning(
                member.table,
                format!("sequence {} of {of} ends at its MAXVALUE {}", sequence.name, sequence.max),
                format!("It keeps this MAXVALUE at the cut-over. If it should not, run ALTER SEQUENCE {} NO MAXVALUE after the cut-over.", sequence.name),
            ));
        }
    }
}

/// The queries for the positions of the sequences of a member after the cut-over, each with the name of
/// the sequence. Their values may be beyond what the old column can hold.
pub fn positions(member: &Member<'_>) -> Vec<(String, String)> {
    let sequences = member.shadow.into_iter().flat_map(|shadow| &shadow.sequences);
    let limit = range(&member.old_id.type_name).1;
    sequences
        .map(|sequence| {
            let query = format!(
                "SELECT s.last_value FROM {} AS s WHERE s.last_value OPERATOR(pg_catalog.>) '{limit}'::pg_catalog.int8",
                sequence.name
            );
            (sequence.name.clone(), query)
        })
        .collect()
}
