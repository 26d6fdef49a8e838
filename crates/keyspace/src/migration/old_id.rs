//! Old ids of every type that a migrated key can have.

use std::fmt;

use super::facts::{Column, Table, TimeParent};
use super::member::Member;
use super::numeric;
use crate::sql::quoted;

/// The types of old ids whose values can be equal. A column that refers to a key has a type of the
/// same kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdKind {
    /// `smallint`, `integer` or `bigint`, or `numeric` with integers.
    Integer,
    /// `uuid`.
    Uuid,
    /// `text` or `character varying`, with a deterministic collation: only equal bytes are equal.
    Text,
}

impl IdKind {
    /// The kind of a type, as SQL writes it.
    pub fn of(type_name: &str) -> Option<Self> {
        match type_name {
            "smallint" | "integer" | "bigint" | "numeric" => Some(Self::Integer),
            "uuid" => Some(Self::Uuid),
            "text" | "character varying" => Some(Self::Text),
            _ => None,
        }
    }

    /// Its types, for a message.
    pub const fn types(self) -> &'static str {
        match self {
            Self::Integer => "smallint, integer, bigint, or numeric",
            Self::Uuid => "uuid",
            Self::Text => "text or character varying",
        }
    }

    /// The type that holds each of its values, as SQL writes it.
    pub(super) const fn sql(self) -> &'static str {
        match self {
            Self::Integer => "pg_catalog.int8",
            Self::Uuid => "pg_catalog.uuid",
            Self::Text => "pg_catalog.text",
        }
    }
}

/// An old id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OldId {
    /// An integer.
    Number(i64),
    /// The bytes of a `uuid`.
    Uuid([u8; 16]),
    /// A text, in the encoding of the database.
    Text(Box<[u8]>),
}

impl OldId {
    /// Its name in a JSON object, by which a statement finds its key. [`in_json`] is the same for a
    /// row.
    pub fn in_json(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Uuid(bytes) => uuid::Uuid::from_bytes(*bytes).to_string(),
            Self::Text(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

/// Shows a text that is no ASCII as it is in UTF-8.
impl fmt::Display for OldId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(formatter),
            Self::Uuid(bytes) => uuid::Uuid::from_bytes(*bytes).fmt(formatter),
            Self::Text(bytes) => formatter.write_str(&String::from_utf8_lossy(bytes)),
        }
    }
}

/// The greatest integer that a column of old ids holds.
pub(super) fn greatest(column: &Column) -> i64 {
    if numeric::is_numeric(column) { numeric::greatest(column) } else { range(&column.type_name).1 }
}

/// The least and the greatest value of a type of integers.
pub(super) fn range(type_name: &str) -> (i64, i64) {
    match type_name {
        "smallint" => (i64::from(i16::MIN), i64::from(i16::MAX)),
        "integer" => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    }
}

impl Column {
    /// The kind of its values, if a column of old ids can be of its type.
    pub fn id_kind(&self) -> Option<IdKind> {
        IdKind::of(&self.type_name)
    }
}

impl TimeParent {
    /// Whether its rows can be found by a column of the table that refers to it: both hold old ids of one
    /// kind, and equal texts have equal bytes in both collations.
    pub fn can_be_looked_up(&self, by: &Column) -> bool {
        let Some(of) = self.column(self.parent_column).filter(|of| of.is_unique) else { return false };
        let kind = IdKind::of(&by.type_name);
        kind.is_some() && kind == IdKind::of(&of.type_name) && !by.is_nondeterministic
    }
}

impl Member<'_> {
    /// The kind of its old ids.
    pub fn id_kind(&self) -> Option<IdKind> {
        if self.holds_numbers { Some(IdKind::Integer) } else { self.old_id.id_kind() }
    }
}

/// The type of a column of old ids that holds each of its values, as SQL writes it. A column of
/// another type is refused.
fn widest(column: &Column) -> &'static str {
    column.id_kind().unwrap_or(IdKind::Integer).sql()
}

