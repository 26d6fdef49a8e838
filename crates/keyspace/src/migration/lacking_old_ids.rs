//! Unique indexes on old ids in a migration to `bigint`, in which a row whose key the old column cannot
//! hold has no old id after the cut-over.
//!
//! Where NULL counts as a value, such rows are equal to each other, and to rows that refer to nothing. An
//! index on old ids would refuse them, although the one on keys accepts them. So it is dropped at the
//! cut-over. The one on keys, which refuses exactly the right rows, has been there since before.

use super::expression::{Operators, Replaced, rewritten};
use super::facts::{Index, Table};
use super::scope::Scope;

/// Whether an index on old ids refuses rows without an old id that the one on keys accepts.
pub(super) fn refuses(scope: &Scope<'_>, table: &Table, index: &Index) -> bool {
    if !(scope.keeps_values() && index.is_unique) {
        return false;
    }
    let columns = lacking(scope, table, index);
    let is_used = |text: &str| rewritten(text, &columns, KEPT).is_none_or(|new| !new.columns.is_empty());
    let is_equal = index.nulls_not_distinct
        && index.keys.iter().any(|key| key.column != 0 && scope.member(table.oid, key.column).is_some());
    // A row takes no part in the index if its condition is not true without the old id.
    let needs_old_id =
        |text: &str| rewritten(text, &columns, STRICT).is_some_and(|new| !new.depends_on_lacking_keys);
    let predicate = index.predicate.as_deref();
    is_equal
        || index.keys.iter().filter_map(|key| key.expression.as_deref()).any(is_used)
        || predicate.is_some_and(|text| is_used(text) && !needs_old_id(text))
}

const KEPT: Operators<'_> = Operators { from: "pg_catalog", to: "pg_catalog", keep_values: true };
/// Only comparisons that are not true for a row without an old id are known to need it.
const STRICT: Operators<'_> = Operators { keep_values: false, ..KEPT };

/// The columns of old ids, each of which can be NULL.
fn lacking(scope: &Scope<'_>, table: &Table, index: &Index) -> Vec<Replaced> {
    let mut columns =
        scope.replaced(scope.replaced_in(table.oid, index), |member| member.shadow_name.clone());
    columns.iter_mut().for_each(|column| column.may_lack_key = true);
    columns
}

/// Whether an index on old ids is dropped at the cut-over. A constraint or a replica identity is not; then
/// the migration is refused.
pub(super) fn is_dropped(scope: &Scope<'_>, table: &Table, index: &Index) -> bool {
    index.constraint.is_none() && !index.is_replica_identity && refuses(scope, table, index)
}
