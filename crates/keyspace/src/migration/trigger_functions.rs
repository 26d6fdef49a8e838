//! Functions of a table's own triggers that name its columns (fault C04). The catalogs record no
//! dependency for the text of a function, but the trigger says which table it is.

use std::collections::BTreeSet;

use super::facts::{Table, Trigger};
use super::finding::Finding;
use super::numeric::is_numeric;
use super::old_id::IdKind;
use super::scope::Scope;
use super::surroundings::Surroundings;
use crate::sql::{in_message, qualified};

pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    let Some(surroundings) = &scope.facts.surroundings else { return };
    for table in scope.tables_and_partitions() {
        calls(scope, table, surroundings, found);
    }
    if !scope.options.cut_over {
        found.extend(not_compiled_again(scope));
    }
}

/// The statements after which every session compiles the functions of the tables' triggers again,
/// for a transaction that changes the types of columns. Otherwise sessions that have called them
/// before fail (`type of parameter 4 (uuid) does not match that when preparing the plan (bigint)`).
pub(super) fn compile_again(scope: &Scope<'_>) -> Vec<String> {
    let tables = scope.tables_and_partitions();
    let functions = tables.iter().flat_map(|table| &table.triggers).filter_map(|t| t.function.as_ref());
    // A trigger function can have many triggers.
    let functions: BTreeSet<(&str, &str)> = functions
        .filter(|function| function.may_alter)
        .map(|function| (function.sql.as_str(), function.cost.as_str()))
        .collect();
    // Any change counts, even one to the same value.
    functions.into_iter().map(|(sql, cost)| format!("ALTER FUNCTION {sql} COST {cost}")).collect()
}

/// Functions that read columns of the migration, and that the caller may not alter at the cut-over.
pub fn not_compiled_again(scope: &Scope<'_>) -> Vec<Finding> {
    let Some(surroundings) = &scope.facts.surroundings else { return Vec::new() };
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for table in scope.tables_and_partitions() {
        let calls = surroundings.table(table.oid).into_iter().flat_map(|uses| &uses.triggers);
        for call in calls {
            let trigger = table.triggers.iter().find(|trigger| trigger.name == call.name);
            let function = trigger.and_then(|trigger| trigger.function.as_ref());
            let (Some(function), Some(body)) = (function, &call.body) else { continue };
            let reads = scope
                .members_of(table.oid)
                .any(|member| !member.stays() && has_word(body, &member.old_id.name));
            if reads && !function.may_alter && seen.insert(&call.function) {
                let statement = format!("ALTER FUNCTION {} COST {}", call.function, function.cost);
                found.push(Finding::warning(
                    table,
                    format!(
                        "sessions that have called trigger function {} before the cut-over can fail after it",
                        call.function
                    ),
                    format!(
                        "They keep the types of the columns that they compiled it with. The cut-over makes them compile it again only if it runs as a role with the privileges of its owner, and if its name can be converted to UTF-8. Otherwise have its owner run {statement} right after the cut-over, and after a rollback."
                    ),
                ));
            }
        }
    }
    found
}

