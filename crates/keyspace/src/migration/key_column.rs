//! Which column of a table is its key, and why a key cannot be migrated.

use super::facts::{Column, Facts, Index, Table};
use super::finding::list;
use super::numeric::is_numeric;
use super::old_id::IdKind;
use super::options::{KeyOptions, Options};
use super::partitioned_key;
use crate::error::{Error, SqlState};
use crate::sql::{in_message, qualified, quoted};

/// The column of a key.
///
/// # Errors
/// 42809 if the table is not an ordinary or a partitioned one, 42704 if it has no primary key, 0A000 if no
/// column of its primary key is unique alone, if it is partitioned by its key, or if the collation of the
/// column is nondeterministic, 42804 if the column is of a wrong type, 42703 if it no longer exists.
pub(super) fn key_column<'a>(
    facts: &Facts,
    root: &'a Table,
    key: &KeyOptions,
    options: &Options,
) -> Result<&'a Column, Error> {
    let target = options.target;
    let name = qualified(&root.schema, &root.name);
    if root.kind != "r" && !root.is_partitioned() {
        let message = format!("{} is not an ordinary or partitioned table", in_message(&name));
        return Err(Error::new(SqlState::WrongObjectType, message));
    }
    let shadow = key.column.and_then(|column| options.shadow(root.oid, column));
    partitioned_key::check(facts, root, key.column, shadow)?;
    let number = match key.column {
        Some(number) => number,
        None => {
            let index = root.primary_key().ok_or_else(|| {
                Error::new(
                    SqlState::UndefinedObject,
                    format!("table {} has no primary key", in_message(&name)),
                )
                .detail("Only a primary key can be migrated.")
                .hint("Add one with ALTER TABLE ... ADD PRIMARY KEY.")
            })?;
            let id = if root.is_partitioned() { partitioned_key::id_of(facts, root) } else { id_of(root) };
            id.ok_or_else(|| not_alone(root, index))?
        }
    };
    let column = root.column(number).ok_or_else(|| no_longer_exists(&name, options))?;
    let of_type = || {
        if root.primary_key().is_some_and(|primary| is_in(primary, number)) {
            return format!(
                "the primary key of table {} is of type {}",
                in_message(&name),
                column.declared_type
            );
        }
        format!(
            "column \"{}\" of table {}, to which foreign keys refer, is of type {}",
            column.name,
            in_message(&name),
            column.declared_type
        )
    };
    let Some(kind) = column.id_kind() else {
        return Err(Error::new(SqlState::DatatypeMismatch, of_type())
            .detail("Only keys of type smallint, integer, bigint, numeric, uuid, text, or character varying can be migrated.")
            .hint(format!("Change its type first, with ALTER TABLE {name} ALTER COLUMN {} TYPE.", quoted(&column.name))));
    };
    if target.keeps_values() && (kind != IdKind::Integer || is_numeric(column)) {
        return Err(Error::new(SqlState::DatatypeMismatch, of_type())
            .detail("Only keys of type smallint or integer can become bigint.")
            .hint("Use target \"uuid\" or \"ulid\"."));
    }
    if column.is_nondeterministic {
        return Err(nondeterministic(root, column));
    }
    if target.keeps_values() && column.type_name == "bigint" {
        let message = of_type().replace(" is of type ", " is already of type ");
        return Err(Error::new(SqlState::DatatypeMismatch, message)
            .detail("Only keys of type smallint or integer can become bigint."));
    }
    Ok(column)
}

fn no_longer_exists(name: &str, options: &Options) -> Error {
    if options.cut_over {
        let message = format!("the old ids of table {} no longer exist", in_message(name));
        return Error::new(SqlState::UndefinedColumn, message)
            .detail("Without them, the migration can neither be rolled back nor compared.")
            .hint("CALL key_migration_finalize() with keep_old_ids => true to end it.");
    }
    let message = format!("the key column of table {} no longer exists", in_message(name));
    Error::new(SqlState::UndefinedColumn, message).hint("CALL key_migration_rollback() to end the migration.")
}

