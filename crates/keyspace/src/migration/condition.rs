//! Which rows of a column refer to a key: those of some kinds, which a type column next to it names
//! (`record_type` and `record_id`), without those that have a value that means none, such as 0.
//!
//! A condition is no expression: values are compared with texts, byte by byte. So nothing is parsed,
//! and no function or operator of another role can run for it.
//!
//! A column with a type column stays, with its name and its values: rows of other kinds need it. Next
//! to it, the new column has the keys of the rows that meet the condition. A column without one is
//! replaced like any other, and its new column is NULL where the old one has a value that means none.

use serde::Deserialize;

use super::cutover::is_inherited;
use super::facts::{Check, Column, ForeignKey, Index, Table};
use super::finding::{Finding, list};
use super::member::Member;
use super::required;
use super::scope::Scope;
use crate::error::{Error, SqlState};
use crate::sql::{literal, qualified, quoted};

/// The condition for the rows of a column that refer to a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// The table.
    pub table: u32,
    /// The number of the column of old ids.
    pub column: i16,
    /// The number of the column that says which table a row refers to.
    pub type_column: Option<i16>,
    /// Its values for the table that has the key, as texts.
    pub type_values: Vec<String>,
    /// Old ids that mean none, as texts.
    pub null_values: Vec<String>,
}

/// The condition of a column of one table or partition.
#[derive(Clone, Copy, Debug)]
pub struct Refers<'a> {
    /// The condition.
    pub condition: &'a Condition,
    /// The type column of this table; `None` if there is none, or if it is gone.
    pub type_column: Option<&'a Column>,
}

/// A condition as an argument of a trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct TriggerCondition {
    /// The number of the type column, 0 if there is none.
    #[serde(default)]
    pub type_column: i16,
    /// Its values for the table that has the key.
    #[serde(default)]
    pub type_values: Vec<String>,
    /// Old ids that mean none.
    #[serde(default)]
    pub null_values: Vec<String>,
    /// Whether a row without a key must have an old id: the first of these.
    #[serde(default)]
    pub fills: bool,
}

impl TriggerCondition {
    /// Reads the argument.
    ///
    /// A text of PostgreSQL contains no zero byte, but whoever creates a trigger can write one in JSON.
    pub fn parse(text: &str) -> Option<Self> {
        let parsed: Self = serde_json::from_str(text).ok()?;
        let has_zero = |list: &[String]| list.iter().any(|text| text.contains('\0'));
        (!has_zero(&parsed.type_values) && !has_zero(&parsed.null_values)).then_some(parsed)
    }
}

/// The types that a type column can have, as SQL writes them.
const TYPES: [&str; 6] = ["smallint", "integer", "bigint", "text", "character varying", "character"];

/// The types that a type column can have, for a message.
pub fn types() -> String {
    TYPES.join(", ")
}

/// Whether a type column can have this type.
pub(super) fn is_type(type_name: &str) -> bool {
    TYPES.contains(&type_name)
}

/// A whole number as PostgreSQL writes it: no sign of a positive one, no leading zeros or spaces.
pub fn canonical_number(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

impl Condition {
    /// Whether the column stays, because rows of other kinds need it.
    pub const fn stays(&self) -> bool {
        self.type_column.is_some()
    }
}

impl<'a> Refers<'a> {
    pub(super) fn of(condition: &'a Condition, table: &'a Table) -> Self {
        let number = condition.type_column;
        Self { condition, type_column: number.and_then(|number| table.column(number)) }
    }

    /// The same for a partition, which numbers its columns by itself.
    pub(super) fn of_partition(self, partition: &'a Table) -> Self {
        let name = self.type_column.map(|column| column.name.as_str());
        Self { type_column: name.and_then(|name| partition.column_named(name)), ..self }
    }

    /// The condition as a trigger of this table would have it.
    pub fn for_table(self) -> TriggerCondition {
        TriggerCondition {
            type_column: self.type_column.map_or(0, |column| column.number),
            type_values: self.condition.type_values.clone(),
            null_values: self.condition.null_values.clone(),
            fills: false,
        }
    }

    /// The condition that a row with this alias is of one of the kinds; `None` if every row is.
    fn is_of_type(self, alias: &str) -> Option<String> {
        self.condition.type_column?;
        let Some(column) = self.type_column else { return Some("false".to_owned()) };
        let values = texts(&self.condition.type_values);
        Some(format!("{} OPERATOR(pg_catalog.=) ANY ({values})", as_text(alias, &column.name)))
    }
}

/// A value as a text that is compared byte by byte.
fn as_text(alias: &str, column: &str) -> String {
    format!("{alias}.{}::pg_catalog.text COLLATE pg_catalog.\"C\"", quoted(column))
}

fn texts(values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|value| literal(value).trim().to_owned()).collect();
    format!("ARRAY[{}]::pg_catalog.text[]", values.join(", "))
}