/// The number that a text holds, exactly as PostgreSQL writes it: no spaces, no sign of a positive one, no
/// leading zeros. Any other text holds none, and so refers to nothing.
fn number_in(member: &Member<'_>, alias: &str) -> String {
    let text = format!("{alias}.{}::pg_catalog.text", quoted(&member.old_id.name));
    let number = format!("{text}::pg_catalog.numeric");
    format!(
        "CASE WHEN {text} COLLATE pg_catalog.\"C\" OPERATOR(pg_catalog.~) '^(0|-?[1-9][0-9]{{0,18}})$' THEN \
         CASE WHEN {number} OPERATOR(pg_catalog.>=) '{}'::pg_catalog.numeric AND {number} OPERATOR(pg_catalog.<=) '{}'::pg_catalog.numeric \
         THEN {text}::pg_catalog.int8 END END",
        i64::MIN,
        i64::MAX
    )
}

/// The expression for the old id of a row, which has this alias, in that type.
pub(super) fn value(member: &Member<'_>, alias: &str) -> String {
    if member.holds_numbers {
        return format!("({})", number_in(member, alias));
    }
    if numeric::is_numeric(member.old_id) {
        return numeric::value(member, alias);
    }
    format!("{alias}.{}::{}", quoted(&member.old_id.name), widest(member.old_id))
}

/// The name of the old id of a row in a JSON object.
pub(super) fn in_json(member: &Member<'_>, alias: &str) -> String {
    match member.id_kind() {
        // A text may contain any character.
        Some(IdKind::Text) => format!("pg_catalog.encode({}, 'hex')", bytes(member, alias)),
        _ => format!("{}::pg_catalog.text", value(member, alias)),
    }
}

/// The expression for an old id as the server reads it from a query: a number, or bytes.
pub(super) fn result(member: &Member<'_>, alias: &str) -> String {
    match member.id_kind() {
        Some(IdKind::Uuid) => format!("pg_catalog.uuid_send({})", value(member, alias)),
        Some(IdKind::Text) => bytes(member, alias),
        Some(IdKind::Integer) | None => value(member, alias),
    }
}

/// The bytes of a text, which this "conversion" leaves as they are.
fn bytes(member: &Member<'_>, alias: &str) -> String {
    format!("pg_catalog.convert_to({}, 'SQL_ASCII')", value(member, alias))
}

/// The expression for the least of the old ids of rows, as text.
pub(super) fn least(member: &Member<'_>, alias: &str) -> String {
    let column = quoted(&member.old_id.name);
    match member.old_id.id_kind() {
        // Not every version has min(uuid).
        Some(IdKind::Uuid | IdKind::Text) => format!("pg_catalog.min({alias}.{column}::pg_catalog.text)"),
        Some(IdKind::Integer) | None => format!("pg_catalog.min({alias}.{column})::text"),
    }
}

/// The condition that the row of a key, with the alias `p`, is the one to which a row with the alias `t`
/// refers. It can be answered from the index of the key.
pub(super) fn is_referenced(key: &Member<'_>, member: &Member<'_>) -> String {
    let name = |table: &Table, column: i16| table.column(column).map(|column| quoted(&column.name));
    let companions = member.companions.iter().filter_map(|companion| {
        let (of_key, own) = (name(key.table, companion.of_key)?, name(member.table, companion.own)?);
        Some(format!(" AND p.{of_key} OPERATOR(pg_catalog.=) t.{own}"))
    });
    std::iter::once(has_old_id(key, member)).chain(companions).collect()
}

/// What follows a text that is compared with an indexed one. Equal are equal bytes, in either collation,
/// but PostgreSQL must know which one to use.
pub(super) fn compared_in(indexed: Option<&str>, other: Option<&str>) -> String {
    match indexed {
        Some(collation) if other != indexed => format!(" COLLATE {collation}"),
        _ => String::new(),
    }
}

