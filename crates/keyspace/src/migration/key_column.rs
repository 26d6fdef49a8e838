//! Which column of a table is its key, and why a key cannot be migrated.

use super::facts::{Column, Index, Table};
use super::old_id::IdKind;
use super::options::{KeyOptions, Target};
use crate::error::{Error, SqlState};
use crate::sql::{qualified, quoted};

/// The column of a key.
///
/// # Errors
/// 42809 if the table is not an ordinary one, 42704 if it has no primary key, 0A000 if it is partitioned,
/// if no column of its primary key is unique alone, or if the collation of the column is
/// nondeterministic, 42804 if the column is of a wrong type, 42703 if it no longer exists.
pub(super) fn key_column<'a>(
    root: &'a Table,
    options: &KeyOptions,
    target: Target,
) -> Result<&'a Column, Error> {
    let name = qualified(&root.schema, &root.name);
    if root.kind != "r" {
        return Err(unfit_kind(root));
    }
    let number = match options.column {
        Some(number) => number,
        None => {
            let index = root.primary_key().ok_or_else(|| {
                Error::new(SqlState::UndefinedObject, format!("table \"{name}\" has no primary key"))
                    .detail("Only a primary key can be migrated.")
                    .hint("Add one with ALTER TABLE ... ADD PRIMARY KEY.")
            })?;
            id_of(root, index).ok_or_else(|| not_alone(root, index))?
        }
    };
    let column = root.column(number).ok_or_else(|| {
        Error::new(SqlState::UndefinedColumn, format!("the key column of table \"{name}\" no longer exists"))
            .hint("CALL key_migration_rollback() to end the migration.")
    })?;
    let of_type = || format!("the primary key of table \"{name}\" is of type {}", column.declared_type);
    let Some(kind) = column.id_kind() else {
        return Err(Error::new(SqlState::DatatypeMismatch, of_type())
            .detail("Only keys of type smallint, integer, bigint, uuid, text, or character varying can be migrated.")
            .hint(format!("Change its type first, with ALTER TABLE {name} ALTER COLUMN {} TYPE.", quoted(&column.name))));
    };
    if target.keeps_values() && kind != IdKind::Integer {
        return Err(Error::new(SqlState::DatatypeMismatch, of_type())
            .detail("Only keys of type smallint or integer can become bigint.")
            .hint("Use target \"uuid\" or \"ulid\"."));
    }
    if column.is_nondeterministic {
        return Err(nondeterministic(root, column));
    }
    if target.keeps_values() && column.type_name == "bigint" {
        let message = format!("the primary key of table \"{name}\" is already of type bigint");
        return Err(Error::new(SqlState::DatatypeMismatch, message)
            .detail("Only keys of type smallint or integer can become bigint."));
    }
    Ok(column)
}

/// The column of a primary key by which rows can be referred to: its only one, or the only one that is
/// unique alone.
pub fn id_of(table: &Table, primary: &Index) -> Option<i16> {
    if let [key] = primary.keys.as_slice() {
        return Some(key.column);
    }
    let mut alone = unique_alone(table, primary);
    alone.next().filter(|_| alone.next().is_none())
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
    let message = format!("the primary key of table \"{name}\" has {} columns", primary.keys.len());
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
    let message = format!("column \"{}\" of table \"{name}\" has a nondeterministic collation", column.name);
    Error::new(SqlState::FeatureNotSupported, message)
        .detail("Texts that are equal in it can have different bytes, from which different keys would be derived.")
        .hint(format!(
            "If no equal texts differ, use a deterministic collation: ALTER TABLE {name} ALTER COLUMN {} TYPE {} COLLATE \"C\".",
            quoted(&column.name),
            column.declared_type
        ))
}

/// The error for a relation of another kind, whose key cannot be migrated.
fn unfit_kind(table: &Table) -> Error {
    let name = qualified(&table.schema, &table.name);
    if table.is_partitioned() {
        return Error::new(SqlState::FeatureNotSupported, format!("the key of table \"{name}\" cannot be migrated, because the table is partitioned"))
            .detail("PostgreSQL keeps a key of a partitioned table unique only together with the columns by which it is partitioned, and references are looked up by the key alone. Partitioned tables can refer to keys that are migrated.")
            .hint("Move its rows to an ordinary table, or migrate it manually.");
    }
    Error::new(SqlState::WrongObjectType, format!("\"{name}\" is not an ordinary table"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
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
        key_column(table, &KeyOptions::default(), target).map(|column| column.number)
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
    fn keys_are_of_types_whose_equal_values_are_equal_bytes() {
        let of = |type_name: &str| table(&[type_name], vec![index(true, &[1])]);
        for type_name in ["smallint", "integer", "bigint", "uuid", "text", "character varying"] {
            assert_eq!(found(&of(type_name), Target::Uuid), Ok(1), "{type_name}");
        }
        for type_name in ["uuid", "text", "bigint"] {
            let refused = found(&of(type_name), Target::Bigint).unwrap_err();
            assert_eq!(refused.sqlstate, SqlState::DatatypeMismatch, "{type_name}");
        }
        for type_name in ["numeric", "character", "citext", "name"] {
            let refused = found(&of(type_name), Target::Ulid).unwrap_err();
            assert!(refused.hint.unwrap().contains("ALTER COLUMN c1 TYPE"), "{type_name}");
        }
        let mut loose = of("text");
        loose.columns.iter_mut().for_each(|column| column.is_nondeterministic = true);
        let refused = found(&loose, Target::Uuid).unwrap_err();
        assert_eq!(refused.sqlstate, SqlState::FeatureNotSupported);
    }
}