/// The column by which rows are referred to. It need not be that of the primary key: a table can have
/// a primary key that means something, and next to it an id to which all foreign keys refer.
///
/// That of a primary key of one column, if foreign keys refer to it or if it has a default. Otherwise
/// the column to which most foreign keys refer, of those that are unique without others; it must be
/// NOT NULL. Without such foreign keys that of the primary key: its only one, or the only one that is unique alone.
/// [`partitioned_key::id_of`] is that of a partitioned table. src/migration/facts.sql makes the same choice.
pub fn id_of(table: &Table) -> Option<i16> {
    let primary = table.primary_key()?;
    let only = match primary.keys.as_slice() {
        [key] => Some(key.column),
        _ => None,
    };
    let of_primary = only.and_then(|only| table.column(only));
    let is_used =
        |column: &Column| column.foreign_keys > 0 || column.default.is_some() || !column.identity.is_empty();
    if of_primary.is_some_and(is_used) {
        return only;
    }
    let most = most_referred(table);
    if most.is_empty() {
        return only.or_else(|| one(unique_alone(table, primary)));
    }
    let numbers = || most.iter().map(|column| column.number);
    let is_filled = most.iter().all(|column| column.not_null);
    one(numbers().filter(|column| is_in(primary, *column))).or_else(|| one(numbers()).filter(|_| is_filled))
}

/// The only item.
fn one(mut items: impl Iterator<Item = i16>) -> Option<i16> {
    let first = items.next();
    first.filter(|_| items.next().is_none())
}

pub(super) fn is_in(index: &Index, column: i16) -> bool {
    index.keys.iter().any(|key| key.column == column)
}

/// The columns to which most foreign keys refer, of those that are unique without others.
fn most_referred(table: &Table) -> Vec<&Column> {
    let alone = || table.columns.iter().filter(|column| is_unique_alone(table, column.number));
    let most = alone().map(|column| column.foreign_keys).max().unwrap_or(0);
    alone().filter(|column| most > 0 && column.foreign_keys == most).collect()
}

/// Whether an index is that of the key, which gets the included columns: the primary key, unless the
/// column is no part of it.
pub(super) fn is_index_of_key(table: &Table, index: &Index, column: i16) -> bool {
    if table.primary_key().is_some_and(|primary| is_in(primary, column)) {
        return index.is_primary;
    }
    let is_alone = matches!(index.keys.as_slice(), [key] if key.column == column);
    is_alone && index.is_unique && index.predicate.is_none()
}

/// The columns of a primary key that are unique without the others.
fn unique_alone<'a>(table: &'a Table, primary: &'a Index) -> impl Iterator<Item = i16> {
    primary.keys.iter().map(|key| key.column).filter(|column| is_unique_alone(table, *column))
}

/// Whether an index keeps a column unique by which rows can be looked up.
pub(super) fn is_unique_alone(table: &Table, column: i16) -> bool {
    let of_column = |index: &Index| matches!(index.keys.as_slice(), [key] if key.column == column && !key.is_nondeterministic);
    let unique = |index: &&Index| index.is_unique && index.is_valid && index.predicate.is_none();
    table.indexes.iter().filter(unique).any(of_column)
}

