//! Cut-over, rollback and finalization: the statements that one short transaction runs on all
//! tables.

use super::facts::{Column, Facts, ForeignKey, Index, Table};
use super::names::is_our_comment;
use super::options::Options;
use super::phase::Phase;
use super::replacement_index;
use super::scope::{Key, Member, Scope};
use super::step::{Lock, Runs, Statement, Step};
use super::triggers::{create_trigger_statements, drop_trigger_statements};
use crate::sql::{literal, qualified, quoted};

/// An old object and its replacement, which swap names.
struct Pair {
    /// The current name of the old one.
    old: String,
    /// The current name of the new one.
    new: String,
    of: Renamed,
}

enum Renamed {
    Column(String),
    Constraint(String),
    Index(String),
}

impl Renamed {
    fn statement(&self, from: &str, to: &str) -> String {
        match self {
            Self::Column(table) => {
                format!("ALTER TABLE {table} RENAME COLUMN {} TO {}", quoted(from), quoted(to))
            }
            Self::Constraint(table) => {
                format!("ALTER TABLE {table} RENAME CONSTRAINT {} TO {}", quoted(from), quoted(to))
            }
            Self::Index(schema) => {
                format!("ALTER INDEX {} RENAME TO {}", qualified(schema, from), quoted(to))
            }
        }
    }
}

/// The tables in the order in which they are locked, which is always the same.
pub fn lock_order(scope: &Scope<'_>) -> Vec<u32> {
    let mut tables: Vec<u32> = scope.tables().iter().map(|table| table.oid).collect();
    // Tables with keys come first: most transactions that write to a table and to one that
    // refers to it start there.
    tables.sort_by_key(|oid| (scope.keys.iter().all(|key| key.column.table.oid != *oid), *oid));
    tables
}

/// The pairs that swap names at the cut-over.
fn pairs(scope: &Scope<'_>) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for table in scope.tables() {
        let name = qualified(&table.schema, &table.name);
        // A table that refers to the old ids only since the cut-over has no keys.
        for member in scope.members_of(table.oid).filter(|member| member.shadow.is_some()) {
            let of = Renamed::Column(name.clone());
            pairs.push(Pair { old: member.old_id.name.clone(), new: member.shadow_name.clone(), of });
        }
        for (index, replacement) in index_pairs(scope, table) {
            let of = Renamed::Index(table.schema.clone());
            pairs.push(Pair { old: index.name.clone(), new: replacement.name.clone(), of });
        }
    }
    for (old, replacement) in scope.foreign_keys() {
        if let (Some(replacement), Some(child)) = (replacement, scope.facts.table(old.child)) {
            let of = Renamed::Constraint(qualified(&child.schema, &child.name));
            pairs.push(Pair { old: old.name.clone(), new: replacement.name.clone(), of });
        }
    }
    pairs
}

/// The indexes on columns of old ids that have a replacement.
fn index_pairs<'a>(scope: &Scope<'a>, table: &'a Table) -> Vec<(&'a Index, &'a Index)> {
    let old: Vec<&Index> = scope.indexes(table).filter(|index| !scope.is_new(table, index)).collect();
    old.into_iter()
        .filter_map(|index| Some((index, replacement_index::existing(scope, table, index)?)))
        .collect()
}

/// The statements that give the new objects the names of the old ones.
pub(super) fn swap_names(scope: &Scope<'_>) -> Vec<String> {
    let mut statements = Vec::new();
    for pair in pairs(scope) {
        statements.push(pair.of.statement(&pair.old, &scope.options.old_name(&pair.old)));
        statements.push(pair.of.statement(&pair.new, &pair.old));
    }
    statements
}

/// The statements of the cut-over, for a transaction that has locked all tables. The columns of
/// keys take the names of the columns of old ids. The triggers change direction, and fill old ids
/// from keys.
pub fn cut_over(scope: &Scope<'_>) -> Vec<String> {
    let mut statements = swap_names(scope);
    for Key { column, .. } in &scope.keys {
        statements.push(format!(
            "ALTER TABLE {} ALTER COLUMN {} SET DEFAULT {}",
            column.table_sql(),
            quoted(&column.old_id.name),
            scope.options.target.default(&scope.facts.extension_schema)
        ));
    }
    for member in &scope.members {
        statements.extend(drop_trigger_statements(member));
        statements.extend(create_trigger_statements(scope, member, true));
    }
    statements
}

