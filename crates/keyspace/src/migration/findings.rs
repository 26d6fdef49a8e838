//! The findings before the first step, including those that prevent a migration from starting.

use super::checks;
use super::cutover::is_inherited;
use super::facts::{Check, Column, ForeignKey, Index, OtherOwner, Table, Trigger};
use super::finding::{Finding, list, list_of_objects};
use super::foreign_key_notes::marked_keys;
use super::foreign_keys::is_trusted;
use super::key_column::nondeterministic;
use super::member::Member;
use super::old_id::IdKind;
use super::options::Target;
use super::properties::{DefaultOf, default_of};
use super::required;
use super::scope::{Key, Scope};
use super::stranger::stranger;
use super::{
    clashes, condition_findings, kept_values, key_reference, limits, live_triggers, lookup_index,
    narrow_reference, numeric_findings, old_id_source, partitioned_key_findings, partitions, permissions,
    reference_name, replacement_index, replicated, rules, trigger_functions, type_column, undeclared,
};

use crate::error::{Error, SqlState};
use crate::keys::derived::MAX_ID;
use crate::sql::{in_message, qualified, quoted};

/// An index that gets no replacement.
pub(super) fn index_left(table: &Table, index: &Index, why: &str) -> Finding {
    let name = qualified(&table.schema, &index.name);
    Finding::warning(table, format!("no replacement will be built for index {}", in_message(&name)), why)
}

/// An index that cannot be used as it is, and gets no replacement.
pub(super) fn index_not_valid(table: &Table, index: &Index) -> Finding {
    let name = qualified(&table.schema, &index.name);
    Finding::warning(
        table,
        format!("index {} is not valid, so no replacement will be built for it", in_message(&name)),
        "Its build was interrupted or is still in progress. It will be dropped with the old column. To drop it earlier, use DROP INDEX CONCURRENTLY. To have a replacement built, rebuild it with REINDEX INDEX CONCURRENTLY.",
    )
}

/// All findings.
pub(super) fn find(scope: &Scope<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for table in scope.tables_and_partitions() {
        tables(scope, table, &mut found);
        triggers(scope, table, &mut found);
    }
    partitions::find(scope, &mut found);
    for member in &scope.members {
        member_columns(scope, member, &mut found);
        owner(scope, member, &mut found);
    }
    for (key, replacement) in scope.foreign_keys() {
        foreign_key(scope, key, &mut found);
        if let Some((table, error)) = stranger(scope, key, replacement) {
            found.push(Finding::error(table, error));
        }
    }
    for key in marked_keys(scope.facts) {
        let refusal = stranger(scope, key, None);
        found.extend(refusal.map(|(table, error)| Finding::error(table, error)));
    }
    for key in &scope.keys {
        values(scope, key, &mut found);
    }
    permissions::find(scope, &mut found);
    live_triggers::find(scope, &mut found);
    replicated::find(scope, &mut found);
    clashes::find(scope, &mut found);
    limits::find(scope, &mut found);
    if !scope.keeps_values() {
        type_column::find(scope, &mut found);
        reference_name::find(scope, &mut found);
        condition_findings::find(scope, &mut found);
    }
    lookup_index::find(scope, &mut found);
    partitioned_key_findings::find(scope, &mut found);
    key_reference::find(scope, &mut found);
    undeclared::find(scope, &mut found);
    narrow_reference::find(scope, &mut found);
    numeric_findings::find(scope, &mut found);
    replacement_index::find(scope, &mut found);
    old_id_source::find(scope, &mut found);
    kept_values::find(scope, &mut found);
    trigger_functions::find(scope, &mut found);
    // Refusals come first.
    found.sort_by_key(|finding| finding.severity);
    found
}

/// Checks that existing rows may violate, without those of the migration.
pub fn not_valid<'a>(scope: &'a Scope<'_>, table: &'a Table) -> impl Iterator<Item = &'a Check> {
    table.checks.iter().filter(move |check| !check.validated && !required::is_ours(scope, table, check))
}

