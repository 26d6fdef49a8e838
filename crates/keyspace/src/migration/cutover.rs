//! Cut-over, rollback and finalization: the statements that one short transaction runs on all
//! tables.

use super::checks::{self, Names};
use super::dropped_indexes;
use super::facts::{Column, Dependent, Facts, ForeignKey, Index, IndexConstraint, Table};
use super::foreign_keys;
use super::index_columns;
use super::kept_index;
use super::kept_values;
use super::lacking_old_ids::is_dropped;
use super::member::Member;
use super::moved_source;
use super::names::{self, is_our_comment};
use super::options::Options;
use super::phase::Phase;
use super::primary_key;
use super::properties;
use super::replacement_index;
use super::required;
use super::scope::Scope;
use super::settle;
use super::step::{Lock, Runs, Statement, Step};
use super::trigger_functions;
use super::triggers::{create_trigger_statements, drop_trigger_statements};
use crate::error::Error;
use crate::sql::{in_message, literal, qualified, quoted};

/// An old object and its replacement, which swap names.
struct Pair {
    /// The current name of the old one.
    old: String,
    /// The current name of the new one.
    new: String,
    of: Renamed,
    /// Whether the old one is dropped at the cut-over, so that only the new one gets another name.
    is_dropped: bool,
    /// Whether the old one has the name that applications know although keys lead: PostgreSQL has given it
    /// to the primary key of a partition that was created since.
    keeps_known_name: bool,
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

/// The tables in the order in which they are locked, which is always the same. A partitioned table
/// comes before its partitions, as for every statement that uses it.
pub fn lock_order(scope: &Scope<'_>) -> Vec<u32> {
    let mut tables: Vec<&Table> = scope.tables();
    // Tables with keys come first: most transactions that write to a table and to one that
    // refers to it start there.
    tables.sort_by_key(|table| (scope.keys.iter().all(|key| key.column.table.oid != table.oid), table.oid));
    let with_partitions = |table: &Table| {
        std::iter::once(table.oid)
            .chain(scope.partitions_of(table.oid).map(|one| one.oid))
            .collect::<Vec<_>>()
    };
    tables.into_iter().flat_map(with_partitions).collect()
}

/// The pairs that swap names at the cut-over.
fn pairs(scope: &Scope<'_>) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for table in scope.tables() {
        let name = qualified(&table.schema, &table.name);
        // A table that refers to the old ids only since the cut-over has no keys.
        let swapped = |member: &&Member<'_>| member.shadow.is_some() && !member.stays();
        for member in scope.members_of(table.oid).filter(swapped) {
            let of = Renamed::Column(name.clone());
            let (old, new) = (member.old_id.name.clone(), member.shadow_name.clone());
            pairs.push(Pair { old, new, of, is_dropped: false, keeps_known_name: false });
        }
    }
    for table in scope.tables_and_partitions() {
        let swapped = |(index, replacement): &(&Index, &Index)| {
            !replacement_index::keeps_name(scope, table, index)
                && !scope.index_stays(table.oid, index)
                && !primary_key::is_moved(scope, table, index, replacement)
        };
        for (index, replacement) in replacement_index::pairs(scope, table).into_iter().filter(swapped) {
            let of = Renamed::Index(table.schema.clone());
            let (old, new) = (index.name.clone(), replacement.name.clone());
            let keeps_known_name = has_known_name(scope, index);
            pairs.push(Pair { old, new, of, is_dropped: is_dropped(scope, table, index), keeps_known_name });
        }
    }
    for (old, replacement) in scope.foreign_keys() {
        if let (Some(replacement), Some(child)) = (replacement, scope.facts.table(old.child)) {
            let of = Renamed::Constraint(qualified(&child.schema, &child.name));
            let is_dropped = foreign_keys::moves(scope, old);
            let (old_name, new) = (old.name.clone(), replacement.name.clone());
            let keeps_known_name = false;
            pairs.push(Pair { old: old_name, new, of, is_dropped, keeps_known_name });
            // PostgreSQL does not rename those of partitions with it.
            for part in &old.parts {
                let new = replacement.parts.iter().find(|new| new.table == part.table);
                if let (Some(new), Some(table)) = (new, scope.facts.table(part.table)) {
                    let of = Renamed::Constraint(qualified(&table.schema, &table.name));
                    let (old, new) = (part.name.clone(), new.name.clone());
                    pairs.push(Pair { old, new, of, is_dropped, keeps_known_name });
                }
            }
        }
    }
    pairs
}