/// The error for a primary key of several columns, if none of them is unique alone, or more than one.
fn not_alone(table: &Table, primary: &Index) -> Error {
    let name = qualified(&table.schema, &table.name);
    if table.is_partition {
        return Error::new(
            SqlState::FeatureNotSupported,
            format!("table {} is a partition", in_message(&name)),
        )
        .detail("Columns cannot be added to a partition alone.")
        .hint("Migrate the key of the partitioned table.");
    }
    let most = most_referred(table);
    if let [only] = most.as_slice() {
        let message = format!("column \"{}\" of table {} can be NULL", only.name, in_message(&name));
        return Error::new(SqlState::FeatureNotSupported, message)
            .detail("Foreign keys refer to it, and not to the primary key. A row needs a value by which it is referred to.")
            .hint(format!("ALTER TABLE {name} ALTER COLUMN {} SET NOT NULL.", quoted(&only.name)));
    }
    if !most.is_empty() {
        let names: Vec<String> = most.iter().map(|column| column.name.clone()).collect();
        let message =
            format!("it is not clear by which column rows of table {} are referred to", in_message(&name));
        return Error::new(SqlState::FeatureNotSupported, message)
            .detail(format!("As many foreign keys refer to each of {}.", list(&names)))
            .hint("Until the migration is finalized, drop those foreign keys that refer to the columns that stay.");
    }
    let message =
        format!("the primary key of table {} has {} columns", in_message(&name), primary.keys.len());
    let error = Error::new(SqlState::FeatureNotSupported, message);
    if unique_alone(table, primary).next().is_some() {
        return error
            .detail("More than one of them is unique without the others, so it is not clear by which one rows are referred to.")
            .hint("Until the migration is finalized, drop the unique indexes on the others.");
    }
    // The id usually comes last, but a date cannot be one.
    let columns = primary.keys.iter().rev().filter_map(|key| table.column(key.column));
    let id = columns.filter(|column| column.id_kind().is_some()).map(|column| quoted(&column.name)).next();
    error
        .detail("Rows are referred to by one column, but none of them is unique without the others.")
        .hint(format!(
            "If the values of one column are unique, add an index, for example: CREATE UNIQUE INDEX CONCURRENTLY ON {name} ({}). If one of the columns is a reference, migrate the key of the table that it refers to.",
            id.unwrap_or_default()
        ))
}