fn tables<'a>(scope: &Scope<'a>, table: &'a Table, found: &mut Vec<Finding>) {
    let name = qualified(&table.schema, &table.name);
    let refuse = |sqlstate, message: String, detail: &str, hint: &str| {
        let mut error = Error::new(sqlstate, message).hint(hint);
        error.detail = (!detail.is_empty()).then(|| detail.to_owned());
        Finding::error(table, error)
    };
    // What a partition shares with its table is said once.
    let is_own = table.parent.is_none();
    if table.kind == "f" {
        found.push(Finding::error(table, partitions::foreign(table)));
        return;
    }
    if table.access_method != "heap" && !table.is_partitioned() {
        found.push(refuse(
            SqlState::FeatureNotSupported,
            format!("table {} uses access method \"{}\"", in_message(&name), table.access_method),
            "The backfill supports only heap tables.",
            "Use ALTER TABLE ... SET ACCESS METHOD heap.",
        ));
    }
    if table.is_partition && is_own {
        found.push(refuse(
            SqlState::FeatureNotSupported,
            format!(
                "table {} is a partition of a table that is not part of the migration",
                in_message(&name)
            ),
            "Columns cannot be added to a partition alone.",
            "Declare the reference on the partitioned table, or detach the partition.",
        ));
    } else if table.is_inherited && is_own && !table.is_partitioned() {
        inherited(scope, table, found);
    }
    if table.persistence == "t" || table.is_system {
        let what = if table.is_system { "belongs to PostgreSQL or an extension" } else { "is temporary" };
        found.push(refuse(
            SqlState::WrongObjectType,
            format!("table {} {what}", in_message(&name)),
            "",
            "Only permanent user tables can be migrated.",
        ));
    }
    if !table.is_owner {
        found.push(refuse(
            SqlState::InsufficientPrivilege,
            format!("must be owner of table {name}"),
            "",
            "Run the migration as a role that owns all of its tables.",
        ));
    }
    if table.is_owner && table.hides_rows {
        found.push(refuse(
            SqlState::InsufficientPrivilege,
            format!("row-level security policies of table {} apply to its owner", in_message(&name)),
            "The migration must be able to read every row.",
            "Use ALTER TABLE ... NO FORCE ROW LEVEL SECURITY during the migration, or run it as a role with BYPASSRLS.",
        ));
    }
    if let Some(rule) = table.rules.first() {
        found.push(refuse(
            SqlState::FeatureNotSupported,
            format!("table {} has rule \"{rule}\"", in_message(&name)),
            "Rules rewrite the statements of the backfill.",
            "Drop the rule, or replace it with a trigger.",
        ));
    }
    for key in scope.keys.iter().filter(|key| key.column.table.oid == table.oid) {
        for column in &key.options.include {
            if table.column_named(column).is_none() {
                let message = format!("column \"{column}\" of table {} does not exist", in_message(&name));
                let error = Error::new(SqlState::UndefinedColumn, message)
                    .hint("List columns of the table in include_columns.");
                found.push(Finding::error(table, error));
            }
            if scope.members_of(table.oid).any(|member| member.old_id.name == *column) {
                let message = format!(
                    "column \"{column}\" of table {} is dropped at the end of the migration",
                    in_message(&name)
                );
                let error = Error::new(SqlState::InvalidParameterValue, message)
                    .hint("List other columns in include_columns.");
                found.push(Finding::error(table, error));
            }
        }
    }
    let top = scope.facts.table(scope.facts.top_of(table.oid)).filter(|_| !is_own);
    let is_of_top = |name: &String| top.is_some_and(|top| top.publications.contains(name));
    let publications: Vec<String> =
        table.publications.iter().filter(|name| !is_of_top(name)).cloned().collect();
    if !publications.is_empty() {
        found.push(Finding::warning(
            table,
            format!("table {} is published by {}", in_message(&name), list(&publications)),
            "Add the new columns on the subscribers first. The backfill is replicated. A cut-over on only one side stops replication.",
        ));
    }
    let violated: Vec<String> = not_valid(scope, table)
        .map(|check| {
            let rows = match check.violations {
                None => String::new(),
                Some(0) => " (violated by no row)".to_owned(),
                Some(1) => " (violated by 1 row)".to_owned(),
                Some(rows) => format!(" (violated by {rows} rows)"),
            };
            format!("\"{}\"{rows}", check.name)
        })
        .collect();
    if is_own && !violated.is_empty() {
        let message = format!(
            "table {} has check constraints that are not valid: {}",
            in_message(&name),
            list_of_objects(&violated)
        );
        let hint = if scope.options.fire_triggers {
            "With fire_triggers, the backfill runs UPDATE statements, and fails on a row that violates a constraint."
        } else {
            "Existing rows that violate them still get keys, unless a constraint involves the new column."
        };
        found.push(Finding::warning(table, message, hint));
    }
    match table.replica_identity.as_str() {
        "f" => found.push(Finding::warning(
            table,
            format!("table {} has replica identity FULL", in_message(&name)),
            "For each row that it updates, the backfill writes both the old and the new version to WAL.",
        )),
        "n" => found.push(Finding::warning(
            table,
            format!("table {} has replica identity NOTHING", in_message(&name)),
            "The backfill fails if the updates of the table are published. Give the table another replica identity.",
        )),
        _ => {}
    }
    if is_own {
        wide_rows(scope, table, found);
    }
    let is_key =
        |index: &Index| scope.keys.iter().any(|key| index.is_primary && key.column.table.oid == table.oid);
    let unique: Vec<String> = scope
        .indexes(table)
        .filter(|index| index.is_unique && index.is_valid && index.parent.is_none())
        .filter(|index| !is_key(index) && !scope.is_new(table, index))
        .map(|index| index.name.clone())
        .collect();
    if !unique.is_empty() && !scope.options.cut_over {
        found.push(Finding::warning(
            table,
            format!("table {} has unique indexes that exist twice until the migration is finalized: {}", in_message(&name), list(&unique)),
            "Until then, concurrent INSERT ... ON CONFLICT statements can fail with SQLSTATE 23505 on the index that they do not name. Retry such statements.",
        ));
    }
    // What uses a column that stays goes on.
    for member in scope.members_of(table.oid).filter(|member| !member.stays()) {
        let mut kinds: Vec<(&str, Vec<String>)> = Vec::new();
        for dependent in &table.dependents {
            let is_carried = dependent.kind == "check constraint"
                && table.checks.iter().filter(|check| check.name == dependent.name).any(|check| {
                    required::is_ours(scope, table, check) || checks::moves(scope, table, check)
                });
            let is_said = is_carried || is_inherited(table, dependent);
            if dependent.column == member.old_id.number && !is_said {
                match kinds.iter_mut().find(|(kind, _)| *kind == dependent.kind) {
                    Some((_, names)) => names.push(dependent.in_message()),
                    None => kinds.push((&dependent.kind, vec![dependent.in_message()])),
                }
            }
        }
        // The new column will own the sequence.
        kinds.retain(|(kind, _)| *kind != "default" || !scope.keeps_values());
        for (kind, mut names) in kinds {
            names.dedup();
            let column = &member.old_id.name;
            if kind == "rule" {
                found.push(rules::finding(scope, table, member, &names));
                continue;
            }
            let (message, hint) = match kind {
                "default" => (
                    format!(
                        "default of {} uses the sequence owned by column \"{column}\" of table {}",
                        list_of_objects(&names),
                        in_message(&name)
                    ),
                    "The sequence would be dropped with the column, so this default prevents the column from being dropped. Use ALTER SEQUENCE ... OWNED BY NONE.",
                ),
                "check constraint" => (
                    format!(
                        "check constraint {} uses column \"{column}\" of table {}",
                        list_of_objects(&names),
                        in_message(&name)
                    ),
                    "It compares values of old ids, or references to rows that need not exist, so it stays with the old column. Drop it before the migration is finalized.",
                ),
                "publication" => (
                    format!(
                        "publication {} lists column \"{column}\" of table {} or filters by it",
                        list_of_objects(&names),
                        in_message(&name)
                    ),
                    "After the cut-over it still uses the old id, and prevents the column from being dropped. After the cut-over, use ALTER PUBLICATION ... DROP TABLE and ALTER PUBLICATION ... ADD TABLE with the columns that you want to publish.",
                ),
                "object" => (
                    format!(
                        "column \"{column}\" of table {} is used by {}",
                        in_message(&name),
                        list_of_objects(&names)
                    ),
                    "After the cut-over it still uses the old id, and prevents the column from being dropped. Re-create it after the cut-over.",
                ),
                _ => (
                    format!(
                        "{kind} {} uses column \"{column}\" of table {}",
                        list_of_objects(&names),
                        in_message(&name)
                    ),
                    "After the cut-over it still uses the old id, and prevents the column from being dropped. Re-create it after the cut-over.",
                ),
            };
            found.push(Finding::warning(table, message, hint));
        }
    }
}