/// Whether the primary key of a partition has its usual name although keys lead.
fn has_known_name(scope: &Scope<'_>, index: &Index) -> bool {
    let is_of_partition = index.is_primary && index.parent.is_some();
    is_of_partition && scope.options.cut_over && !index.name.ends_with(&scope.options.old_suffix)
}

/// The statements that give the new objects the names of the old ones.
pub(super) fn swap_names(scope: &Scope<'_>) -> Vec<String> {
    let mut statements = swap_index_columns(scope);
    statements.extend(swap_object_names(scope));
    statements
}

/// Those for the columns of partitioned indexes, as long as all indexes are there and have their names.
fn swap_index_columns(scope: &Scope<'_>) -> Vec<String> {
    index_columns::with_columns(scope, |member| names_after_cut_over(scope, member))
}

/// Those for all others.
fn swap_object_names(scope: &Scope<'_>) -> Vec<String> {
    let mut statements = Vec::new();
    for pair in pairs(scope) {
        if !pair.is_dropped {
            statements.push(pair.of.statement(&pair.old, &scope.options.old_name(&pair.old)));
        }
        statements.push(pair.of.statement(&pair.new, &pair.old));
    }
    statements
}

/// The statements of the cut-over, for a transaction that has locked all tables. The columns of
/// keys take the names of the columns of old ids. The triggers change direction, and fill old ids
/// from keys.
pub fn cut_over(scope: &Scope<'_>) -> Vec<Statement> {
    let mut moved: Vec<Statement> = plain(foreign_keys::drop_old(scope));
    moved.extend(plain(swap_index_columns(scope)));
    moved.extend(primary_key::cut_over(scope));
    moved.extend(plain(dropped_indexes::drop(scope)));
    let mut statements = swap_object_names(scope);
    statements.extend(dropped_indexes::properties(scope));
    for (column, default) in scope.new_defaults() {
        statements.push(format!(
            "ALTER TABLE {} ALTER COLUMN {} SET DEFAULT {default}",
            column.table_sql(),
            quoted(&column.old_id.name)
        ));
    }
    for member in &scope.members {
        statements.extend(drop_trigger_statements(member));
        statements.extend(create_trigger_statements(scope, member, true));
    }
    statements.extend(take_over(scope, |member| names_after_cut_over(scope, member)));
    statements.extend(foreign_keys::cut_over(scope, true));
    statements.extend(trigger_functions::compile_again(scope));
    moved.extend(plain(statements));
    moved
}

/// The names of columns after the cut-over.
fn names_after_cut_over(scope: &Scope<'_>, member: &Member<'_>) -> Names {
    if member.stays() {
        return names_that_stay(member);
    }
    Names { old: scope.options.old_name(&member.old_id.name), key: member.old_id.name.clone() }
}

/// The names of columns that keep them.
pub(super) fn names_that_stay(member: &Member<'_>) -> Names {
    Names { old: member.old_id.name.clone(), key: member.shadow_name.clone() }
}

/// Statements that evaluate no code of a table's owner.
fn plain(statements: Vec<String>) -> Vec<Statement> {
    statements.into_iter().map(Statement::from).collect()
}

