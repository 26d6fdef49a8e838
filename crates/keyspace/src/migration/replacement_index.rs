//! The index on the new column for each index on the old one.

use super::facts::{Index, IndexKey, Table};
use super::scope::Scope;
use crate::sql::{qualified, quoted};

/// What happens to an index on a column of old ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// The same index on columns of keys.
    Create {
        /// Its name, not quoted.
        name: String,
        /// `CREATE INDEX CONCURRENTLY`.
        statement: String,
    },
    /// It cannot be created; the reason is a sentence.
    Leave(&'static str),
}

/// The replacement of an index.
pub fn replacement(scope: &Scope<'_>, table: &Table, index: &Index) -> Replacement {
    let old_ids: Vec<i16> = scope.members_of(table.oid).map(|member| member.old_id.number).collect();
    if index.used_columns.iter().any(|column| old_ids.contains(column)) {
        return Replacement::Leave(
            "It has an expression or a predicate on the old id. Create the corresponding index on the key yourself.",
        );
    }
    if index.constraint.as_ref().is_some_and(|constraint| constraint.kind == "x") {
        return Replacement::Leave(
            "An exclusion constraint cannot be added without blocking writes. Create it yourself.",
        );
    }
    if !matches!(index.method.as_str(), "btree" | "hash" | "brin") {
        return Replacement::Leave("Its access method has no operator class for the type of the key.");
    }
    let mapped = |column: i16| scope.mapped(table.oid, &[column]).first().copied().unwrap_or(column);
    let keys: Vec<String> =
        index.keys.iter().map(|key| key_sql(scope, table, key, mapped(key.column), index)).collect();
    let mut include: Vec<String> =
        index.include.iter().map(|column| scope.column_sql(table, mapped(*column))).collect();
    if let Some(key) = scope.keys.iter().find(|key| index.is_primary && key.column.table.oid == table.oid) {
        include.extend(key.options.include.iter().map(|name| quoted(name)));
    }
    let name = scope.options.new_name(&index.name);
    let mut statement = format!(
        "CREATE {}INDEX CONCURRENTLY {} ON {} USING {} ({})",
        if index.is_unique { "UNIQUE " } else { "" },
        quoted(&name),
        qualified(&table.schema, &table.name),
        index.method,
        keys.join(", ")
    );
    if !include.is_empty() {
        statement.push_str(&format!(" INCLUDE ({})", include.join(", ")));
    }
    if index.nulls_not_distinct {
        statement.push_str(" NULLS NOT DISTINCT");
    }
    if !index.options.is_empty() {
        statement.push_str(&format!(" WITH ({})", index.options.join(", ")));
    }
    if let Some(tablespace) = &index.tablespace {
        statement.push_str(&format!(" TABLESPACE {}", quoted(tablespace)));
    }
    if let Some(predicate) = &index.predicate {
        statement.push_str(&format!(" WHERE {predicate}"));
    }
    Replacement::Create { name, statement }
}

/// The replacement of an index, if the table has it.
///
/// It is recognised by its definition. Until the cut-over its name must match, too. Afterwards,
/// when the names are swapped, the name only decides between several. An index that is not valid
/// has no replacement.
pub fn existing<'a>(scope: &Scope<'a>, table: &'a Table, index: &Index) -> Option<&'a Index> {
    if !index.is_valid {
        return None;
    }
    let columns = |index: &Index| index.keys.iter().map(|key| key.column).collect::<Vec<_>>();
    let wanted = scope.mapped(table.oid, &columns(index));
    let same = |other: &&Index| {
        scope.is_new(table, other)
            // Until the cut-over an invalid one is dropped and built again.
            && (other.is_valid || !scope.options.cut_over)
            && other.is_unique == index.is_unique
            && other.method == index.method
            && other.predicate == index.predicate
            && columns(other) == wanted
    };
    let name = if scope.options.cut_over {
        // The replacement of `x_old` is `x`.
        index.name.strip_suffix(scope.options.old_suffix.as_str()).unwrap_or(&index.name).to_owned()
    } else {
        scope.options.new_name(&index.name)
    };
    let mut candidates: Vec<&Index> = table.indexes.iter().filter(same).collect();
    candidates.sort_by_key(|other| other.name != name);
    candidates.into_iter().next().filter(|other| scope.options.cut_over || other.name == name)
}

fn key_sql(scope: &Scope<'_>, table: &Table, key: &IndexKey, column: i16, index: &Index) -> String {
    let mut sql = match &key.expression {
        Some(expression) => format!("({expression})"),
        None => scope.column_sql(table, column),
    };
    // A column of keys has another type, and uses the defaults of that type.
    if column == key.column {
        for part in [
            key.collation.as_ref().map(|name| format!(" COLLATE {name}")),
            key.opclass.as_ref().map(|name| format!(" {name}")),
        ] {
            sql.push_str(&part.unwrap_or_default());
        }
    }
    if index.method == "btree" {
        match (key.descending, key.nulls_first) {
            (false, false) => {}
            (false, true) => sql.push_str(" NULLS FIRST"),
            (true, true) => sql.push_str(" DESC"),
            (true, false) => sql.push_str(" DESC NULLS LAST"),
        }
    }
    sql
}