/// A table that inherits from others can have columns of its own, and they can be renamed and dropped.
fn inherited(scope: &Scope<'_>, table: &Table, found: &mut Vec<Finding>) {
    let name = qualified(&table.schema, &table.name);
    if table.has_children {
        let error = Error::new(
            SqlState::FeatureNotSupported,
            format!("other tables inherit from table {}", in_message(&name)),
        )
        .detail("A column that is added to it would be added to them, too, and keys would not be unique across all of these tables.")
        .hint("For the time of the migration, run ALTER TABLE ... NO INHERIT on the children, or make the tables partitions of a partitioned table.");
        found.push(Finding::error(table, error));
        return;
    }
    for member in scope.members_of(table.oid).filter(|member| member.old_id.is_inherited && !member.stays()) {
        let message =
            format!("column \"{}\" of table {} is inherited", member.old_id.name, in_message(&name));
        let error = Error::new(SqlState::FeatureNotSupported, message)
            .detail("It cannot be renamed or dropped in this table alone.")
            .hint(format!("For the time of the migration, run ALTER TABLE {name} NO INHERIT, with each table that the column comes from."));
        found.push(Finding::error(table, error));
    }
}

/// The longest row that fits on a page of the usual size.
const LONGEST_ROW: i64 = 8_160;

