//! Partitioned tables that refer to a key: what prevents them from being part of a migration, and the
//! steps that are taken partition by partition.
//!
//! Columns, triggers and checks are made on the partitioned table, and PostgreSQL passes them on to
//! its partitions. Rows are filled, indexes built, and constraints validated on one partition after the
//! other. What the partitioned table needs then takes over what its partitions have, without reading
//! a row: an index that is made `ON ONLY` the table becomes valid once the indexes of all partitions
//! are attached, and a foreign key adopts equal ones of the partitions that are valid.

use super::facts::{ForeignKey, Index, Table};
use super::finding::Finding;
use super::member::Member;
use super::names::without_mark;
use super::phase::Phase;
use super::replacement_index;
use super::scope::Scope;
use super::step::{Lock, Step};
use crate::error::{Error, SqlState};
use crate::sql::{in_message, qualified, quoted};

/// All findings.
pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    for table in scope.tables().into_iter().filter(|table| table.is_partitioned()) {
        for one in std::iter::once(table).chain(scope.partitions_of(table.oid)) {
            partitioned_by(scope, one, found);
            constraints(scope, one, found);
        }
        for partition in scope.partitions_of(table.oid) {
            own_references(scope, table, partition, found);
            if scope.keeps_values() {
                own_not_null(scope, partition, found);
            }
            if partition.owner != table.owner {
                found.push(Finding::error(partition, other_owner(table, partition)));
            }
        }
        if !scope.options.cut_over {
            found.extend(locks(scope, table));
        }
        if table.lacks_execute {
            found.push(cannot_create(scope, table));
        }
    }
}

/// The error for a partition with rows that are not here.
pub(super) fn foreign(partition: &Table) -> Error {
    let name = qualified(&partition.schema, &partition.name);
    let parent = partition.parent.map_or("table", |_| "partition");
    Error::new(SqlState::FeatureNotSupported, format!("{parent} {} is a foreign table", in_message(&name)))
        .detail("The backfill reads and writes the pages of tables of this server.")
        .hint("Detach the partition for as long as the migration takes, or drop the foreign key.")
}

/// Whoever creates a partition needs EXECUTE on the functions of the triggers that it gets.
fn cannot_create(scope: &Scope<'_>, table: &Table) -> Finding {
    let of_member = |member: &Member<'_>| -> &[&str] {
        match (scope.keeps_values(), member.is_key) {
            (true, _) => &["key_migration_copy", "key_migration_copy_applied"],
            (false, true) => &["key_migration_key", "key_migration_applied"],
            (false, false) => &["key_migration_reference", "key_migration_late", "key_migration_applied"],
        }
    };
    let mut names: Vec<&str> = Vec::new();
    for name in scope.members_of(table.oid).flat_map(of_member) {
        if !names.contains(name) {
            names.push(name);
        }
    }
    let internal = quoted(&scope.facts.internal_schema);
    let functions: Vec<String> = names.iter().map(|name| format!("{internal}.{name}()")).collect();
    Finding::warning(
        table,
        format!(
            "role {} cannot create partitions of table {} during the migration",
            table.owner,
            in_message(&qualified(&table.schema, &table.name))
        ),
        format!(
            "PostgreSQL requires EXECUTE on the functions of the triggers that a partition gets (42501). Until the migration is finalized, let a superuser create them, or run GRANT EXECUTE ON FUNCTION {} TO {}.",
            functions.join(", "),
            quoted(&table.owner)
        ),
    )
}

/// A row would have to be routed to its partition by a value that a trigger is still to fill in.
fn partitioned_by(scope: &Scope<'_>, table: &Table, found: &mut Vec<Finding>) {
    let by = scope.members_of(table.oid).find(|member| {
        table.partition_columns.contains(&member.old_id.number)
            || member.shadow.is_some_and(|shadow| table.partition_columns.contains(&shadow.number))
    });
    let whole_row = table.partition_columns.contains(&0);
    let name = qualified(&table.schema, &table.name);
    let what = match by {
        Some(member) => format!("column \"{}\", which refers to a key", member.old_id.name),
        None if whole_row => "an expression over whole rows".to_owned(),
        None => return,
    };
    let error = Error::new(
        SqlState::FeatureNotSupported,
        format!("table {} is partitioned by {what}", in_message(&name)),
    )
    .detail("PostgreSQL routes a row to its partition before triggers can fill in the other column, and a partition cannot be given other bounds.")
    .hint("Create a table that is partitioned by the new key, and move the rows.");
    found.push(Finding::error(table, error));
}

