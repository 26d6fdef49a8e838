//! Foreign keys of partitioned tables that a rollback adds again.
//!
//! Up to PostgreSQL 17, a partitioned table cannot have one that is NOT VALID, and a valid one reads the
//! rows under the locks of the rollback. So each partition gets one that is not valid, with a mark in its
//! comment. Once they are valid, one partition after the other, that of the table takes them over.
//!
//! Until then, partitions come and go, and PostgreSQL gives a new one no foreign key. So the comment on
//! the new column of the partitioned table [notes](super::foreign_key_notes) which foreign keys it is to
//! have. Every statement that is made from a note runs as the owner of the table, who needs REFERENCES for
//! it, and may run code in the table's indexes that PostgreSQL evaluates.

use super::facts::{ForeignKey, Table};
use super::foreign_key_definition::{own_definition, validate_step};
use super::foreign_key_notes::{Note, marked_keys, noted, notes, on_top, with_notes};
use super::member::Member;
use super::names::{marked, suffixed, without_mark};
use super::phase::Phase;
use super::properties;
use super::scope::Scope;
use super::step::{Lock, Step};
use crate::sql::{qualified, quoted};

/// The same foreign key on the columns that have old ids before a cut-over.
fn on_old_ids(scope: &Scope<'_>, key: &ForeignKey) -> ForeignKey {
    let old = |table: u32, columns: &[i16]| {
        let number = |column: &i16| {
            let is_it = |member: &&Member<'_>| member.shadow.is_some_and(|shadow| shadow.number == *column);
            scope.members_of(table).find(is_it).map_or(*column, |member| member.old_id.number)
        };
        columns.iter().map(number).collect()
    };
    ForeignKey {
        child_columns: old(key.child, &key.child_columns),
        set_columns: old(key.child, &key.set_columns),
        parent_columns: old(key.parent, &key.parent_columns),
        ..key.clone()
    }
}

/// The column with the note about a foreign key on old ids.
fn column_of_note<'a, 'b>(scope: &'b Scope<'a>, key: &ForeignKey) -> Option<&'b Member<'a>> {
    let is_its =
        |member: &&Member<'a>| member.shadow.is_some() && key.child_columns.contains(&member.old_id.number);
    scope.members_of(key.child).find(is_its)
}

/// The statement of the rollback that notes a foreign key, and all others whose notes are in the same
/// comment; `None` if that of another one does.
fn note_again(scope: &Scope<'_>, key: &ForeignKey) -> Option<String> {
    let of_key = on_old_ids(scope, key);
    let member = column_of_note(scope, &of_key)?;
    let moved = scope.moved_foreign_keys().into_iter();
    let moved = moved.filter(|one| one.child == key.child && one.validated && !one.not_enforced);
    let of_column = moved.map(|one| on_old_ids(scope, one)).filter(|one| {
        column_of_note(scope, one).is_some_and(|other| other.old_id.number == member.old_id.number)
    });
    let all: Vec<Note> = of_column.map(|one| Note::of(&one)).collect();
    if all.first()?.name != key.name {
        return None;
    }
    let (_, rest) = notes(member.shadow?.comment.as_deref());
    let column = scope.options.new_name(&member.shadow_name);
    Some(comment_on_column(member.table, &column, &with_notes(&all, rest)))
}

fn comment_on_column(table: &Table, column: &str, comment: &str) -> String {
    let of = qualified(&table.schema, &table.name);
    format!("COMMENT ON COLUMN {of}.{} IS {comment}", quoted(column))
}

/// The statements of the rollback for one foreign key.
pub(super) fn add_again(scope: &Scope<'_>, top: &Table, key: &ForeignKey, definition: &str) -> Vec<String> {
    let partitions = scope.with_rows(top);
    let add = |table: &Table, name: &str, validity: &str| {
        let of = qualified(&table.schema, &table.name);
        format!("ALTER TABLE {of} ADD CONSTRAINT {} {definition}{validity}", quoted(name))
    };
    if partitions.is_empty() {
        let comment = key.comment.as_deref();
        let of = qualified(&top.schema, &top.name);
        let comment = comment.map(|text| properties::comment_on_constraint(&of, &key.name, text));
        return std::iter::once(add(top, &key.name, "")).chain(comment).collect();
    }
    let mut statements = Vec::new();
    for partition in partitions {
        let part = key.parts.iter().find(|part| part.table == partition.oid);
        let name = part.map_or(key.name.as_str(), |part| part.name.as_str());
        statements.push(add(partition, name, " NOT VALID"));
        let of = qualified(&partition.schema, &partition.name);
        let comment = marked(key.comment.as_deref());
        statements.push(properties::comment_on_constraint(&of, name, &comment));
    }
    statements.extend(note_again(scope, key));
    statements
}

