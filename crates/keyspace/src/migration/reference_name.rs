//! References without a foreign key that have the name of another table of the migration: the caller
//! may have left out which of the keys they refer to, and rows would get other parents.

use super::facts::Table;
use super::finding::Finding;
use super::name_words::{base, is_plural, words};
use super::scope::Scope;
use crate::sql::{in_message, qualified};

pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    for member in scope.members.iter().filter(|member| !member.is_key && !member.declared) {
        let own = scope.key_of(member).column.table;
        let base = base(&member.old_id.name);
        if has_name(&base, own) {
            continue;
        }
        let tables = scope.keys.iter().map(|key| key.column.table);
        let Some(other) = tables.into_iter().find(|table| table.oid != own.oid && has_name(&base, table))
        else {
            continue;
        };
        let name = |table: &Table| qualified(&table.schema, &table.name);
        found.push(Finding::warning(
            member.table,
            format!(
                "column \"{}\" of table {} has the name of table {}, but refers to table {}", member.old_id.name, in_message(&name(member.table)), in_message(&name(other)), in_message(&name(own))),
            "Rows would get the keys of another table. If this is not intended, CALL key_migration_rollback(), create the migration again, and name the table with refers_to in key_migration_add_reference().",
        ));
    }
}

/// Whether the words are the name of a table, or its last words: `order` that of `shop_orders`.
pub(super) fn has_name(base: &[String], table: &Table) -> bool {
    let name = words(&table.name);
    let first = name.len().checked_sub(base.len());
    let last = first.and_then(|first| name.get(first..));
    !base.is_empty() && last.is_some_and(|last| is_plural(&base.concat(), &last.concat()))
}

#[cfg(test)]
mod tests {
    use super::{Table, base, has_name};

    #[test]
    fn names_of_tables() {
        let has = |reference: &str, table: &str| {
            has_name(&base(reference), &Table { name: table.to_owned(), ..Table::default() })
        };
        for (reference, table) in [
            ("order_id", "orders"),
            ("orderId", "Order"),
            ("category_id", "categories"),
            ("address_id", "customer_addresses"),
            ("order_line_no", "shop_order_lines"),
            ("order_line_id", "order_line"),
        ] {
            assert!(has(reference, table), "{reference} and {table}");
        }
        for (reference, table) in [
            ("order_id", "orderings"),
            ("id", "orders"),
            ("border_id", "orders"),
            ("shop_order_id", "orders"),
        ] {
            assert!(!has(reference, table), "{reference} and {table}");
        }
    }
}