/// The statements by which keys take over what old ids had: NOT NULL, checks, defaults and
/// privileges. `names` gives the names that columns have then.
pub(super) fn take_over(scope: &Scope<'_>, names: impl Fn(&Member<'_>) -> Names) -> Vec<String> {
    let mut statements = Vec::new();
    // An identity column is NOT NULL, so those of partitions move first, too.
    for member in scope.members.iter().chain(&scope.parts).filter(|_| scope.keeps_values()) {
        let Names { old, key } = names(member);
        statements.extend(moved_source::cut_over(scope, member, &old, &key));
    }
    for member in &scope.members {
        let Names { old, key } = names(member);
        statements.extend(properties::grants(&member.table_sql(), member.old_id, member.shadow, &key));
        statements.extend(required::cut_over(scope, member, &old, &key));
        statements.extend(properties::defaults(scope, member, &old, &key));
    }
    for part in &scope.parts {
        let Names { old, key } = names(part);
        statements.extend(properties::grants(&part.table_sql(), part.old_id, part.shadow, &key));
        statements.extend(properties::defaults(scope, part, &old, &key));
    }
    for table in scope.tables_and_partitions() {
        let names = |old: i16| scope.member(table.oid, old).map(&names);
        statements.extend(checks::cut_over(scope, table, names));
    }
    statements
}

/// The statements by which old ids get it back.
pub(super) fn give_back(scope: &Scope<'_>, names: impl Fn(&Member<'_>) -> Names) -> Vec<String> {
    let mut statements = Vec::new();
    for member in scope.members.iter().filter(|member| member.shadow.is_some()) {
        let Names { old, key } = names(member);
        if let Some(shadow) = member.shadow {
            statements.extend(properties::grants(&member.table_sql(), shadow, Some(member.old_id), &old));
        }
        statements.extend(required::roll_back(scope, member, &old, &key));
        statements.extend(properties::defaults(scope, member, &key, &old));
    }
    for part in &scope.parts {
        if let Some(shadow) = part.shadow {
            let Names { old, key } = names(part);
            statements.extend(properties::grants(&part.table_sql(), shadow, Some(part.old_id), &old));
            statements.extend(properties::defaults(scope, part, &key, &old));
        }
    }
    for table in scope.tables_and_partitions() {
        let names = |old: i16| scope.member(table.oid, old).map(&names);
        statements.extend(checks::roll_back(scope, table, names));
    }
    statements
}

/// The statements that roll back a cut-over, for a transaction that has locked all tables.
///
/// # Errors
/// 55000 if a primary key cannot move back.
pub fn roll_back(scope: &Scope<'_>) -> Result<Vec<Statement>, Error> {
    primary_key::check_roll_back(scope)?;
    dropped_indexes::check_roll_back(scope)?;
    let mut statements = foreign_keys::drop_moved(scope);
    statements.extend(primary_key::drop_moved(scope));
    for (column, _) in scope.new_defaults() {
        statements.push(format!(
            "ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT",
            column.table_sql(),
            quoted(&column.shadow_name)
        ));
    }
    let names = |member: &Member<'_>| {
        if member.stays() {
            return names_that_stay(member);
        }
        Names { old: member.shadow_name.clone(), key: scope.options.new_name(&member.shadow_name) }
    };
    statements.extend(index_columns::with_columns(scope, names));
    for pair in pairs(scope) {
        if pair.keeps_known_name {
            statements.push(pair.of.statement(&pair.new, &scope.options.new_name(&pair.old)));
            continue;
        }
        statements.push(pair.of.statement(&pair.new, &scope.options.new_name(&pair.new)));
        statements.push(pair.of.statement(&pair.old, &pair.new));
    }
    for member in scope.members.iter().filter(|member| member.shadow.is_some()) {
        statements.extend(drop_trigger_statements(member));
        statements.extend(create_trigger_statements(scope, member, false));
    }
    statements.extend(give_back(scope, names));
    statements.extend(foreign_keys::roll_back(scope, true));
    statements.extend(trigger_functions::compile_again(scope));
    let mut statements = plain(statements);
    statements.extend(kept_values::restore(scope));
    for member in scope.members.iter().chain(&scope.parts).filter(|_| scope.keeps_values()) {
        let Names { old, key } = names(member);
        statements.extend(plain(moved_source::roll_back(scope, member, &old, &key)));
    }
    statements.extend(primary_key::add_again(scope));
    statements.extend(plain(foreign_keys::add_again(scope)));
    Ok(statements)
}