/// The condition that a row has the old id.
fn has_old_id(key: &Member<'_>, member: &Member<'_>) -> String {
    let is_other_type = numeric::is_numeric(member.old_id) && !numeric::is_numeric(key.old_id);
    if member.holds_numbers || is_other_type {
        return format!("p.{} OPERATOR(pg_catalog.=) {}", quoted(&key.old_id.name), value(member, "t"));
    }
    let (key, reference) = (key.old_id, member.old_id);
    let collation = compared_in(key.collation.as_deref(), reference.collation.as_deref());
    format!("p.{} OPERATOR(pg_catalog.=) t.{}{collation}", quoted(&key.name), quoted(&reference.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(type_name: &str, collation: Option<&str>) -> Column {
        Column {
            name: "Id".to_owned(),
            type_name: type_name.to_owned(),
            collation: collation.map(str::to_owned),
            ..Column::default()
        }
    }

    fn member<'a>(table: &'a Table, old_id: &'a Column) -> Member<'a> {
        Member {
            table,
            old_id,
            shadow: None,
            shadow_number: 2,
            shadow_name: "Id_new".to_owned(),
            is_key: false,
            key: 1,
            declared: true,
            holds_numbers: false,
            refers: None,
            companions: Vec::new(),
        }
    }

    #[test]
    fn each_type_has_its_expressions() {
        let table = Table::default();
        for (type_name, name, least_of) in [
            ("integer", "t.\"Id\"::pg_catalog.int8::pg_catalog.text", "pg_catalog.min(t.\"Id\")::text"),
            (
                "uuid",
                "t.\"Id\"::pg_catalog.uuid::pg_catalog.text",
                "pg_catalog.min(t.\"Id\"::pg_catalog.text)",
            ),
            (
                "character varying",
                "pg_catalog.encode(pg_catalog.convert_to(t.\"Id\"::pg_catalog.text, 'SQL_ASCII'), 'hex')",
                "pg_catalog.min(t.\"Id\"::pg_catalog.text)",
            ),
        ] {
            let column = column(type_name, None);
            let member = member(&table, &column);
            assert_eq!((in_json(&member, "t").as_str(), least(&member, "t").as_str()), (name, least_of));
        }
        assert_eq!(column("numeric", None).id_kind(), Some(IdKind::Integer));
        assert_eq!(column("real", None).id_kind(), None);
        assert_eq!(column("character", None).id_kind(), None);
    }

    #[test]
    fn texts_of_numbers_are_compared_as_numbers() {
        let table = Table::default();
        let (text, number) = (column("text", None), column("bigint", None));
        let (of_text, key) =
            (Member { holds_numbers: true, ..member(&table, &text) }, member(&table, &number));
        assert_eq!(of_text.id_kind(), Some(IdKind::Integer));
        let condition = is_referenced(&key, &of_text);
        assert!(
            condition
                .starts_with("p.\"Id\" OPERATOR(pg_catalog.=) (CASE WHEN t.\"Id\"::pg_catalog.text COLLATE")
        );
        assert!(
            condition.contains(">=) '-9223372036854775808'::")
                && condition.contains("<=) '9223372036854775807'::")
        );
        assert_eq!(in_json(&of_text, "t"), format!("{}::pg_catalog.text", result(&of_text, "t")));
    }

    #[test]
    fn old_ids_have_the_names_that_statements_look_for() {
        assert_eq!(OldId::Number(-5).in_json(), "-5");
        assert_eq!(OldId::Uuid([0xAB; 16]).in_json(), "abababab-abab-abab-abab-abababababab");
        assert_eq!(OldId::Text(Box::from(*b"a\"\xFF")).in_json(), "6122ff");
    }

    #[test]
    fn references_are_compared_in_the_collation_of_the_key() {
        let table = Table::default();
        let (one, other) = (column("text", Some("c.\"POSIX\"")), column("text", Some("c.\"de\"")));
        let (key, reference) = (member(&table, &one), member(&table, &other));
        let end = |of: &Member<'_>| is_referenced(&key, of).ends_with(" t.\"Id\" COLLATE c.\"POSIX\"");
        assert!(end(&reference) && !end(&key));
    }
}
