//! Migrations to `bigint`, in which keys keep their values: what they refuse, and their rollback.
//!
//! After the cut-over, the old column is NULL in rows whose key it cannot hold. So nothing that needs
//! an old id may be left on it: its primary key, its NOT NULL, its foreign keys and its checks have
//! moved. A rollback is refused once there are such rows. To find out without blocking writers, it adds
//! checks first, and validates them; the transaction of the rollback then relies on them.

use super::checks;
use super::facts::{Check, Table};
use super::finding::Finding;
use super::member::Member;
use super::moved_source;
use super::phase::Phase;
use super::required;
use super::scope::Scope;
use super::step::{Statement, Step};
use super::verify::{self, Kind};
use crate::error::{Error, SqlState};
use crate::sql::{in_message, qualified, quoted};

/// What cannot move to the new columns.
pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    if !scope.keeps_values() || scope.options.cut_over {
        return;
    }
    for member in scope.members.iter().chain(&scope.parts) {
        moved_source::find(scope, member, found);
    }
    for member in &scope.members {
        domain(member, found);
    }
    for table in scope.tables_and_partitions() {
        replica_identity(scope, table, found);
        // What a partition shares with its table is said once.
        for check in table.checks.iter().filter(|check| !check.is_inherited || !table.is_partition) {
            staying_check(scope, table, check, found);
        }
    }
}

fn domain(member: &Member<'_>, found: &mut Vec<Finding>) {
    if member.old_id.declared_type == member.old_id.type_name {
        return;
    }
    found.push(Finding::warning(
        member.table,
        format!(
            "column \"{}\" of table {} is of type {}", member.old_id.name, in_message(&member.table_sql()), member.old_id.declared_type),
        "The new column is of type bigint, without the constraints of a domain. If the domain does not permit NULL, rows beyond its values cannot be inserted until the migration is finalized.",
    ));
}

/// An index that is the replica identity, and is not that of the primary key, which moves.
fn replica_identity(scope: &Scope<'_>, table: &Table, found: &mut Vec<Finding>) {
    let is_in_way = scope
        .indexes(table)
        .find(|index| index.is_replica_identity && !index.is_primary && !scope.is_new(table, index));
    let Some(index) = is_in_way else { return };
    let name = qualified(&table.schema, &table.name);
    let error = Error::new(
        SqlState::FeatureNotSupported,
        format!("index \"{}\" on old ids is the replica identity of table {}", index.name, in_message(&name)),
    )
    .detail("After the cut-over, old ids can be NULL, which a replica identity does not permit.")
    .hint(format!(
        "Run ALTER TABLE {name} REPLICA IDENTITY DEFAULT, or FULL, until the migration is finalized."
    ));
    found.push(Finding::error(table, error));
}

/// A check that would be about old ids that are NULL.
fn staying_check(scope: &Scope<'_>, table: &Table, check: &Check, found: &mut Vec<Finding>) {
    let uses_old_id = check.columns.contains(&0)
        || scope.members_of(table.oid).any(|member| check.columns.contains(&member.old_id.number));
    if !uses_old_id || required::is_ours(scope, table, check) || checks::moves(scope, table, check) {
        return;
    }
    let (name, constraint) = (qualified(&table.schema, &table.name), quoted(&check.name));
    let error = Error::new(
        SqlState::FeatureNotSupported,
        format!(
            "check constraint \"{}\" of table {} cannot move to the new column",
            check.name,
            in_message(&name)
        ),
    );
    found.push(Finding::error(
        table,
        if check.validated {
            error
                .detail("It calls a function with an old id, casts it to a type that cannot hold every bigint, or uses the whole row.")
                .hint(format!("Run ALTER TABLE {name} DROP CONSTRAINT {constraint} first, and add a similar one after the cut-over."))
        } else {
            error.detail("It is not valid.").hint(format!(
                "Run ALTER TABLE {name} VALIDATE CONSTRAINT {constraint} or DROP CONSTRAINT {constraint} first."
            ))
        },
    ));
}

/// The columns of old ids to which a rollback returns.
fn rolled_back<'s, 'a>(scope: &'s Scope<'a>) -> impl Iterator<Item = &'s Member<'a>> {
    scope
        .members
        .iter()
        .filter(|member| scope.keeps_values() && scope.options.cut_over && member.shadow.is_some())
}

/// The steps before a rollback, each of which is one transaction: first all checks are added, so that
/// no further row lacks an old id, and then they are validated.
pub(super) fn before_roll_back(scope: &Scope<'_>) -> Vec<Step> {
    let [added, validated]: [Vec<Step>; 2] = [true, false].map(|adds| {
        rolled_back(scope).flat_map(|member| required::before_roll_back(scope, member, adds)).collect()
    });
    added.into_iter().chain(validated).filter(|step| !step.done).collect()
}

/// The steps that remove the checks of a rollback that was refused, or interrupted and not repeated.
pub(super) fn without_roll_back(scope: &Scope<'_>, phase: Phase) -> Vec<Step> {
    rolled_back(scope).filter_map(|member| required::without_roll_back(scope, phase, member)).collect()
}

/// The statements of a rollback, once the columns have their names again: old ids are required.
pub(super) fn restore(scope: &Scope<'_>) -> Vec<Statement> {
    rolled_back(scope).flat_map(|member| required::restore(scope, member)).collect()
}

/// The queries for rows of a table, or of all partitions of a table, whose key the old column cannot hold.
pub fn unfit_rows(scope: &Scope<'_>, table: u32) -> Vec<verify::Check> {
    if !(scope.keeps_values() && scope.options.cut_over) {
        return Vec::new();
    }
    let is_of_table = |member: &&Member<'_>| {
        let oid = member.table.oid;
        member.shadow.is_some() && (oid == table || scope.facts.top_of(oid) == table)
    };
    scope
        .members_with_rows()
        .filter(is_of_table)
        .map(|member| {
            let (old_id, shadow) = (quoted(&member.old_id.name), quoted(&member.shadow_name));
            let query = format!(
                "SELECT pg_catalog.count(*), pg_catalog.min(t.{shadow})::text FROM ONLY {} AS t \
                 WHERE t.{old_id} IS NULL AND t.{shadow} IS NOT NULL",
                member.table_sql()
            );
            verify::check(member, Kind::KeysWithoutOldId, true, query)
        })
        .collect()
}
