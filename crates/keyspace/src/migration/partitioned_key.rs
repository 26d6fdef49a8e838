//! Which column of a partitioned table is its key.
//!
//! The primary key of a partitioned table contains all columns by which the table and its partitions are
//! partitioned. The key is the column of it by which none of them is: PostgreSQL routes a row to its
//! partition before a trigger could fill in the key.

use super::facts::{Column, Facts, Table};
use super::finding::list;
use super::numeric::is_numeric;
use crate::error::{Error, SqlState};
use crate::sql::{in_message, qualified};

/// The columns by which a table and its partitions are partitioned, with the names that they have in the
/// table.
fn partitioned_by(facts: &Facts, table: &Table) -> Vec<i16> {
    let levels = std::iter::once(table).chain(facts.partitions_of(table.oid));
    let names = levels.flat_map(|level| {
        level.partition_columns.iter().filter_map(|column| Some(level.column(*column)?.name.as_str()))
    });
    names.filter_map(|name| Some(table.column_named(name)?.number)).collect()
}

/// The columns of the primary key that can be ids, and by which nothing is partitioned. One of type `numeric`
/// may be an amount, so it is one only if there is no other.
fn candidates<'a>(facts: &Facts, table: &'a Table) -> Vec<&'a Column> {
    let by = partitioned_by(facts, table);
    let primary = table.primary_key().into_iter().flat_map(|primary| &primary.keys);
    let columns = primary.filter_map(|key| table.column(key.column));
    let is_fit = |column: &&Column| column.id_kind().is_some() && !by.contains(&column.number);
    let all: Vec<&Column> = columns.filter(is_fit).collect();
    let are_numeric = all.iter().all(|column| is_numeric(column));
    all.into_iter().filter(|column| are_numeric || !is_numeric(column)).collect()
}

/// The column by which rows of a partitioned table are referred to: the only such column, or the only one
/// whose values PostgreSQL generates. src/migration/facts.sql makes the same choice.
pub fn id_of(facts: &Facts, table: &Table) -> Option<i16> {
    let all = candidates(facts, table);
    let mut generated = all.iter().filter(|column| is_generated(column));
    match (all.as_slice(), generated.next(), generated.next()) {
        ([only], ..) => Some(only.number),
        (_, Some(one), None) => Some(one.number),
        _ => None,
    }
}

/// Whether a column has an identity, or a default that calls a function.
fn is_generated(column: &Column) -> bool {
    !column.identity.is_empty() || column.default.as_ref().is_some_and(|default| default.contains('('))
}

/// Refuses a partitioned table whose key cannot be migrated. `column` is the key, if it is known, and `shadow`
/// the column of keys, to which the primary key may have moved.
///
/// # Errors
/// 0A000 if the table is partitioned by its key, or if it is not clear which column is the key.
pub(super) fn check(
    facts: &Facts,
    table: &Table,
    column: Option<i16>,
    shadow: Option<i16>,
) -> Result<(), Error> {
    let Some(primary) = table.primary_key().filter(|_| table.is_partitioned()) else { return Ok(()) };
    let name = qualified(&table.schema, &table.name);
    let name = in_message(&name);
    let by = partitioned_by(facts, table);
    let of_primary: Vec<&Column> = primary.keys.iter().filter_map(|key| table.column(key.column)).collect();
    let is_id = |number: i16| {
        column.map_or_else(
            || id_of(facts, table) == Some(number),
            |key| key == number || shadow == Some(number),
        )
    };
    // What PostgreSQL generates is an id, and says more than what is left.
    let is_key = |one: &&&Column| {
        by.contains(&one.number)
            && one.id_kind().is_some()
            && column.map_or_else(|| is_generated(one), |key| key == one.number)
    };
    let by_key = of_primary.iter().find(is_key).or_else(|| {
        // Nothing else can be the key.
        let is_left = column.is_none() && candidates(facts, table).is_empty();
        of_primary.iter().find(|_| is_left)
    });
    if let Some(key) = by_key {
        let message = format!("table {name} is partitioned by its key, column \"{}\"", key.name);
        return Err(Error::new(SqlState::FeatureNotSupported, message)
            .detail("PostgreSQL routes a row to its partition before a trigger can fill in the key, and a partition cannot be given other bounds.")
            .hint("Create a table that is partitioned by the new key, or by another column, and move the rows."));
    }
    if !of_primary.iter().any(|one| is_id(one.number)) {
        let names: Vec<String> = candidates(facts, table).iter().map(|column| column.name.clone()).collect();
        let message = format!("it is not clear by which column rows of table {name} are referred to");
        return Err(Error::new(SqlState::FeatureNotSupported, message)
            .detail(format!("The primary key contains {}, by which the table is not partitioned. One of them must have an identity, or a default that calls a function, and the others none.", list(&names)))
            .hint("Give the key a default that generates its values, for example nextval() of a sequence."));
    }
    Ok(())
}