/// The error for a column whose collation does not tell all values apart that have different bytes.
pub(super) fn nondeterministic(table: &Table, column: &Column) -> Error {
    let name = qualified(&table.schema, &table.name);
    let message =
        format!("column \"{}\" of table {} has a nondeterministic collation", column.name, in_message(&name));
    Error::new(SqlState::FeatureNotSupported, message)
        .detail("Texts that are equal in it can have different bytes, from which different keys would be derived.")
        .hint(format!(
            "If no equal texts differ, use a deterministic collation: ALTER TABLE {name} ALTER COLUMN {} TYPE {} COLLATE \"C\".",
            quoted(&column.name),
            column.declared_type
        ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::migration::Target;
    use crate::migration::facts::IndexKey;

    fn index(is_primary: bool, columns: &[i16]) -> Index {
        let key = |column: &i16| IndexKey { column: *column, ..IndexKey::default() };
        Index {
            is_primary,
            is_unique: true,
            is_valid: true,
            keys: columns.iter().map(key).collect(),
            ..Index::default()
        }
    }

    fn table(types: &[&str], indexes: Vec<Index>) -> Table {
        let column = |(number, type_name): (i16, &&str)| Column {
            number,
            name: format!("c{number}"),
            type_name: (*type_name).to_owned(),
            declared_type: (*type_name).to_owned(),
            ..Column::default()
        };
        Table {
            schema: "s".to_owned(),
            name: "t".to_owned(),
            kind: "r".to_owned(),
            columns: (1..).zip(types).map(column).collect(),
            indexes,
            ..Table::default()
        }
    }

    fn found(table: &Table, target: Target) -> Result<i16, Error> {
        let found = key_column(&Facts::default(), table, &KeyOptions::default(), &Options::new(target));
        found.map(|column| column.number)
    }

    #[test]
    fn the_column_of_a_composite_key_is_the_one_that_is_unique_alone() {
        let types = ["integer", "bigint", "date"];
        let with = |others: Vec<Index>| table(&types, [vec![index(true, &[1, 2, 3])], others].concat());
        let refused = found(&with(Vec::new()), Target::Uuid).unwrap_err();
        assert_eq!(refused.message, "the primary key of table \"s.t\" has 3 columns");
        // A date is no id.
        assert!(refused.hint.unwrap().contains("ON s.t (c2)."));
        assert_eq!(found(&with(vec![index(false, &[2])]), Target::Uuid), Ok(2));
        let partial = Index { predicate: Some("(c1 > 5)".to_owned()), ..index(false, &[1]) };
        let interrupted = Index { is_valid: false, ..index(false, &[1]) };
        let others = vec![index(false, &[2]), partial, interrupted, index(false, &[1, 3])];
        assert_eq!(found(&with(others), Target::Uuid), Ok(2));
        let refused = found(&with(vec![index(false, &[1]), index(false, &[2])]), Target::Uuid).unwrap_err();
        assert!(refused.detail.unwrap().starts_with("More than one"));
    }

    #[test]
    fn the_key_is_the_column_that_foreign_keys_refer_to() {
        // Columns with the number of foreign keys to them, next to a primary key on some columns.
        let with = |primary: &[i16], foreign_keys: &[u32]| {
            let indexes = [vec![index(true, primary)], (1..=3).map(|one| index(false, &[one])).collect()];
            let mut table = table(&["text", "integer", "integer"], indexes.concat());
            for (column, count) in table.columns.iter_mut().zip(foreign_keys) {
                column.foreign_keys = *count;
                column.not_null = true;
            }
            table
        };
        assert_eq!(id_of(&with(&[1], &[0, 5, 1])), Some(2));
        assert_eq!(id_of(&with(&[1, 3], &[0, 5, 1])), Some(2));
        assert_eq!(id_of(&with(&[1, 3], &[2, 5, 5])), Some(3));
        // It has a use of its own.
        assert_eq!(id_of(&with(&[1], &[1, 5, 1])), Some(1));
        let mut drawn = with(&[3], &[0, 5, 0]);
        assert_eq!(id_of(&drawn), Some(2));
        drawn.columns.iter_mut().for_each(|column| column.identity = "d".to_owned());
        assert_eq!(id_of(&drawn), Some(3));
        assert_eq!(id_of(&with(&[1], &[0, 0, 0])), Some(1));
        // Two, and one that can be NULL.
        let two = with(&[1], &[0, 5, 5]);
        assert_eq!(id_of(&two), None);
        assert!(found(&two, Target::Uuid).unwrap_err().detail.unwrap().contains("\"c2\", \"c3\""));
        let mut nullable = with(&[1], &[0, 5, 0]);
        nullable.columns.iter_mut().for_each(|column| column.not_null = column.number == 1);
        let refused = found(&nullable, Target::Uuid).unwrap_err();
        assert_eq!(refused.message, "column \"c2\" of table \"s.t\" can be NULL");
    }

    #[test]
    fn keys_are_of_types_whose_equal_values_are_equal_bytes() {
        let of = |type_name: &str| table(&[type_name], vec![index(true, &[1])]);
        for type_name in ["smallint", "integer", "bigint", "numeric", "uuid", "text", "character varying"] {
            assert_eq!(found(&of(type_name), Target::Uuid), Ok(1), "{type_name}");
        }
        for type_name in ["uuid", "text", "bigint", "numeric"] {
            let refused = found(&of(type_name), Target::Bigint).unwrap_err();
            assert_eq!(refused.sqlstate, SqlState::DatatypeMismatch, "{type_name}");
        }
        for type_name in ["real", "character", "citext", "name"] {
            let refused = found(&of(type_name), Target::Ulid).unwrap_err();
            assert!(refused.hint.unwrap().contains("ALTER COLUMN c1 TYPE"), "{type_name}");
        }
        let mut loose = of("text");
        loose.columns.iter_mut().for_each(|column| column.is_nondeterministic = true);
        let refused = found(&loose, Target::Uuid).unwrap_err();
        assert_eq!(refused.sqlstate, SqlState::FeatureNotSupported);
    }
}