/// Warns of rows that a key may not fit into (fault C23).
fn wide_rows(scope: &Scope<'_>, table: &Table, found: &mut Vec<Finding>) {
    let missing = scope.members_of(table.oid).filter(|member| member.shadow.is_none()).count();
    let size = scope.options.target.size();
    let longest = LONGEST_ROW - i64::try_from(missing * size).unwrap_or(0);
    if missing > 0 && table.widest_row > longest {
        found.push(Finding::warning(
            table,
            format!("rows of table {} can be too wide for a new column", in_message(&qualified(&table.schema, &table.name))),
            format!(
                "A row must fit on a page: {LONGEST_ROW} bytes. The columns of the table can take up to {} bytes that cannot be moved out of line, and each key adds {size}. Once the new column exists, inserts and updates of rows for which this is too much fail. The backfill leaves such rows out and reports them.",
                table.widest_row
            ),
        ));
    }
}

fn triggers(scope: &Scope<'_>, table: &Table, found: &mut Vec<Finding>) {
    let name = qualified(&table.schema, &table.name);
    let is_clone = |trigger: &Trigger| trigger.is_clone && table.parent.is_some();
    let users: Vec<&Trigger> =
        table.triggers.iter().filter(|trigger| !trigger.is_ours && !is_clone(trigger)).collect();
    let fired: Vec<String> =
        users.iter().filter(|trigger| trigger.is_on_update()).map(|trigger| trigger.name.clone()).collect();
    if !fired.is_empty() {
        let message =
            format!("table {} has triggers that fire on UPDATE: {}", in_message(&name), list(&fired));
        let hint = if scope.options.fire_triggers {
            "They fire for every row that the backfill changes."
        } else {
            "They do not fire for the rows that the backfill changes."
        };
        found.push(Finding::warning(table, message, hint));
    }
    // Those for other columns do not fire for the backfill's changes, even if they are fired.
    let is_fired_by_keys = |trigger: &Trigger| {
        trigger.columns.is_empty()
            || scope.members_of(table.oid).any(|member| trigger.columns.contains(&member.shadow_number))
    };
    let always: Vec<String> = users
        .iter()
        .filter(|trigger| trigger.is_on_update() && trigger.enabled == "A" && is_fired_by_keys(trigger))
        .map(|trigger| trigger.name.clone())
        .collect();
    if !always.is_empty() && !scope.options.fire_triggers && !scope.options.filled.contains(&table.oid) {
        let message =
            format!("table {} has triggers that are ENABLE ALWAYS: {}", in_message(&name), list(&always));
        found.push(Finding::error(
            table,
            Error::new(SqlState::ObjectNotInPrerequisiteState, message)
                .detail("The backfill does not fire them, although they fire for every other change.")
                .hint("If a tool is copying the table, wait until it has ended. Otherwise use fire_triggers => true (with key_migration_set() once the migration exists), or ALTER TABLE ... ENABLE TRIGGER for the time of the migration."),
        ));
    }
    let late: Vec<String> = users
        .iter()
        .filter(|trigger| trigger.is_before_write() && trigger.name.as_str() > "~key_migration_")
        .map(|trigger| trigger.name.clone())
        .collect();
    if !late.is_empty() {
        found.push(Finding::warning(
            table,
            format!("table {} has triggers that fire after those of the migration: {}", in_message(&name), list(&late)),
            "If they change an old id or a timestamp, the key does not reflect the change. Give them names that sort before \"~\".",
        ));
    }
}