impl Member<'_> {
    /// Whether the column keeps its name at the cut-over, and is not dropped at the end.
    pub fn stays(&self) -> bool {
        self.refers.is_some_and(|refers| refers.condition.stays())
    }

    /// The condition that a row with this alias refers to a row of the key's table, as far as it has an
    /// old id; `None` if every row with an old id does.
    pub fn refers_sql(&self, alias: &str) -> Option<String> {
        let means_one = self.means_one_sql(alias, &self.old_id.name);
        let parts: Vec<String> = self.is_of_type_sql(alias).into_iter().chain(means_one).collect();
        (!parts.is_empty()).then(|| parts.join(" AND "))
    }

    /// The condition that an old id, in a column with this name, is none of those that mean none; `None`
    /// if there are no such old ids.
    pub(super) fn means_one_sql(&self, alias: &str, column: &str) -> Option<String> {
        let values =
            self.refers.map(|refers| &refers.condition.null_values).filter(|list| !list.is_empty())?;
        Some(format!("{} OPERATOR(pg_catalog.<>) ALL ({})", as_text(alias, column), texts(values)))
    }

    /// The condition that a row with this alias is of the kinds that refer to the key's table; `None` if
    /// every row is.
    pub(super) fn is_of_type_sql(&self, alias: &str) -> Option<String> {
        self.refers.and_then(|refers| refers.is_of_type(alias))
    }

    /// `refers_sql` after another condition.
    pub(super) fn and_refers(&self, alias: &str) -> String {
        self.refers_sql(alias).map_or_else(String::new, |refers| format!(" AND {refers}"))
    }
}

/// The argument of the triggers of a column.
pub(super) fn argument(scope: &Scope<'_>, member: &Member<'_>) -> Option<String> {
    let Refers { condition, .. } = member.refers?;
    let fills = !condition.null_values.is_empty() && required::needs_old_id(scope, member);
    let mut parts = serde_json::Map::new();
    if let Some(number) = condition.type_column {
        parts.insert("type_column".to_owned(), number.into());
        parts.insert("type_values".to_owned(), condition.type_values.clone().into());
    }
    if !condition.null_values.is_empty() {
        parts.insert("null_values".to_owned(), condition.null_values.clone().into());
    }
    if fills {
        parts.insert("fills".to_owned(), true.into());
    }
    Some(serde_json::Value::Object(parts).to_string())
}

/// What prevents a condition, and what it means.
pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    for member in &scope.members {
        let Some(refers) = member.refers else { continue };
        let before = found.len();
        if refers.condition.stays() {
            type_column(scope, member, refers, found);
        }
        of_column(scope, member, found);
        if found.len() == before && !scope.options.cut_over {
            meaning(scope, member, refers.condition, found);
        }
    }
}

fn type_column(scope: &Scope<'_>, member: &Member<'_>, refers: Refers<'_>, found: &mut Vec<Finding>) {
    let name = member.table_sql();
    let mut refuse = |error: Error| found.push(Finding::error(member.table, error));
    let Some(column) = refers.type_column else {
        let message = format!(
            "the type column of column \"{}\" of table \"{name}\" no longer exists",
            member.old_id.name
        );
        refuse(
            Error::new(SqlState::UndefinedColumn, message)
                .detail("Nothing tells which rows refer to the key any more.")
                .hint("CALL key_migration_rollback() to end the migration."),
        );
        return;
    };
    let of = format!("type column \"{}\" of table \"{name}\"", column.name);
    if !is_type(&column.type_name) {
        refuse(
            Error::new(SqlState::DatatypeMismatch, format!("{of} is of type {}", column.declared_type))
                .detail(format!("A type column must be of type {}.", types())),
        );
    }
    if !column.generated.is_empty() {
        refuse(
            Error::new(SqlState::FeatureNotSupported, format!("{of} is a generated column"))
                .detail("The triggers that fill keys fire before generated columns are computed."),
        );
    }
    let is_member = |other: &Member<'_>| {
        other.old_id.number == column.number || other.shadow.is_some_and(|one| one.number == column.number)
    };
    if scope.members_of(member.table.oid).any(is_member) {
        refuse(
            Error::new(SqlState::FeatureNotSupported, format!("{of} is itself part of the migration"))
                .detail("Its values would become keys, and the type values would name no rows any more.")
                .hint("Migrate its key in a migration of its own, before or after this one."),
        );
    }
}

