//! References with a type column next to them, as `record_type` and `record_id`: the ids of all
//! kinds of rows are in one column (fault C10). All of them would get keys of this one table.

use super::facts::{Column, Table};
use super::finding::Finding;
use super::member::Member;
use super::name_words::{base, is_plural, words};
use super::scope::Scope;
use crate::error::{Error, SqlState};
use crate::sql::{in_message, literal, quoted};

/// The last words of a column that names a kind of row.
const TYPES: [&str; 9] = ["type", "class", "klass", "kind", "table", "model", "entity", "ct", "resource"];
/// Words that may follow them.
const ENDS: [&str; 3] = ["id", "name", "code"];
/// What a reference is called that can refer to any table. A single column `type` next to any other
/// one may mean something else.
const GENERIC: [&str; 16] = [
    "object",
    "record",
    "entity",
    "item",
    "resource",
    "target",
    "subject",
    "source",
    "reference",
    "ref",
    "model",
    "row",
    "element",
    "foreign",
    "related",
    "linked",
];

pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    for member in scope.members.iter().filter(|member| !member.is_key && member.shadow.is_none()) {
        // A foreign key says that all rows refer to this table, also if it is not valid yet.
        let has_foreign_key =
            scope.facts.foreign_keys.iter().any(|key| {
                key.child == member.table.oid && key.child_columns.contains(&member.old_id.number)
            });
        if has_foreign_key || member.stays() {
            continue;
        }
        if let Some(column) = type_column(member.table, member.old_id, &scope.key_of(member).column) {
            found.push(refusal(scope, member, column));
        }
    }
}

fn refusal(scope: &Scope<'_>, member: &Member<'_>, column: &Column) -> Finding {
    let key = &scope.key_of(member).column;
    let (name, reference, root) = (member.table_sql(), &member.old_id.name, key.table_sql());
    let error = Error::new(
        SqlState::FeatureNotSupported,
        format!(
            "column \"{}\" of table {} seems to say which table \"{reference}\" refers to", column.name, in_message(&name)),
    )
    .detail(format!(
        "Ids of other tables in \"{reference}\" would be taken for those of {}, and would be lost at the end.", in_message(&root)))
    .hint(format!(
        "If all rows refer to {root}, say so: ALTER TABLE {name} ADD FOREIGN KEY ({}) REFERENCES {root} NOT VALID. Otherwise name its values for this table: type_column => {}, type_values => '{{...}}'.",
        quoted(reference),
        literal(&column.name).trim()
    ));
    Finding::error(member.table, error)
}

/// The column of the table that says to which table a reference refers.
fn type_column<'a>(table: &'a Table, reference: &Column, key: &Member<'_>) -> Option<&'a Column> {
    let base = base(&reference.name);
    let is_type = |column: &&Column| {
        column.number != reference.number
            && can_be_type(&column.name, &column.type_name)
            && is_type_of(&words(&column.name), &base, key.table)
    };
    table.columns.iter().find(is_type)
}

/// Types that hold no words. Those of others, such as enums, may.
const NO_WORDS: [&str; 11] = [
    "boolean",
    "date",
    "interval",
    "numeric",
    "real",
    "double precision",
    "money",
    "uuid",
    "bytea",
    "json",
    "jsonb",
];

/// Whether a column can name kinds of rows, by its type. A number that does is called `type`; with another
/// name it is an id of something, as `service_resource_id` is next to `service_id`.
pub(super) fn can_be_type(name: &str, type_name: &str) -> bool {
    if ["smallint", "integer", "bigint"].contains(&type_name) {
        let words = words(name);
        let last = match words.as_slice() {
            [rest @ .., end] if ENDS.contains(&end.as_str()) => rest.last(),
            words => words.last(),
        };
        return last.is_some_and(|last| last == "type" || last == "ct");
    }
    !(NO_WORDS.contains(&type_name) || type_name.starts_with("time") || type_name.ends_with("[]"))
}

pub(super) fn is_type_of(column: &[String], base: &[String], root: &Table) -> bool {
    let is_type = |word: &String| TYPES.contains(&word.as_str());
    let column = match column {
        [rest @ .., end] if !rest.is_empty() && ENDS.contains(&end.as_str()) => rest,
        column => column,
    };
    let Some((last, before)) = column.split_last() else { return false };
    if !is_type(last) {
        return false;
    }
    // record_type and record_id.
    if !base.is_empty() && before == base {
        return true;
    }
    // actor_content_type_id and actor_object_id, as Django names them.
    if let ([prefix @ .., content], Some((object, own))) = (before, base.split_last())
        && content == "content"
        && last == "type"
        && object == "object"
        && prefix == own
    {
        return true;
    }
    // type and target_id, table_name and row_id.
    let is_generic = match base {
        [] => true,
        [only] => GENERIC.contains(&only.as_str()) && !names_table(only, root),
        _ => false,
    };
    is_generic && before.is_empty()
}

/// Whether a word is the name of a table, in the singular or in the plural.
fn names_table(word: &str, table: &Table) -> bool {
    is_plural(word, &words(&table.name).concat())
}

#[cfg(test)]
mod tests {
    use super::super::name_words::words;
    use super::{can_be_type, is_type_of};
    use crate::migration::facts::Table;

    fn is_type(column: &str, base: &str, root: &str) -> bool {
        let table = Table { name: root.to_owned(), ..Table::default() };
        is_type_of(&words(column), &words(base), &table)
    }

    #[test]
    fn fault_c10_a_number_is_a_kind_only_if_its_name_says_so() {
        for (name, type_name) in [
            ("record_kind", "text"),
            ("record_kind", "character varying"),
            ("record_class", "shop.kinds"),
            ("record_type", "smallint"),
            ("content_type_id", "integer"),
        ] {
            assert!(can_be_type(name, type_name), "{name} {type_name}");
        }
        for (name, type_name) in [
            ("service_resource_id", "bigint"),
            ("record_class", "integer"),
            ("record_type", "boolean"),
            ("record_type", "uuid"),
            ("record_type", "timestamp with time zone"),
            ("record_type", "text[]"),
        ] {
            assert!(!can_be_type(name, type_name), "{name} {type_name}");
        }
    }

    #[test]
    fn fault_c10_columns_that_say_which_table_is_meant() {
        for (column, base) in [
            ("record_type", "record"),
            ("recordType", "record"),
            ("RecordClass", "record"),
            ("item_type", "item"),
            ("auditable_type", "auditable"),
            ("content_type_id", "object"),
            ("actor_content_type_id", "actor_object"),
            ("entity_table", "entity"),
            ("table_name", "row"),
            ("type", "target"),
            ("model", "object"),
            ("owner_type_name", "owner"),
        ] {
            assert!(is_type(column, base, "orders"), "{column} next to {base}_id");
        }
        for (column, base, root) in [
            ("type", "order", "orders"),
            ("type", "item", "items"),
            ("payment_type", "order", "orders"),
            ("order_total", "order", "orders"),
            ("content_type", "order", "orders"),
            ("content_type", "attachment", "attachments"),
            ("prototype", "object", "orders"),
            ("name", "object", "orders"),
        ] {
            assert!(!is_type(column, base, root), "{column} next to {base}_id");
        }
    }
}