/// Exclusion constraints, and primary keys that cannot become ones at the end without building an index.
fn constraints(scope: &Scope<'_>, table: &Table, found: &mut Vec<Finding>) {
    if scope.options.cut_over {
        return;
    }
    let name = qualified(&table.schema, &table.name);
    for index in scope.indexes(table).filter(|index| index.is_valid && !scope.is_new(table, index)) {
        // That of the partitioned table says it.
        let Some(constraint) = index.constraint.as_ref().filter(|_| index.parent.is_none()) else { continue };
        let is_primary = constraint.kind == "p";
        let mut members = index.keys.iter().filter_map(|key| scope.member(table.oid, key.column));
        // It must be NOT NULL before the end.
        let lacking = members.find(|member| !scope.is_required(member)).filter(|_| is_primary);
        let why = if let Some(member) = lacking {
            format!(
                "Its foreign key is deferrable or not valid, so that rows can lack \"{}\" until the end of the migration.",
                member.shadow_name
            )
        } else if index.is_exclusion || (is_primary && constraint.deferrable) {
            "PostgreSQL has no way to build its counterpart on the new column without blocking writes to all partitions.".to_owned()
        } else {
            continue;
        };
        let what = if is_primary { "primary key" } else { "exclusion constraint" };
        let mut members = scope.members_of(table.oid).filter(|member| index.has_column(member.old_id.number));
        let is_of_key = members.any(|member| member.is_key);
        let of = if is_of_key { "the key" } else { "a reference to the key" };
        let error = Error::new(
            SqlState::FeatureNotSupported,
            format!("{what} \"{}\" of partitioned table {} contains {of}", index.name, in_message(&name)),
        )
        .detail(why)
        .hint(format!(
            "Replace it by a unique constraint for the time of the migration: ALTER TABLE {name} DROP CONSTRAINT {}, and ADD UNIQUE with the same columns.",
            quoted(&index.name)
        ));
        found.push(Finding::error(table, error));
    }
}

/// References that only a partition has.
fn own_references(scope: &Scope<'_>, top: &Table, partition: &Table, found: &mut Vec<Finding>) {
    let name = qualified(&partition.schema, &partition.name);
    let of = qualified(&top.schema, &top.name);
    let is_of_top = |column: i16| scope.member(partition.oid, column).is_some();
    let references = scope.facts.references.iter().filter(|one| one.table == partition.oid);
    // A foreign key is named below.
    let is_foreign_key = |column: i16| {
        let mut keys = scope.facts.foreign_keys.iter();
        is_of_top(column) && keys.any(|key| key.child == partition.oid && key.child_columns.contains(&column))
    };
    for reference in references.filter(|one| !is_foreign_key(one.column)) {
        let column = partition.column(reference.column).map_or("", |column| column.name.as_str());
        let error = Error::new(
            SqlState::FeatureNotSupported,
            format!(
                "column \"{column}\" of partition {} is a reference of the partition alone",
                in_message(&name)
            ),
        )
        .detail("Columns are added to a partitioned table and all of its partitions together.")
        .hint(format!(
            "Add the foreign key to table {of}, or name that table in key_migration_add_reference()."
        ));
        found.push(Finding::error(partition, error));
    }
    let is_own = |key: &&ForeignKey| {
        key.child == partition.oid
            // A rollback has added it, and it becomes one of the table.
            && without_mark(key.comment.as_deref()).is_none()
            && key.child_columns.iter().any(|column| is_of_top(*column))
            && key.parent_columns.iter().any(|column| scope.member(key.parent, *column).is_some())
    };
    for key in scope.facts.foreign_keys.iter().filter(is_own) {
        let error = Error::new(
            SqlState::FeatureNotSupported,
            format!("partition {} has foreign key \"{}\" of its own", in_message(&name), key.name),
        )
        .detail("Only foreign keys of the partitioned table get a counterpart on keys.")
        .hint(format!(
            "Run ALTER TABLE {name} DROP CONSTRAINT {}, and add it to table {of} if it is missing there.",
            quoted(&key.name)
        ));
        found.push(Finding::error(partition, error));
    }
}

/// After the cut-over, an old id can be NULL where a key is beyond what its column can hold.
fn own_not_null(scope: &Scope<'_>, partition: &Table, found: &mut Vec<Finding>) {
    let name = qualified(&partition.schema, &partition.name);
    let is_own = |part: &&Member<'_>| part.old_id.not_null && !scope.of_top(part).old_id.not_null;
    for part in scope.members_of(partition.oid).filter(is_own) {
        let column = &part.old_id.name;
        let error = Error::new(
            SqlState::FeatureNotSupported,
            format!("column \"{column}\" of partition {} is NOT NULL, and that of its table is not", in_message(&name)),
        )
        .detail("After the cut-over, old ids can be NULL. PostgreSQL gives NOT NULL to the new column of a partition together with that of the table.")
        .hint(format!("Run ALTER TABLE {name} ALTER COLUMN {} DROP NOT NULL, or set that of the table NOT NULL.", quoted(column)));
        found.push(Finding::error(partition, error));
    }
}