fn calls(scope: &Scope<'_>, table: &Table, surroundings: &Surroundings, found: &mut Vec<Finding>) {
    let name = qualified(&table.schema, &table.name);
    for call in surroundings.table(table.oid).into_iter().flat_map(|uses| &uses.triggers) {
        let of = format!("trigger \"{}\" of table {}", call.name, in_message(&name));
        if call.is_long {
            found.push(Finding::warning(
                table,
                format!("{of} calls function {}, whose body is too long to be searched", call.function),
                "See whether it uses columns that get other names and types at the cut-over.",
            ));
        }
        let arguments = table.triggers.iter().find(|trigger| trigger.name == call.name);
        for member in scope.members_of(table.oid).filter(|member| !member.stays()) {
            let column = &member.old_id.name;
            let passes = arguments.is_some_and(|trigger| passes(trigger, column));
            if !passes && !call.body.as_deref().is_some_and(|body| has_word(body, column)) {
                continue;
            }
            let message = if passes {
                format!("{of} passes the name \"{column}\" to function {}", call.function)
            } else {
                format!("{of} calls function {}, which contains the name \"{column}\"", call.function)
            };
            let old = scope.options.old_name(column);
            let type_name = match member.old_id.id_kind() {
                Some(IdKind::Uuid) => "uuid",
                Some(IdKind::Text) => "text",
                Some(IdKind::Integer) if is_numeric(member.old_id) => "numeric",
                Some(IdKind::Integer) | None => "bigint",
            };
            let hint = if scope.options.cut_over {
                "The migration has been cut over. Until it is finalized, see that the function means the right one of the two columns.".to_owned()
            } else if scope.keeps_values() {
                format!(
                    "After the cut-over, \"{column}\" is of type bigint, with the same values. See that the function can take larger ones, for example in its variables."
                )
            } else {
                format!(
                    "After the cut-over, \"{column}\" is the key, and the old id is \"{old}\". If the function needs the old id, change it before the cut-over: PL/pgSQL can read it at any time as coalesce(to_jsonb(NEW) ->> '{old}', to_jsonb(NEW) ->> '{column}')::{type_name}. If it only passes the value on to a column of the same migration, leave it."
                )
            };
            found.push(Finding::warning(table, message, hint));
        }
        let is_prepared = scope.members_of(table.oid).all(|member| member.shadow.is_some());
        if !is_prepared && call.body.as_deref().is_some_and(takes_all_columns) {
            found.push(Finding::warning(
                table,
                format!("{of} calls function {}, which takes all columns of a row", call.function),
                "From the phase \"prepared\" on, a row has more columns, so that an INSERT of NEW.* or OLD.* into a table without them fails. List the columns before.",
            ));
        }
    }
}

/// Whether one of the arguments of a trigger is the name.
fn passes(trigger: &Trigger, name: &str) -> bool {
    trigger.arguments.iter().any(|argument| argument.eq_ignore_ascii_case(name))
}

/// Whether a character can be part of a name.
fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// Whether a text contains a name as a word, in capitals or not.
fn has_word(text: &str, name: &str) -> bool {
    let (text, name) = (text.to_lowercase(), name.to_lowercase());
    !name.is_empty()
        && text.match_indices(&name).any(|(at, found)| {
            let before = text[..at].chars().next_back();
            let after = text[at + found.len()..].chars().next();
            !before.is_some_and(is_part) && !after.is_some_and(is_part)
        })
}

/// Whether a text contains `NEW.*` or `OLD.*`.
fn takes_all_columns(text: &str) -> bool {
    let text = text.to_lowercase();
    ["new", "old"].iter().any(|row| {
        text.match_indices(row).any(|(at, found)| {
            let before = text[..at].chars().next_back();
            let after = text[at + found.len()..].trim_start();
            let star = after.strip_prefix(')').map_or(after, str::trim_start).strip_prefix('.');
            !before.is_some_and(is_part) && star.is_some_and(|rest| rest.trim_start().starts_with('*'))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{has_word, takes_all_columns};

    #[test]
    fn fault_c04_a_column_is_found_as_a_word() {
        for text in ["PERFORM f(NEW.id);", "new.\"ID\"", "x:=NEW . id", "execute 'select $1.id'", "id"] {
            assert!(has_word(text, "id"), "{text}");
        }
        for text in ["NEW.order_id", "identity", "did", "NEW.id2", "NEW.id$", "", "grid"] {
            assert!(!has_word(text, "id"), "{text}");
        }
        assert!(has_word("NEW.Größe := 1", "größe"));
        assert!(!has_word("anything", ""));
    }

    #[test]
    fn fault_c04_whole_rows_are_found() {
        for text in ["VALUES (NEW.*)", "select old . *", "SELECT (NEW).*"] {
            assert!(takes_all_columns(text), "{text}");
        }
        for text in ["NEW.a * 2", "renew.*", "t.*", "NEW", "news.*"] {
            assert!(!takes_all_columns(text), "{text}");
        }
    }
}
