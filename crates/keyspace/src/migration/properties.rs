//! Properties of columns, indexes and constraints that the new ones take over: comments, statistics
//! targets, options, privileges, defaults, `CLUSTER ON`.

use super::condition::canonical_number;
use super::expression::{Operators, constant, constant_text};
use super::facts::{Column, Grant, Index, Table};
use super::member::Member;
use super::old_id::IdKind;
use super::scope::Scope;
use crate::sql::{literal, qualified, quoted};

/// The statements that give a new column the statistics target and the options of the old one,
/// where it has none of its own.
pub(super) fn of_column(member: &Member<'_>) -> Vec<String> {
    let (old, new) = (member.old_id, member.shadow);
    let alter = format!("ALTER TABLE {} ALTER COLUMN {}", member.table_sql(), quoted(&member.shadow_name));
    let mut statements = Vec::new();
    if let Some(target) = old.statistics.filter(|_| new.is_none_or(|new| new.statistics.is_none())) {
        statements.push(format!("{alter} SET STATISTICS {target}"));
    }
    if !old.options.is_empty() && new.is_none_or(|new| new.options.is_empty()) {
        statements.push(format!("{alter} SET ({})", old.options.join(", ")));
    }
    statements
}

/// The statements that give an index, whose name is `name` then, the statistics targets of another
/// one.
pub(super) fn statistics_of_index(
    table: &Table,
    index: &Index,
    replacement: Option<&Index>,
    name: &str,
) -> Vec<String> {
    let name = qualified(&table.schema, name);
    let is_set = |target: &(i16, i32)| replacement.is_some_and(|one| one.statistics.contains(target));
    let missing = index.statistics.iter().filter(|target| !is_set(target));
    missing
        .map(|(column, target)| format!("ALTER INDEX {name} ALTER COLUMN {column} SET STATISTICS {target}"))
        .collect()
}

/// The statements that give an index the comments of another one and its place in `CLUSTER`. Both
/// may be gone by then: `name` is the name that the new one has, and also that of its constraint.
pub(super) fn of_index(table: &Table, index: &Index, replacement: &Index, name: &str) -> Vec<String> {
    let of = qualified(&table.schema, &table.name);
    let mut statements = Vec::new();
    if let Some(comment) = index.comment.as_ref().filter(|_| replacement.comment.is_none()) {
        statements.push(format!(
            "COMMENT ON INDEX {} IS {}",
            qualified(&table.schema, name),
            literal(comment)
        ));
    }
    let constraint = replacement.constraint.as_ref();
    let has_comment = constraint.is_some_and(|constraint| constraint.comment.is_some());
    if let Some(comment) =
        index.constraint.as_ref().and_then(|old| old.comment.as_ref()).filter(|_| !has_comment)
    {
        statements.push(comment_on_constraint(&of, name, comment));
    }
    if index.is_clustered {
        statements.push(format!("ALTER TABLE {of} CLUSTER ON {}", quoted(name)));
    }
    statements
}

pub(super) fn comment_on_constraint(table: &str, name: &str, comment: &str) -> String {
    format!("COMMENT ON CONSTRAINT {} ON {table} IS {}", quoted(name), literal(comment))
}

/// The statements that grant the privileges on one column on another one, which is called `name`.
pub(super) fn grants(table: &str, from: &Column, to: Option<&Column>, name: &str) -> Vec<String> {
    let missing = from.grants.iter().filter(|grant| to.is_none_or(|to| !to.grants.contains(grant)));
    missing.map(|grant| grant_on_column(table, grant, name)).collect()
}

pub(super) fn grant_on_column(table: &str, grant: &Grant, column: &str) -> String {
    let grantee = grant.grantee.as_deref().map_or_else(|| "PUBLIC".to_owned(), quoted);
    let option = if grant.grantable { " WITH GRANT OPTION" } else { "" };
    format!("GRANT {} ({}) ON {table} TO {grantee}{option}", grant.privilege, quoted(column))
}

/// What the default of a reference is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultOf {
    /// The old id of one row, as SQL.
    Row(String),
    /// None, or NULL.
    Null,
    /// Something that is computed for each row.
    Computed,
}