fn other_owner(top: &Table, partition: &Table) -> Error {
    let name = qualified(&partition.schema, &partition.name);
    let message = format!("partition {} does not have the owner of its table", in_message(&name));
    Error::new(SqlState::FeatureNotSupported, message)
        .detail(format!(
            "Table {} belongs to role \"{}\", and the partition to \"{}\". The rows of a table are looked up with the rights of one role.", in_message(&qualified(&top.schema, &top.name)), top.owner, partition.owner))
        .hint(format!("ALTER TABLE {name} OWNER TO {}.", quoted(&top.owner)))
}

/// What the cut-over locks at once: columns are renamed on the partitioned table, which locks all of
/// its partitions, and each index gets another name.
fn locks(scope: &Scope<'_>, table: &Table) -> Option<Finding> {
    let tables: Vec<&Table> = std::iter::once(table).chain(scope.partitions_of(table.oid)).collect();
    let wanted = tables.iter().map(|table| {
        let indexes = table.indexes.len();
        let to_come = scope.indexes(table).filter(|index| {
            !scope.is_new(table, index) && replacement_index::existing(scope, table, index).is_none()
        });
        1 + indexes + to_come.count()
    });
    let wanted = i64::try_from(wanted.sum::<usize>()).unwrap_or(i64::MAX);
    let name = qualified(&table.schema, &table.name);
    let message = format!(
        "the cut-over locks table {} with its {} partitions and all of their indexes: {wanted} locks at once",
        in_message(&name),
        tables.len() - 1
    );
    let slots = scope.facts.lock_slots;
    let room = format!(
        "The lock table has room for at least {slots} (max_locks_per_transaction, times max_connections and max_prepared_transactions). Adding columns, comparing values, a rollback and the end of the migration lock as much."
    );
    // Other sessions need room, too.
    if wanted.saturating_mul(2) > slots {
        let hint = format!("{room} Increase max_locks_per_transaction, and restart the server.");
        return Some(Finding::warning(table, message, hint));
    }
    let error = Error::new(SqlState::ObjectNotInPrerequisiteState, message).detail(room);
    Some(Finding::note(table, error))
}

/// Makes the indexes of a partitioned table that those of its partitions are attached to. They are not
/// valid until then.
pub(super) fn index_on_only(
    scope: &Scope<'_>,
    table: &Table,
    index: &Index,
    (name, statement): (&str, String),
) -> Step {
    let kind = if index.is_unique { "unique index" } else { "index" };
    let mut step = Step::new(
        Phase::Indexed,
        table,
        format!("create {kind} \"{name}\" without those of its partitions"),
        vec![statement],
    );
    step.lock = Some(if index.unique_constraint().is_some() {
        Lock::AccessExclusive
    } else {
        Lock::ShareRowExclusive
    });
    step.evaluates = true;
    step.detail = "takes effect once the indexes of all partitions are built and attached".to_owned();
    step.done = replacement_index::existing(scope, table, index).is_some();
    step
}

/// Attaches the index of a partition to that of the table that it is a partition of; none if the old
/// index is one of the partition alone.
pub(super) fn attach(scope: &Scope<'_>, table: &Table, index: &Index) -> Option<Step> {
    let parent = scope.facts.table(table.parent?)?;
    let of = parent.indexes.iter().find(|one| Some(one.oid) == index.parent)?;
    let existing = replacement_index::existing(scope, table, index);
    let name = existing.map_or_else(|| scope.options.new_name(&index.name), |one| one.name.clone());
    let to = replacement_index::existing(scope, parent, of)
        .map_or_else(|| scope.options.new_name(&of.name), |one| one.name.clone());
    let mut statements = Vec::new();
    if let Some(constraint) = index.unique_constraint()
        && existing.is_none_or(|one| one.constraint.is_none())
    {
        let timing = replacement_index::timing(constraint);
        let (of, name) = (qualified(&table.schema, &table.name), quoted(&name));
        statements.push(format!("ALTER TABLE {of} ADD CONSTRAINT {name} UNIQUE USING INDEX {name}{timing}"));
    }
    let mut step = attach_index(table, &name, (parent, &to), statements);
    step.done = existing.is_some_and(|one| one.parent.is_some());
    Some(step)
}

/// The step that attaches an index of a partition to one of the table that it is a partition of. `before` are
/// the statements that make a constraint of it, if it is to be one.
pub(super) fn attach_index(
    table: &Table,
    name: &str,
    (parent, to): (&Table, &str),
    before: Vec<String>,
) -> Step {
    let is_constraint = !before.is_empty();
    let mut statements = before;
    statements.push(format!(
        "ALTER INDEX {} ATTACH PARTITION {}",
        qualified(&parent.schema, to),
        qualified(&table.schema, name)
    ));
    let mut step =
        Step::new(Phase::Indexed, table, format!("attach index \"{name}\" to \"{to}\""), statements);
    step.lock = Some(if is_constraint { Lock::AccessExclusive } else { Lock::ShareUpdateExclusive });
    step.other = Some((parent.oid, Lock::AccessShare));
    step.evaluates = is_constraint;
    step
}