/// The statements that roll back a cut-over, for a transaction that has locked all tables.
pub fn roll_back(scope: &Scope<'_>) -> Vec<String> {
    let mut statements = Vec::new();
    for Key { column, .. } in &scope.keys {
        statements.push(format!(
            "ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT",
            column.table_sql(),
            quoted(&column.shadow_name)
        ));
    }
    for pair in pairs(scope) {
        statements.push(pair.of.statement(&pair.new, &scope.options.new_name(&pair.new)));
        statements.push(pair.of.statement(&pair.old, &pair.new));
    }
    for member in scope.members.iter().filter(|member| member.shadow.is_some()) {
        statements.extend(drop_trigger_statements(member));
        statements.extend(create_trigger_statements(scope, member, false));
    }
    statements
}

/// The statements that remove a migration before its cut-over, for a transaction that has locked all
/// tables. They depend on nothing that may be gone: the columns of old ids, or those of times. Checks
/// and indexes are dropped with their column.
pub fn remove(facts: &Facts, options: &Options) -> Vec<String> {
    let mut statements = Vec::new();
    let is_shadow = |table: u32, column: i16| {
        options.shadows.iter().any(|shadow| (shadow.0, shadow.2) == (table, column))
    };
    let is_new = |key: &&ForeignKey| {
        key.child_columns.iter().any(|column| is_shadow(key.child, *column))
            || key.parent_columns.iter().any(|column| is_shadow(key.parent, *column))
    };
    for key in facts.foreign_keys.iter().filter(is_new) {
        if let Some(child) = facts.table(key.child) {
            statements.push(drop_constraint(child, &key.name));
        }
    }
    for table in &facts.tables {
        let name = table_name(table);
        let ours = table.triggers.iter().filter(|trigger| trigger.is_ours);
        statements.extend(ours.map(|trigger| format!("DROP TRIGGER {} ON {name}", quoted(&trigger.name))));
        for column in table.columns.iter().filter(|column| is_shadow(table.oid, column.number)) {
            statements.push(format!("ALTER TABLE {name} DROP COLUMN {}", quoted(&column.name)));
        }
    }
    statements
}

/// The tables of a migration before its cut-over, in the order in which they are locked.
pub fn lock_order_of(facts: &Facts, options: &Options) -> Vec<u32> {
    let mut tables: Vec<u32> = facts.tables.iter().map(|table| table.oid).collect();
    tables.sort_by_key(|oid| (options.keys.iter().all(|key| key.table != *oid), *oid));
    tables
}

/// The statements that finalize a migration after its cut-over, for a transaction that has locked
/// all tables. The tables are then as if they had been created with such keys. Old ids that are
/// kept become ordinary columns, which nothing fills.
pub fn finalize(scope: &Scope<'_>, keep_old_ids: bool) -> Vec<Statement> {
    let mut statements: Vec<String> = Vec::new();
    for (old, replacement) in scope.foreign_keys() {
        if let (Some(_), Some(child)) = (replacement, scope.facts.table(old.child)) {
            statements.push(drop_constraint(child, &old.name));
        }
    }
    for member in &scope.members {
        statements.extend(drop_trigger_statements(member));
    }
    let mut made: Vec<Statement> = Vec::new();
    for table in scope.tables() {
        let name = qualified(&table.schema, &table.name);
        for (index, replacement) in index_pairs(scope, table) {
            if let Some(constraint) = &index.constraint {
                statements.push(drop_constraint(table, &constraint.name));
                let kind = if constraint.kind == "p" { "PRIMARY KEY" } else { "UNIQUE" };
                let replacement = quoted(&replacement.name);
                // If one of its columns may hold NULL, the planner looks for a check that rules
                // this out.
                made.push(evaluating(
                    table,
                    format!(
                        "ALTER TABLE {name} ADD CONSTRAINT {replacement} {kind} USING INDEX {replacement}"
                    ),
                ));
            }
            if index.is_replica_identity {
                let replacement = quoted(&replacement.name);
                made.push(evaluating(
                    table,
                    format!("ALTER TABLE {name} REPLICA IDENTITY USING INDEX {replacement}"),
                ));
            }
        }
    }
    for member in &scope.members {
        let (old, new) = (quoted(&member.old_id.name), quoted(&member.shadow_name));
        if keep_old_ids {
            statements.extend(plain_column(member));
        } else {
            statements.push(format!("ALTER TABLE {} DROP COLUMN {old}", member.table_sql()));
        }
        let name = |column: &Column| column.not_null_constraint.clone();
        if let (Some(old), Some(new)) = (name(member.old_id), member.shadow.and_then(name))
            && old != new
        {
            made.push(Renamed::Constraint(member.table_sql()).statement(&new, &old).into());
        }
        // Unless it was given another comment in the meantime.
        if member.shadow.is_none_or(|shadow| shadow.comment.as_deref().is_none_or(is_our_comment)) {
            let comment = member.old_id.comment.as_deref().map_or_else(|| "NULL".to_owned(), literal);
            made.push(format!("COMMENT ON COLUMN {}.{new} IS {comment}", member.table_sql()).into());
        }
    }
    statements.into_iter().map(Statement::from).chain(made).collect()
}