/// The statements that remove a migration before its cut-over, for a transaction that has locked all
/// tables. They depend on nothing that may be gone: the columns of old ids, or those of times. Checks
/// and indexes are dropped with their column.
pub fn remove(facts: &Facts, options: &Options) -> Vec<String> {
    let mut statements = Vec::new();
    if let Ok(scope) = Scope::new(facts, options) {
        statements.extend(scope.members.iter().flat_map(|member| required::remove(&scope, member)));
        statements.extend(kept_index::remove(&scope));
        statements.extend(foreign_keys::remove(&scope));
    }
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
    // Partitions lose theirs with the partitioned table.
    for table in facts.tables.iter().filter(|table| table.parent.is_none()) {
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
    let is_top = |table: &&Table| table.parent.is_none();
    let mut tops: Vec<u32> = facts.tables.iter().filter(is_top).map(|table| table.oid).collect();
    tops.sort_by_key(|oid| (options.keys.iter().all(|key| key.table != *oid), *oid));
    let mut tables = Vec::new();
    for top in tops {
        // Level by level, as `lock_order` does.
        let mut level = vec![top];
        while !level.is_empty() {
            tables.extend(&level);
            let is_next = |table: &&Table| table.parent.is_some_and(|parent| level.contains(&parent));
            level = facts.tables.iter().filter(is_next).map(|table| table.oid).collect();
        }
    }
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
    statements.extend(index_columns::at_end(scope, keep_old_ids));
    let mut made: Vec<Statement> = Vec::new();
    for table in scope.tables_and_partitions() {
        let pairs = replacement_index::pairs(scope, table);
        for (index, replacement) in
            pairs.into_iter().filter(|(index, _)| !scope.index_stays(table.oid, index))
        {
            end_index(scope, table, (index, replacement), keep_old_ids, &mut statements, &mut made);
        }
    }
    for (old, replacement) in scope.foreign_keys() {
        if let (Some(replacement), Some(child), Some(comment)) =
            (replacement, scope.facts.table(old.child), &old.comment)
            && replacement.comment.is_none()
        {
            let of = qualified(&child.schema, &child.name);
            made.push(properties::comment_on_constraint(&of, &replacement.name, comment).into());
        }
    }
    for part in &scope.parts {
        made.extend(properties::of_column(part).into_iter().map(Statement::from));
    }
    for member in &scope.members {
        let (old, new) = (quoted(&member.old_id.name), quoted(&member.shadow_name));
        made.extend(required::at_end(scope, member, keep_old_ids || member.stays()));
        made.extend(properties::of_column(member).into_iter().map(Statement::from));
        if member.stays() {
            statements.extend(without_not_null(member));
        } else if keep_old_ids {
            statements.extend(plain_column(member));
        } else {
            statements.push(format!("ALTER TABLE {} DROP COLUMN {old}", member.table_sql()));
        }
        let name = |column: &Column| column.not_null_constraint.clone().filter(|_| !member.stays());
        // PostgreSQL renames that of a partitioned table only together with those of all partitions,
        // of which each must have the same name.
        let is_shared = |new: &String| {
            let parts = scope.parts.iter().filter(|part| {
                part.old_id.name == member.old_id.name
                    && scope.facts.top_of(part.table.oid) == member.table.oid
            });
            parts.filter_map(|part| part.shadow).all(|shadow| name(shadow).as_ref() == Some(new))
        };
        let new_name = member.shadow.and_then(name).filter(is_shared);
        // If the old column has none any more, the name is the one that PostgreSQL would choose.
        let chosen =
            new_name.as_ref().filter(|new| new.ends_with(&format!("{}{NOT_NULL}", scope.options.new_suffix)));
        let chosen = chosen.map(|_| {
            names::suffixed(&format!("{}_{}", member.table.name, scope.known_column(member)), NOT_NULL)
        });
        if let (Some(old), Some(new)) = (name(member.old_id).or(chosen), new_name)
            && old != new
        {
            made.push(Renamed::Constraint(member.table_sql()).statement(&new, &old).into());
        }
        let comment = member.old_id.comment.as_deref().filter(|_| !member.stays());
        // Unless it was given another comment in the meantime.
        if member.shadow.is_none_or(|shadow| shadow.comment.as_deref().is_none_or(is_our_comment)) {
            let comment = comment.map_or_else(|| "NULL".to_owned(), literal);
            made.push(format!("COMMENT ON COLUMN {}.{new} IS {comment}", member.table_sql()).into());
        }
    }
    statements.into_iter().map(Statement::from).chain(made).collect()
}

/// Ends the two indexes: the new one gets the constraint, the name and the properties of the old one.
/// Old ones without a constraint are dropped with their column.
fn end_index(
    scope: &Scope<'_>,
    table: &Table,
    (index, replacement): (&Index, &Index),
    keep_old_ids: bool,
    statements: &mut Vec<String>,
    made: &mut Vec<Statement>,
) {
    let of = qualified(&table.schema, &table.name);
    // After the cut-over, the new one has the name already, unless the old one kept it.
    let keeps = replacement_index::keeps_name(scope, table, index)
        && !primary_key::is_moved(scope, table, index, replacement);
    let keeps = keeps || has_known_name(scope, index);
    let name = if keeps { index.name.as_str() } else { replacement.name.as_str() };
    let rename = Renamed::Index(table.schema.clone());
    match &index.constraint {
        Some(constraint) if constraint.kind == "p" && (table.is_partitioned() || index.parent.is_some()) => {
            if keeps {
                made.push(rename.statement(&replacement.name, name).into());
            }
            // Those of partitions belong to that of the table.
            if index.parent.is_none() {
                statements.push(drop_constraint(table, &constraint.name));
                made.push(primary_key::of_partitioned_table(scope, table, name).into());
            }
        }
        Some(constraint) => {
            // That of a partition is dropped with the one that it belongs to.
            if index.parent.is_none() {
                statements.push(drop_constraint(table, &constraint.name));
            }
            match (&replacement.constraint, constraint.kind.as_str()) {
                // It is a unique constraint until now, and PostgreSQL has no way to make a primary
                // key of it but to build its index again.
                (Some(unique), "p") => {
                    made.push(drop_constraint(table, &unique.name).into());
                    made.push(evaluating(
                        table,
                        add_primary_key(scope, table, replacement, name, constraint),
                    ));
                }
                (Some(_), _) if keeps => made.push(rename.statement(&replacement.name, name).into()),
                (Some(_), _) => {}
                (None, kind) => {
                    let kind = if kind == "p" { "PRIMARY KEY" } else { "UNIQUE" };
                    // If one of its columns may hold NULL, the planner looks for a check that rules
                    // this out.
                    let (name, index) = (quoted(name), quoted(&replacement.name));
                    made.push(evaluating(
                        table,
                        format!("ALTER TABLE {of} ADD CONSTRAINT {name} {kind} USING INDEX {index}"),
                    ));
                }
            }
        }
        None if keeps => {
            if keep_old_ids {
                statements.push(rename.statement(&index.name, &scope.options.old_name(&index.name)));
            }
            made.push(rename.statement(&replacement.name, name).into());
        }
        // Those of partitions are dropped with it.
        None if keep_old_ids && replacement.is_primary && index.parent.is_none() => {
            statements.push(kept_index::drop(table, index));
        }
        None => {}
    }
    if index.is_replica_identity {
        let name = quoted(name);
        made.push(evaluating(table, format!("ALTER TABLE {of} REPLICA IDENTITY USING INDEX {name}")));
    }
    let targets = properties::statistics_of_index(table, index, Some(replacement), name);
    made.extend(targets.into_iter().map(Statement::from));
    made.extend(properties::of_index(table, index, replacement, name).into_iter().map(Statement::from));
}

/// A primary key whose index is built under the lock.
fn add_primary_key(
    scope: &Scope<'_>,
    table: &Table,
    replacement: &Index,
    name: &str,
    constraint: &IndexConstraint,
) -> String {
    let list = |columns: &mut dyn Iterator<Item = i16>| {
        columns.map(|column| scope.column_sql(table, column)).collect::<Vec<_>>().join(", ")
    };
    let mut sql = format!(
        "ALTER TABLE {} ADD CONSTRAINT {} PRIMARY KEY ({})",
        qualified(&table.schema, &table.name),
        quoted(name),
        list(&mut replacement.keys.iter().map(|key| key.column))
    );
    if !replacement.include.is_empty() {
        sql.push_str(&format!(" INCLUDE ({})", list(&mut replacement.include.iter().copied())));
    }
    if !replacement.options.is_empty() {
        sql.push_str(&format!(" WITH ({})", replacement.options.join(", ")));
    }
    if let Some(tablespace) = &replacement.tablespace {
        sql.push_str(&format!(" USING INDEX TABLESPACE {}", quoted(tablespace)));
    }
    sql.push_str(replacement_index::timing(constraint));
    sql
}

/// The end of the names that PostgreSQL gives to NOT NULL constraints.
const NOT_NULL: &str = "_not_null";

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
            left.push(format!("foreign key \"{}\" of table {}", key.name, in_message(&child)));
        }
    }
    let with_default = scope.members.iter().chain(scope.parts_with_own_default());
    for member in with_default.filter(|member| !member.stays() && properties::loses_default(member)) {
        left.push(format!("the default of column \"{}\"", member.old_id.name));
    }
    if keep_old_ids {
        return left;
    }
    for table in scope.tables_and_partitions() {
        let lost = |index: &&Index| !scope.is_new(table, index) && !scope.index_stays(table.oid, index);
        for index in scope.indexes(table).filter(lost) {
            if index.is_valid && replacement_index::existing(scope, table, index).is_none() {
                left.push(format!("index \"{}\"", index.name));
            }
        }
    }
    for member in scope.members.iter().chain(&scope.parts).filter(|member| !member.stays()) {
        let uses = member.table.dependents.iter().filter(|used| !is_inherited(member.table, used));
        let uses = uses.filter(|used| used.column == member.old_id.number);
        // Its own view does not count.
        for used in uses.filter(|used| scope.options.views.is_empty() || used.kind != "view") {
            let is_ours = |name: &str| {
                member
                    .table
                    .checks
                    .iter()
                    .any(|check| check.name == name && required::is_ours(scope, member.table, check))
            };
            if used.kind != "check constraint" || !is_ours(&used.name) {
                left.push(used.described());
            }
        }
    }
    // A constraint over two columns is listed once.
    let mut seen = std::collections::HashSet::new();
    left.retain(|what| seen.insert(what.clone()));
    left
}