/// What the default of a column of old ids is.
pub fn default_of(column: &Column) -> DefaultOf {
    match &column.default {
        None => DefaultOf::Null,
        Some(default) if default.starts_with("NULL") => DefaultOf::Null,
        Some(default) => {
            let id = match column.id_kind() {
                Some(IdKind::Uuid | IdKind::Text) => constant_text(default),
                Some(IdKind::Integer) | None => constant(default).map(|id| id.to_string()),
            };
            id.map_or(DefaultOf::Computed, |id| DefaultOf::Row(literal_id(column, &id)))
        }
    }
}

/// The query for the other id of the row that the default of a reference stands for, as bytes: for its
/// key, or after the cut-over for its old id. `None` if the default stands for no row.
pub fn other_of_default(scope: &Scope<'_>, member: &Member<'_>) -> Option<String> {
    let key = &scope.key_of(member).column;
    // If keys keep their values, the default moves as it is.
    let is_unclear = key.table.is_partitioned() || member.stays();
    if key.shadow.is_none() || member.shadow.is_none() || scope.keeps_values() || is_unclear {
        return None;
    }
    let (old_id, shadow) = (quoted(&key.old_id.name), quoted(&key.shadow_name));
    let select = |what: &str, condition: String| {
        format!(
            "SELECT pg_catalog.convert_to(p.{what}::pg_catalog.text, 'SQL_ASCII') FROM ONLY {} AS p WHERE {condition}",
            key.table_sql()
        )
    };
    if !scope.options.cut_over {
        let id = match default_of(member.old_id) {
            DefaultOf::Row(_) if member.holds_numbers => {
                let text = constant_text(member.old_id.default.as_deref()?)?;
                format!("'{}'::pg_catalog.int8", canonical_number(&text)?)
            }
            DefaultOf::Row(id) => id,
            DefaultOf::Null | DefaultOf::Computed => return None,
        };
        return Some(select(&shadow, format!("p.{old_id} OPERATOR(pg_catalog.=) {id}")));
    }
    let default = member.shadow?.default.as_deref()?;
    let text = constant_text(default)?;
    let type_name = scope.options.target.type_name(&scope.facts.extension_schema);
    let Operators { to, .. } = scope.operators();
    Some(select(&old_id, format!("p.{shadow} OPERATOR({to}.=) {}::{type_name}", literal(&text))))
}

/// An old id as SQL reads it after an operator.
fn literal_id(column: &Column, id: &str) -> String {
    let kind = column.id_kind().unwrap_or(IdKind::Integer);
    format!("{}::{}", literal(id).trim(), kind.sql())
}

/// The statements that move the default of a reference from the column that has led to the one that
/// leads now; both by the names that they have then.
pub(super) fn defaults(scope: &Scope<'_>, member: &Member<'_>, from: &str, to: &str) -> Vec<String> {
    let of = (member.table.oid, member.old_id.number);
    let Some(default) = scope.facts.defaults.iter().find(|default| (default.table, default.column) == of)
    else {
        return Vec::new();
    };
    // A partition can have another default, or none.
    let only = if member.table.is_partitioned() { "ONLY " } else { "" };
    let alter =
        |column: &str| format!("ALTER TABLE {only}{} ALTER COLUMN {}", member.table_sql(), quoted(column));
    let value = if scope.options.cut_over {
        match member.old_id.id_kind() {
            Some(IdKind::Uuid | IdKind::Text) => {
                format!("{}::{}", literal(&default.value).trim(), member.old_id.type_name)
            }
            Some(IdKind::Integer) | None => default.value.clone(),
        }
    } else {
        format!(
            "{}::{}",
            literal(&default.value),
            scope.options.target.type_name(&scope.facts.extension_schema)
        )
    };
    vec![format!("{} DROP DEFAULT", alter(from)), format!("{} SET DEFAULT {value}", alter(to))]
}

/// Whether the end would lose a default: it is computed, and the key has none.
pub(super) fn loses_default(member: &Member<'_>) -> bool {
    !member.is_key
        && default_of(member.old_id) == DefaultOf::Computed
        && member.shadow.is_some_and(|shadow| shadow.default.is_none())
}