fn member_columns(scope: &Scope<'_>, member: &Member<'_>, found: &mut Vec<Finding>) {
    let (table, old_id) = (member.table, member.old_id);
    let name = member.table_sql();
    let of = format!("column \"{}\" of table {}", old_id.name, in_message(&name));
    let key = scope.key_of(member).column.old_id;
    if let Some(kind) = key.id_kind().filter(|kind| member.id_kind() != Some(*kind)) {
        let error =
            Error::new(SqlState::DatatypeMismatch, format!("{of} is of type {}", old_id.declared_type))
                .detail(format!("Only references of type {} can be migrated.", kind.types()))
                .hint(format!(
                    "Give it the type of the key: ALTER TABLE {name} ALTER COLUMN {column} TYPE {type_name} USING {column}::{type_name}.",
                    column = quoted(&old_id.name),
                    type_name = key.type_name
                ));
        found.push(Finding::error(table, error));
    }
    if old_id.is_nondeterministic && !member.is_key {
        found.push(Finding::error(table, nondeterministic(table, old_id)));
    }
    if !old_id.generated.is_empty() {
        let error = Error::new(SqlState::FeatureNotSupported, format!("{of} is a generated column"))
            .detail("The triggers that fill keys fire before generated columns are computed.");
        found.push(Finding::error(table, error));
    }
    // A domain over the type is accepted, too.
    let key_type = scope.options.target.type_name(&scope.facts.extension_schema);
    if let Some(shadow) = member.shadow.filter(|shadow| shadow.type_name != key_type) {
        let message = format!(
            "column \"{}\" of table {} is of type {}",
            shadow.name,
            in_message(&name),
            shadow.declared_type
        );
        let error = Error::new(SqlState::DatatypeMismatch, message)
            .detail(format!("The key migration needs a column of type {key_type}."))
            .hint("Change the column back to that type, or CALL key_migration_rollback().");
        found.push(Finding::error(table, error));
    }
    if !member.is_key && !member.declared && !scope.keeps_values() {
        let hint = if member.holds_numbers {
            "Rows that refer to no existing row get no key. A text refers to a row only if it is the number as PostgreSQL writes it: 42, not 042 or +42, and without spaces."
        } else if old_id.not_null && member.refers.is_none() {
            "Rows that refer to no existing row get no key, so the new column can be null until the migration is finalized."
        } else {
            "Rows that refer to no existing row get no key."
        };
        found.push(Finding::warning(
            table,
            format!("{of} refers to a key without a foreign key that is valid for every row"),
            hint,
        ));
    }
}