/// A foreign key that a partitioned table is to have.
struct Wanted<'a> {
    top: &'a Table,
    parent: &'a Table,
    /// On the columns of the table.
    key: ForeignKey,
    /// Those of partitions that have a mark.
    marked: Vec<&'a ForeignKey>,
}

/// All foreign keys that partitioned tables are to have: those with a note, and those of which only marks
/// on partitions are left, because the comment with the note was replaced.
fn wanted<'a>(scope: &Scope<'a>) -> Vec<Wanted<'a>> {
    let is_of_key = |key: &ForeignKey| {
        key.child_columns.iter().zip(&key.parent_columns).any(|(child, parent)| {
            scope.member(key.child, *child).is_some() && scope.member(key.parent, *parent).is_some()
        })
    };
    let tops = scope.tables().into_iter().filter(|table| table.is_partitioned());
    let mut keys: Vec<ForeignKey> = tops.flat_map(noted).filter(is_of_key).collect();
    let has_note = |key: &&ForeignKey| keys.iter().any(|noted| is_alike(scope, key, noted));
    let mut left: Vec<&ForeignKey> = marked_keys(scope.facts).filter(|key| !has_note(key)).collect();
    while let Some(first) = left.first().copied() {
        let (same, others): (Vec<_>, Vec<_>) = left.into_iter().partition(|key| is_alike(scope, key, first));
        left = others;
        // The name of most of them: that of one partition can have been taken.
        let count = |name: &str| same.iter().filter(|key| key.name == name).count();
        let chosen = same.iter().rev().max_by_key(|key| count(&key.name));
        keys.extend(chosen.and_then(|key| on_top(scope.facts, key)));
    }
    let of_key = |key: ForeignKey| {
        let (top, parent) = (scope.facts.table(key.child)?, scope.facts.table(key.parent)?);
        let has = |table: &Table, columns: &[i16]| columns.iter().all(|one| table.column(*one).is_some());
        let is_whole =
            has(top, &key.child_columns) && has(top, &key.set_columns) && has(parent, &key.parent_columns);
        let marked = marked_keys(scope.facts).filter(|one| is_alike(scope, one, &key)).collect();
        is_whole.then_some(Wanted { top, parent, key, marked })
    };
    keys.into_iter().filter_map(of_key).collect()
}

/// Whether two tables of one partitioned table refer to the same columns with the same columns.
fn is_alike(scope: &Scope<'_>, one: &ForeignKey, other: &ForeignKey) -> bool {
    scope.facts.top_of(one.child) == scope.facts.top_of(other.child)
        && (one.parent, &one.parent_columns) == (other.parent, &other.parent_columns)
        && names(scope, one.child, &one.child_columns) == names(scope, other.child, &other.child_columns)
}

/// Whether one becomes a part of the other without reading a row, if it is valid.
fn is_equal(scope: &Scope<'_>, one: &ForeignKey, other: &ForeignKey) -> bool {
    let actions = |key: &ForeignKey| {
        let texts = [&key.matching, &key.on_update, &key.on_delete].map(String::clone);
        let set = names(scope, key.child, &key.set_columns);
        (texts, set, [key.deferrable, key.deferred, key.not_enforced, key.has_period])
    };
    is_alike(scope, one, other) && actions(one) == actions(other)
}

fn names(scope: &Scope<'_>, table: u32, columns: &[i16]) -> Vec<String> {
    let Some(table) = scope.facts.table(table) else { return Vec::new() };
    columns.iter().filter_map(|column| table.column(*column)).map(|column| column.name.clone()).collect()
}

/// The steps that add them to partitions without one, validate them, and make them one of their table.
/// A row that comes after the first of these steps is checked.
pub(super) fn unsettled(scope: &Scope<'_>, phase: Phase) -> Vec<Step> {
    let (mut added, mut steps) = (Vec::new(), Vec::new());
    for wanted in wanted(scope) {
        let Wanted { top, parent, key, .. } = &wanted;
        let of_top =
            scope.facts.foreign_keys.iter().find(|one| one.child == top.oid && is_equal(scope, one, key));
        if of_top.is_some() {
            steps.extend(forget(scope, phase, &wanted));
            continue;
        }
        for partition in scope.with_rows(top) {
            let is_its = |one: &&ForeignKey| one.child == partition.oid && is_equal(scope, one, key);
            let is_above = |one: &ForeignKey| {
                is_equal(scope, one, key) && one.parts.iter().any(|part| part.table == partition.oid)
            };
            if scope.facts.foreign_keys.iter().any(is_above) {
                continue;
            }
            let own = scope.facts.foreign_keys.iter().find(is_its);
            let name = own.map_or_else(|| free_name(scope, partition, &key.name), |own| own.name.clone());
            let of_partition = ForeignKey { child: partition.oid, ..key.clone() };
            let mut validate = validate_step(scope, phase, &of_partition, (partition, parent), &name);
            if own.is_none() {
                added.push(add_to(scope, phase, &wanted, partition, &name));
                // Whose code the planner would evaluate is known once it is added.
                validate.other = Some((parent.oid, Lock::ShareUpdateExclusive));
            }
            validate.done = own.is_some_and(|own| own.validated);
            steps.push(validate);
        }
        steps.push(take_over(scope, phase, &wanted));
    }
    added.extend(steps);
    added
}

