//! Keys whose old ids come from the application (fault C03), and sequences that are near their end
//! (fault C18).
//!
//! After the cut-over, a new row brings its key and not its old id, which is still the primary key.

use super::facts::Table;
use super::finding::{Finding, Severity};
use super::key_reference;
use super::names::suffixed;
use super::old_id::IdKind;
use super::scope::{Key, Scope};
use super::surroundings::SequenceLeft;
use crate::error::{Error, SqlState, capitalized};
use crate::sql::{in_message, literal, qualified, quoted};

/// A sequence with less than this part left is near its end.
const SMALL_PART: i64 = 10;

pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    for key in &scope.keys {
        let table = key.column.table;
        if let Some(error) = missing_default(scope, key) {
            found.push(Finding { severity: Severity::Warning, table: table.oid, error });
        }
        let source = scope.facts.surroundings.as_ref().and_then(|facts| facts.key(table.oid));
        for sequence in source.into_iter().flat_map(|source| &source.sequences) {
            near_end(scope, table, &key.column.old_id.name, sequence, found);
        }
    }
}

/// Why new rows cannot be inserted after the cut-over, for keys without a default.
pub fn missing_defaults(scope: &Scope<'_>) -> Vec<Error> {
    scope.keys.iter().filter_map(|key| missing_default(scope, key)).collect()
}

fn missing_default(scope: &Scope<'_>, key: &Key<'_>) -> Option<Error> {
    let source = scope.facts.surroundings.as_ref()?.key(key.column.table.oid)?;
    // A key that keeps its value fills the old id, which may be NULL then. One that refers to another key
    // has its values.
    let refers = key_reference::parent(scope.facts, key).is_some();
    if source.has_default || scope.keeps_values() || refers {
        return None;
    }
    let table = key.column.table;
    let (name, column) = (key.column.table_sql(), &key.column.old_id.name);
    let sequence = qualified(&table.schema, &suggested_name(scope, table, column));
    let after = scope
        .facts
        .key_ranges
        .iter()
        .find(|range| range.0 == table.oid)
        .map_or_else(String::new, |range| format!(" START WITH {}", beyond(range.2)));
    let after_cut_over = if scope.options.cut_over { "" } else { "After the cut-over, " };
    let new = capitalized(&format!(
        "{after_cut_over}new rows come with a key and without an old id, which is NOT NULL until the migration is finalized. Every INSERT would fail."
    ));
    let error = Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        format!("column \"{column}\" of table {} has no default", in_message(&name)),
    )
    .detail(new);
    let generated = match key.column.old_id.id_kind() {
        Some(IdKind::Uuid) => Some("gen_random_uuid()"),
        Some(IdKind::Text) => Some("gen_random_uuid()::text"),
        Some(IdKind::Integer) | None => None,
    };
    if let Some(generated) = generated {
        return Some(error.hint(format!(
            "Generate them, with this or another expression that gives unique values: ALTER TABLE {name} ALTER COLUMN {} SET DEFAULT {generated}.",
            quoted(column)
        )));
    }
    Some(
        error.hint(format!(
            "If the application draws its ids from a sequence, make that sequence the default. Otherwise use a new one that starts beyond every id that the application can still assign, for example: CREATE SEQUENCE {sequence}{after} OWNED BY {name}.{}; ALTER TABLE {name} ALTER COLUMN {} SET DEFAULT nextval({}).",
            quoted(column),
            quoted(column),
            literal(&sequence)
        )),
    )
}

/// The names of relations that a suggestion uses, each with its schema. The glue looks up which of
/// them are taken.
pub fn relation_names(scope: &Scope<'_>) -> Vec<(String, String)> {
    let name = |key: &Key<'_>| {
        let table = key.column.table;
        (table.schema.clone(), usual_name(table, &key.column.old_id.name))
    };
    scope.keys.iter().map(name).collect()
}

/// The name that `serial` would choose.
fn usual_name(table: &Table, column: &str) -> String {
    suffixed(&format!("{}_{column}", table.name), "_seq")
}

/// A free name for the sequence.
fn suggested_name(scope: &Scope<'_>, table: &Table, column: &str) -> String {
    let name = usual_name(table, column);
    let is_taken = scope.facts.surroundings.as_ref().is_some_and(|facts| {
        facts.taken.iter().any(|taken| (&taken.schema, &taken.name) == (&table.schema, &name))
    });
    if is_taken { suffixed(&format!("{}_{column}", table.name), "_old_seq") } else { name }
}

/// A round number well beyond the greatest old id.
fn beyond(greatest: i64) -> i64 {
    const STEP: i64 = 1_000_000;
    (greatest.max(0) / STEP).saturating_add(2).saturating_mul(STEP)
}

fn near_end(
    scope: &Scope<'_>,
    table: &Table,
    column: &str,
    sequence: &SequenceLeft,
    found: &mut Vec<Finding>,
) {
    if sequence.left > sequence.all / SMALL_PART {
        return;
    }
    // Afterwards it draws keys.
    let end = match (scope.keeps_values(), scope.options.cut_over) {
        (true, true) => return,
        (true, false) => "cut over",
        (false, _) => "finalized",
    };
    let name = qualified(&table.schema, &table.name);
    found.push(Finding::warning(
        table,
        format!(
            "sequence {} has {} values left for column \"{column}\" of table {}", sequence.name, sequence.left.max(0), in_message(&name)),
        format!("New rows draw old ids from it until the migration is {end}. If they run out before, every INSERT fails."),
    ));
}