/// Refuses a table whose owner may not know what triggers look up for it in the referenced table.
fn owner(scope: &Scope<'_>, member: &Member<'_>, found: &mut Vec<Finding>) {
    let of = (member.key, member.table.oid, member.old_id.number);
    let is_same_reference = |other: &&OtherOwner| {
        !member.is_key && !scope.keeps_values() && (other.key, other.table, other.column) == of
    };
    let Some(other) = scope.facts.other_owners.iter().find(is_same_reference) else { return };
    let key = scope.key_of(member);
    let (name, root) = (member.table_sql(), key.column.table_sql());
    let role = quoted(&other.owner);
    let may_select = other.may_select
        || key.column.shadow.is_some_and(|shadow| {
            let time = key.time.source.own_column();
            let time = time.filter(|number| key.column.table.column(*number).is_some());
            [Some(key.column.old_id.number), time, Some(shadow.number)]
                .into_iter()
                .flatten()
                .all(|column| other.columns.contains(&column))
        });
    let may_read = other.may_use_schema && may_select;
    let has_foreign_key = scope.facts.foreign_keys.iter().any(|foreign| {
        (foreign.child, foreign.parent) == (member.table.oid, member.key)
            && foreign.child_columns.iter().zip(&foreign.parent_columns).any(|(own, other)| {
                (*own, *other) == (member.old_id.number, key.column.old_id.number)
                    || (*own, *other) == (member.shadow_number, key.column.shadow_number)
            })
    });
    let message =
        format!("owner {role} of table {} cannot read table {}", in_message(&name), in_message(&root));
    let mut grants = Vec::new();
    if !other.may_use_schema {
        grants.push(format!("GRANT USAGE ON SCHEMA {} TO {role}", quoted(&key.column.table.schema)));
    }
    if !may_select {
        grants.push(format!("GRANT SELECT ON {root} TO {role}"));
    }
    if other.hides_rows {
        let error = Error::new(SqlState::InsufficientPrivilege, message)
            .detail("The triggers of a key migration look up referenced rows in that table, but its row-level security policies apply to the owner.")
            .hint(format!("ALTER ROLE {role} BYPASSRLS, or give both tables the same owner."));
        found.push(Finding::error(member.table, error));
    } else if !may_read && !has_foreign_key {
        let error = Error::new(SqlState::InsufficientPrivilege, message)
            .detail("The triggers of a key migration look up referenced rows in that table, and no foreign key refers to it.")
            .hint(format!("{}.", grants.join("; ")));
        found.push(Finding::error(member.table, error));
    }
}

