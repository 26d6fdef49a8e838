//! The columns by which, together with an old id, a row of a partitioned table is found.
//!
//! PostgreSQL keeps an id of a partitioned table unique only together with the columns by which the table
//! is partitioned. They are all in its primary key, and in each foreign key that refers to it. So a
//! reference is looked up by its old id and by these columns, its companions: they say in which partition
//! the row is, and the index of that partition finds it.

use super::facts::{Facts, ForeignKey, Table};
use super::foreign_key_notes;
use super::member::Companion;

/// The most companions that an old id can have.
pub const MOST_COMPANIONS: usize = 7;

/// The types that companions can have, with those of their operators that all of their values have. Those
/// of other types may be in any schema.
const TYPES: [&str; 13] = [
    "smallint",
    "integer",
    "bigint",
    "numeric",
    "uuid",
    "text",
    "character varying",
    "character",
    "date",
    "timestamp with time zone",
    "timestamp without time zone",
    "boolean",
    "oid",
];

/// Whether a companion can be of this type.
pub(super) fn is_fit(type_name: &str) -> bool {
    TYPES.contains(&type_name)
}

/// A column of old ids, while the columns of a migration are collected.
#[derive(Clone, Copy)]
pub(super) struct OldId {
    pub(super) table: u32,
    pub(super) column: i16,
    /// That of its key, if that exists.
    pub(super) shadow: Option<i16>,
    pub(super) is_key: bool,
}

impl OldId {
    fn is(&self, table: u32, column: i16) -> bool {
        self.table == table && (self.column == column || self.shadow == Some(column))
    }
}

/// The other columns of the primary key of a partitioned table; none for other tables. `shadow` is the
/// column of keys, to which the primary key may have moved.
pub(super) fn of_key(table: &Table, column: i16, shadow: Option<i16>) -> Vec<i16> {
    let primary = table.primary_key().filter(|_| table.is_partitioned());
    let keys = primary.into_iter().flat_map(|primary| &primary.keys);
    keys.map(|key| key.column).filter(|other| *other != column && Some(*other) != shadow).collect()
}

/// The companions of a column that refers to the key of a partitioned table, in the order of its primary
/// key; `None` if no foreign key says which ones they are. `all` are the columns of the migration.
pub(super) fn of_reference(
    facts: &Facts,
    all: &[OldId],
    key: (&Table, i16),
    reference: OldId,
) -> Option<Vec<Companion>> {
    let shadow = all.iter().find(|one| one.is_key && one.is(key.0.oid, key.1)).and_then(|one| one.shadow);
    let wanted = of_key(key.0, key.1, shadow);
    // A rollback may have added some to partitions only.
    let to_come = foreign_key_notes::to_come(facts);
    let foreign_keys: Vec<&ForeignKey> = facts.foreign_keys.iter().chain(&to_come).collect();
    find(&foreign_keys, all, &wanted, reference, &mut Vec::new())
}

fn find(
    foreign_keys: &[&ForeignKey],
    all: &[OldId],
    wanted: &[i16],
    reference: OldId,
    seen: &mut Vec<(u32, i16)>,
) -> Option<Vec<Companion>> {
    if reference.is_key {
        return Some(wanted.iter().map(|column| Companion { own: *column, of_key: *column }).collect());
    }
    if seen.contains(&(reference.table, reference.column)) {
        return None;
    }
    seen.push((reference.table, reference.column));
    let of_foreign_key = |foreign: &ForeignKey| {
        let pairs = || foreign.child_columns.iter().copied().zip(foreign.parent_columns.iter().copied());
        let (_, to) = pairs().find(|(own, _)| reference.is(foreign.child, *own))?;
        let next = all.iter().find(|one| one.is(foreign.parent, to))?;
        // A table in between refers to the row by columns of its own.
        let above = find(foreign_keys, all, wanted, *next, seen)?;
        let companion = |above: &Companion| {
            let (own, _) = pairs().find(|(_, to)| *to == above.own)?;
            Some(Companion { own, of_key: above.of_key })
        };
        above.iter().map(companion).collect::<Option<Vec<Companion>>>()
    };
    foreign_keys.iter().copied().find_map(of_foreign_key)
}
