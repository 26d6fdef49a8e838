//! What a migration will need: disk, WAL, and statements.

use super::facts::Facts;
use super::finding::Finding;
use super::phase::Phase;
use super::scope::Scope;
use super::step::Step;
use crate::error::{Error, SqlState};

/// What WAL adds to each row that it contains: headers of the record and of the row.
const RECORD: i64 = 70;
/// The part of a table by which the backfill lets it grow if VACUUM runs between its parts; see the
/// benchmark of migrations.
const GROWTH: i64 = 5;

/// The note on disk and WAL that are still needed.
pub(super) fn note(scope: &Scope<'_>, steps: &[Step]) -> Option<Finding> {
    let left = |phase: Phase| steps.iter().filter(move |step| step.phase == phase && !step.done);
    let sum = |values: &mut dyn Iterator<Item = i64>| values.fold(0_i64, i64::saturating_add);
    let indexes = sum(&mut left(Phase::Indexed).map(|step| step.bytes));
    let is_filled = |table: u32| !left(Phase::Backfilled).any(|step| step.table == table);
    let (mut growth, mut written) = (0_i64, 0_i64);
    let tables = scope.tables().into_iter().flat_map(|table| scope.with_rows(table));
    for table in tables.filter(|table| !is_filled(table.oid)) {
        growth = growth.saturating_add(table.heap_bytes / GROWTH);
        // Each page once as a whole, and each row once.
        let rows =
            sum(&mut left(Phase::Backfilled).filter(|step| step.table == table.oid).map(|step| step.bytes));
        written = written
            .saturating_add(table.heap_bytes)
            .saturating_add(rows)
            .saturating_add(table.rows.saturating_mul(RECORD));
    }
    let disk = growth.saturating_add(indexes);
    let wal = written.saturating_add(indexes);
    if wal == 0 {
        return None;
    }
    let error = Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        format!("the migration needs about {} of disk, and writes about {} of WAL", size(disk), size(wal)),
    )
    .detail(format!("Of the disk, {} are for new indexes, and the rest for growth of the tables.", size(indexes)))
    .hint("Estimated from the sizes of tables and the planner's row counts. If VACUUM cannot remove old rows meanwhile, the tables grow up to twice their size.");
    Some(Finding::note(scope.root(), error))
}

/// The note on how many statements are left; none if there are none.
pub fn statement_count(facts: &Facts, root: u32, count: usize) -> Option<Finding> {
    let table = facts.table(root).filter(|_| count > 0)?;
    let statements = if count == 1 { "1 statement".to_owned() } else { format!("{count} statements") };
    let error = Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        format!("key_migration_statements() returns {statements} up to the phase \"verified\""),
    )
    .hint("To stop psql at the first error, run \\set ON_ERROR_STOP on before \\gexec.");
    Some(Finding::note(table, error))
}

/// A size in the largest unit of which there are at least ten.
fn size(bytes: i64) -> String {
    let units = ["bytes", "kB", "MB", "GB", "TB", "PB"];
    let (mut value, mut unit) = (bytes, 0);
    while value >= 10_240 && unit + 1 < units.len() {
        value /= 1_024;
        unit += 1;
    }
    format!("{value} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes() {
        assert_eq!(size(0), "0 bytes");
        assert_eq!(size(10_239), "10239 bytes");
        assert_eq!(size(10_240), "10 kB");
        assert_eq!(size(50 * 1_024 * 1_024), "50 MB");
        assert_eq!(size(i64::MAX), "8191 PB");
    }
}