fn foreign_key(scope: &Scope<'_>, key: &ForeignKey, found: &mut Vec<Finding>) {
    let Some(child) = scope.facts.table(key.child) else { return };
    let name = qualified(&child.schema, &child.name);
    let of = format!("foreign key \"{}\" of table {}", key.name, in_message(&name));
    // After the cut-over, the one on old ids always is.
    if key.deferrable && !scope.options.cut_over && !scope.keeps_values() {
        found.push(Finding::warning(
            child,
            format!("{of} is deferrable"),
            "A row that is deleted and inserted again in one transaction gets another key. Rows that refer to it take that key only when they are updated. Once there is a foreign key on the new columns, such a transaction fails.",
        ));
    }
    let is_computed = |column: &i16| {
        scope
            .member(key.child, *column)
            .is_some_and(|member| default_of(member.old_id) == DefaultOf::Computed)
    };
    if !scope.keeps_values()
        && [key.on_delete.as_str(), key.on_update.as_str()].contains(&"d")
        && key.child_columns.iter().any(is_computed)
    {
        found.push(Finding::warning(
            child,
            format!("{of} uses SET DEFAULT"),
            "Before the cut-over, set the default of the new column to the key of the default row.",
        ));
    }
    if !is_trusted(key) {
        found.push(Finding::warning(
            child,
            format!("{of} is not valid"),
            if scope.keeps_values() {
                "The new foreign key is not validated either."
            } else {
                "The new foreign key is not validated either, and rows that refer to no existing row get no key."
            },
        ));
    }
}

fn values(scope: &Scope<'_>, key: &Key<'_>, found: &mut Vec<Finding>) {
    let table = key.column.table;
    let name = qualified(&table.schema, &table.name);
    for (_, sequence) in scope.facts.strays.iter().filter(|stray| stray.0 == table.oid) {
        found.push(stray(table, sequence));
    }
    found.extend(already_ordered(scope, key));
    if key.column.old_id.id_kind() != Some(IdKind::Integer) {
        let error = Error::new(
            SqlState::ObjectNotInPrerequisiteState,
            format!("the keys of table {} are derived from hashed values of column \"{}\"", in_message(&name), key.column.old_id.name),
        )
        .detail("Among rows with the same time, they are in no particular order, and the old ids cannot be read back from them.");
        found.push(Finding::note(table, error));
    }
    if let Some((_, least, greatest)) = scope.facts.key_ranges.iter().find(|range| range.0 == table.oid)
        && (*least < 0 || *greatest > MAX_ID)
        && !scope.keeps_values()
    {
        found.push(Finding::warning(
            table,
            format!("column \"{}\" of table {} has ids from {least} to {greatest}", key.column.old_id.name, in_message(&name)),
            format!("Ids below 0 or above {MAX_ID} do not fit into a key, so they are hashed. Among rows with the same time, their keys are in no particular order, and the ids cannot be read back from the keys."),
        ));
    }
}

/// Refuses keys that have been migrated before, or have always been of version 7.
fn already_ordered(scope: &Scope<'_>, key: &Key<'_>) -> Option<Finding> {
    let (table, column) = (key.column.table, key.column.old_id);
    let default = column.default.as_ref().filter(|default| default.contains("uuidv7("))?;
    if key.column.shadow.is_some() || scope.options.target != Target::Uuid || !is_uuid(column) {
        return None;
    }
    let name = qualified(&table.schema, &table.name);
    let message = format!("the primary key of table {} is already a UUID of version 7", in_message(&name));
    let error = Error::new(SqlState::ObjectNotInPrerequisiteState, message)
        .detail(format!("Column \"{}\" has the default {default}.", column.name))
        .hint("To migrate it because older rows have other keys, give the column the default gen_random_uuid() until the cut-over.");
    Some(Finding::error(table, error))
}

fn is_uuid(column: &Column) -> bool {
    column.id_kind() == Some(IdKind::Uuid)
}

/// Warns that old ids are still drawn from a sequence that other nodes may use, too (trap M23).
pub fn stray(table: &Table, sequence: &str) -> Finding {
    Finding::warning(
        table,
        format!("sequence {} is not restricted to the class of this node", in_message(sequence)),
        "After the cut-over, new rows still get old ids from it, and other nodes can generate the same ids. Run setup_interleaved_sequences().",
    )
}