/// A statement in which PostgreSQL evaluates expressions of the table's owner.
fn evaluating(table: &Table, text: String) -> Statement {
    Statement { text, as_owner_of: Some(table.oid) }
}

/// The objects that are dropped with the old columns although nothing replaces them, each in a few
/// words. If the old ids are kept, the objects that can stay with them are omitted.
pub fn left_behind(scope: &Scope<'_>, keep_old_ids: bool) -> Vec<String> {
    let mut left = Vec::new();
    for (key, replacement) in scope.foreign_keys() {
        if replacement.is_none() {
            let child = scope.facts.table(key.child).map_or_else(String::new, table_name);
            left.push(format!("foreign key \"{}\" of table \"{child}\"", key.name));
        }
    }
    if keep_old_ids {
        return left;
    }
    for table in scope.tables() {
        for index in scope.indexes(table).filter(|index| !scope.is_new(table, index)) {
            if index.is_valid && replacement_index::existing(scope, table, index).is_none() {
                left.push(format!("index \"{}\"", index.name));
            }
        }
    }
    for member in &scope.members {
        let uses = member.table.dependents.iter().filter(|used| used.column == member.old_id.number);
        // Its own view does not count.
        for used in uses.filter(|used| scope.options.views.is_empty() || used.kind != "view") {
            left.push(format!("{} \"{}\"", used.kind, used.name));
        }
    }
    // A constraint over two columns is listed once.
    let mut seen = std::collections::HashSet::new();
    left.retain(|what| seen.insert(what.clone()));
    left
}

fn table_name(table: &Table) -> String {
    qualified(&table.schema, &table.name)
}

/// The statements that remove the identity or default of a column of old ids, and its NOT NULL.
fn plain_column(member: &Member<'_>) -> Vec<String> {
    let old_id = member.old_id;
    let alter = |what: &str| {
        format!("ALTER TABLE {} ALTER COLUMN {} {what}", member.table_sql(), quoted(&old_id.name))
    };
    let mut statements = Vec::new();
    if !old_id.identity.is_empty() {
        statements.push(alter("DROP IDENTITY"));
    } else if old_id.default.is_some() {
        statements.push(alter("DROP DEFAULT"));
    }
    if old_id.not_null {
        statements.push(alter("DROP NOT NULL"));
    }
    statements
}

fn drop_constraint(table: &Table, name: &str) -> String {
    format!("ALTER TABLE {} DROP CONSTRAINT {}", qualified(&table.schema, &table.name), quoted(name))
}

/// Adds the steps to a plan.
pub(super) fn steps(scope: &Scope<'_>, steps: &mut Vec<Step>) {
    let root = scope.root();
    let name = format!("{}::pg_catalog.regclass", literal(&qualified(&root.schema, &root.name)));
    let schema = &scope.facts.extension_schema;
    let mut step = Step::new(
        Phase::CutOver,
        root,
        "cut over",
        vec![format!(
            "CALL {schema}.key_migration_cutover({name}, way => 'rename'::pg_catalog.text, ignore => '{{}}'::pg_catalog.text[])"
        )],
    );
    step.lock = Some(Lock::AccessExclusive);
    step.runs = Runs::Procedure;
    step.done = scope.options.cut_over;
    step.detail = "locks all tables for as long as the renaming takes".to_owned();
    steps.push(step);
    let confirm = literal(&root.name);
    let mut step = Step::new(
        Phase::Finalized,
        root,
        "drop the old columns",
        vec![format!(
            "CALL {schema}.key_migration_finalize({name}, confirm => {confirm}::pg_catalog.text, keep_old_ids => false)"
        )],
    );
    step.lock = Some(Lock::AccessExclusive);
    step.runs = Runs::Procedure;
    step.detail = "cannot be undone".to_owned();
    steps.push(step);
}