/// A name for a foreign key that no constraint of a table has.
fn free_name(scope: &Scope<'_>, table: &Table, name: &str) -> String {
    let is_taken = |name: &str| {
        let keys = scope.facts.foreign_keys.iter();
        table.checks.iter().any(|check| check.name == name)
            || table.indexes.iter().filter_map(|index| index.constraint.as_ref()).any(|one| one.name == name)
            || table.columns.iter().any(|column| column.not_null_constraint.as_deref() == Some(name))
            || keys.clone().any(|key| key.child == table.oid && key.name == name)
            || keys.flat_map(|key| &key.parts).any(|part| part.table == table.oid && part.name == name)
    };
    let others = (1_u32..).map(|number| suffixed(name, &format!("_{number}")));
    std::iter::once(name.to_owned()).chain(others).find(|name| !is_taken(name)).unwrap_or_default()
}

/// A step about a foreign key that locks both tables. It runs as the owner.
fn step(phase: Phase, table: &Table, wanted: &Wanted<'_>, action: String, statements: Vec<String>) -> Step {
    let mut step = Step::new(phase, table, action, statements);
    step.lock = Some(Lock::ShareRowExclusive);
    step.other = Some((wanted.parent.oid, Lock::ShareRowExclusive));
    step.evaluates = true;
    step.detail = format!("also locks {}", qualified(&wanted.parent.schema, &wanted.parent.name));
    step
}

/// The step that adds one to a partition without one.
fn add_to(scope: &Scope<'_>, phase: Phase, wanted: &Wanted<'_>, partition: &Table, name: &str) -> Step {
    let of = qualified(&partition.schema, &partition.name);
    let definition = own_definition(scope, &wanted.key, wanted.top, wanted.parent);
    let comment = marked(without_mark(wanted.key.comment.as_deref()).filter(|comment| !comment.is_empty()));
    let statements = vec![
        format!("ALTER TABLE {of} ADD CONSTRAINT {} {definition} NOT VALID", quoted(name)),
        properties::comment_on_constraint(&of, name, &comment),
    ];
    step(phase, partition, wanted, format!("add foreign key \"{name}\""), statements)
}

/// The step that adds the foreign key to the partitioned table. PostgreSQL reads a partition that has come
/// since the plan was made, if it is a partition of a partition.
fn take_over(scope: &Scope<'_>, phase: Phase, wanted: &Wanted<'_>) -> Step {
    let Wanted { top, parent, key, .. } = wanted;
    let of = qualified(&top.schema, &top.name);
    let definition = own_definition(scope, key, top, parent);
    let mut statements = vec![format!("ALTER TABLE {of} ADD CONSTRAINT {} {definition}", quoted(&key.name))];
    if let Some(comment) = without_mark(key.comment.as_deref()).filter(|comment| !comment.is_empty()) {
        statements.push(properties::comment_on_constraint(&of, &key.name, comment));
    }
    statements.extend(without_notes(scope, wanted));
    let mut step = step(phase, top, wanted, format!("add foreign key \"{}\"", key.name), statements);
    step.detail.push_str(", and all partitions; takes over the foreign keys of the partitions");
    step
}

/// The statements that remove the marks on partitions, and the note.
fn without_notes(scope: &Scope<'_>, wanted: &Wanted<'_>) -> Vec<String> {
    // Those of partitions have no comments of their own.
    let unmark = |key: &&ForeignKey| {
        let partition = scope.facts.table(key.child)?;
        let of = qualified(&partition.schema, &partition.name);
        Some(format!("COMMENT ON CONSTRAINT {} ON {of} IS NULL", quoted(&key.name)))
    };
    let mut statements: Vec<String> = wanted.marked.iter().filter_map(unmark).collect();
    for column in &wanted.top.columns {
        let (mut left, rest) = notes(column.comment.as_deref());
        let count = left.len();
        left.retain(|note| (&note.name, &note.columns) != (&wanted.key.name, &wanted.key.child_columns));
        if left.len() < count {
            statements.push(comment_on_column(wanted.top, &column.name, &with_notes(&left, rest)));
        }
    }
    statements
}

/// The step that forgets a foreign key which the table has got in another way.
fn forget(scope: &Scope<'_>, phase: Phase, wanted: &Wanted<'_>) -> Option<Step> {
    let statements = without_notes(scope, wanted);
    let action = format!("forget foreign key \"{}\"", wanted.key.name);
    (!statements.is_empty()).then(|| {
        let mut step = step(phase, wanted.top, wanted, action, statements);
        step.detail.push_str("; the table has it already");
        step
    })
}