/// Whether something that depends on a column of a partition belongs to the partitioned table.
pub(super) fn is_inherited(table: &Table, used: &Dependent) -> bool {
    table.parent.is_some()
        && match used.kind.as_str() {
            "check constraint" => {
                table.checks.iter().any(|check| check.is_inherited && check.name == used.name)
            }
            "trigger" => table.triggers.iter().any(|one| one.is_clone && one.name == used.name),
            _ => false,
        }
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
    statements.extend(without_not_null(member));
    statements
}

/// The statement that removes NOT NULL from a column of old ids.
fn without_not_null(member: &Member<'_>) -> Option<String> {
    let column = quoted(&member.old_id.name);
    let statement = format!("ALTER TABLE {} ALTER COLUMN {column} DROP NOT NULL", member.table_sql());
    member.old_id.not_null.then_some(statement)
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
    let moves = if scope.options.move_primary_key {
        "; primary keys and foreign keys move to the new columns, and those on old ids are dropped"
    } else {
        ""
    };
    let partitions = if scope.parts.is_empty() { "" } else { " with all of their partitions" };
    step.detail = format!("locks all tables{partitions} for as long as the renaming takes{moves}");
    steps.push(step);
    if scope.options.cut_over {
        steps.extend(settle::steps(scope));
    }
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