/// What the column itself must not be.
fn of_column(scope: &Scope<'_>, member: &Member<'_>, found: &mut Vec<Finding>) {
    let of = format!("column \"{}\" of table \"{}\"", member.old_id.name, member.table_sql());
    let number = member.old_id.number;
    let mut keys = scope.facts.foreign_keys.iter();
    if let Some(key) = keys.find(|key| key.child == member.table.oid && key.child_columns.contains(&number)) {
        let error = Error::new(SqlState::FeatureNotSupported, format!("{of} has foreign key \"{}\"", key.name))
            .detail("The foreign key says that every row refers to a row of the table, so there is no condition for it.")
            .hint("Leave out type_column, type_values and null_values, or drop the foreign key.");
        found.push(Finding::error(member.table, error));
    }
    let mut keys = scope.facts.foreign_keys.iter();
    let is_parent =
        |key: &&ForeignKey| key.parent == member.table.oid && key.parent_columns.contains(&number);
    if let Some(key) = keys.find(is_parent) {
        let child = scope.facts.table(key.child).map(|table| qualified(&table.schema, &table.name));
        let child = child.unwrap_or_default();
        let error = Error::new(
            SqlState::FeatureNotSupported,
            format!("foreign key \"{}\" of table \"{child}\" refers to {of}", key.name),
        )
        .detail(
            "Its rows refer to the same rows of the key, but have no condition that tells which of them do.",
        )
        .hint("Drop the foreign key first, and add its columns with key_migration_add_reference(), too.");
        found.push(Finding::error(member.table, error));
    }
    if !required::can_be_null(member) {
        let error = Error::new(
            SqlState::FeatureNotSupported,
            format!("{of} is part of the primary key or the replica identity, or an identity column"),
        )
        .detail("Not every row has a key, and at the end not every row an old id, so neither of the two columns can be there.")
        .hint("Give the table another primary key or replica identity first.");
        found.push(Finding::error(member.table, error));
    }
}

/// Whether a unique index accepts more rows once a column is NULL in those that mean none, or that have
/// their key in another column.
fn is_loosened(member: &Member<'_>, index: &Index) -> bool {
    let number = member.old_id.number;
    let is_used = index.has_column(number) || index.used_columns.contains(&number);
    index.is_unique && is_used && !index.is_primary
}

/// What the columns mean from the cut-over on.
fn meaning(scope: &Scope<'_>, member: &Member<'_>, condition: &Condition, found: &mut Vec<Finding>) {
    let (column, new) = (&member.old_id.name, &member.shadow_name);
    let of = format!("column \"{column}\" of table \"{}\"", member.table_sql());
    let key = &scope.key_of(member).column;
    let none = list(&condition.null_values);
    let loosened: Vec<String> = member
        .table
        .indexes
        .iter()
        .filter(|index| is_loosened(member, index))
        .map(|index| index.name.clone())
        .collect();
    if !loosened.is_empty() {
        found.push(Finding::warning(
            member.table,
            format!("unique index {} is about {of}, which not all rows will have a value in", list(&loosened)),
            "Rows without a key are all different for it. If they must not be, create a unique index for them, with a condition such as WHERE ... IS NULL, before the migration is finalized.",
        ));
    }
    if !condition.stays() {
        if member.old_id.not_null {
            found.push(Finding::warning(
                member.table,
                format!("{of} is NOT NULL, and the new column will not be"),
                format!("Rows with {none} have NULL there, also after the migration is finalized."),
            ));
        }
        return;
    }
    let mut hint = format!(
        "Rows that refer to table \"{}\" have their key in \"{new}\", which keeps this name, and is NULL in all others. From the cut-over on, the application reads and writes it for these rows. When the migration is finalized, \"{column}\" stays for the others, and nothing fills it any more for these.",
        key.table_sql()
    );
    if member.old_id.not_null {
        hint.push_str(&format!(" \"{column}\" loses its NOT NULL; a check requires one of the two."));
    }
    found.push(Finding::warning(member.table, format!("{of} stays, next to a new one"), hint));
    let uses: Vec<String> = member
        .table
        .dependents
        .iter()
        .filter(|used| used.column == member.old_id.number)
        .filter(|used| !["check constraint", "extended statistics", "default"].contains(&used.kind.as_str()))
        .filter(|used| !is_inherited(member.table, used))
        .map(|used| format!("{} \"{}\"", used.kind, used.name))
        .collect();
    if !uses.is_empty() {
        found.push(Finding::warning(
            member.table,
            format!("{of}, which stays, is used by {}", uses.join(", ")),
            format!("Once the migration is finalized, new rows that refer to table \"{}\" have NULL in \"{column}\". Let it use \"{new}\" for these rows, too.", key.table_sql()),
        ));
    }
    let is_about = |check: &&Check| {
        check.columns.contains(&member.old_id.number) && !required::is_ours(scope, member.table, check)
    };
    let checks: Vec<String> =
        member.table.checks.iter().filter(is_about).map(|check| check.name.clone()).collect();
    if !checks.is_empty() {
        found.push(Finding::warning(
            member.table,
            format!("check constraint {} uses {of}, which stays", list(&checks)),
            format!("Once the migration is finalized, new rows that refer to table \"{}\" have NULL in \"{column}\". If the constraint does not accept that, replace it before.", key.table_sql()),
        ));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_numbers_are_numbers() {
        for (text, number) in [
            ("0", 0),
            ("42", 42),
            ("-1", -1),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(canonical_number(text), Some(number), "{text}");
        }
        for text in ["", " 42", "42 ", "042", "+42", "-0", "4.0", "4e1", "0x2a", "٤٢", "9223372036854775808"]
        {
            assert_eq!(canonical_number(text), None, "{text}");
        }
    }

    #[test]
    fn types_of_type_columns() {
        assert!(is_type("character varying") && !is_type("uuid"));
        assert!(types().contains("bigint"));
    }
}
