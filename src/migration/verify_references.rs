//! The comparison of rows with those that they refer to.

use keyspace::migration::Scope;
use keyspace::migration::member::Member;
use keyspace::migration::verify_references::{compared, range};
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::old_id::shown;
use super::referenced::{self, may_be_joined};
use crate::encoding::{from_server_bytes, to_server};
use crate::server::as_owner::as_owner;
use crate::server::failure::Failure;
use crate::server::relation::relation_owner;

/// The number of rows of a kind, and the least old id in them.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    pub(super) count: i64,
    pub(super) example: Option<String>,
}

impl From<referenced::Rows> for Rows {
    fn from(rows: referenced::Rows) -> Self {
        Self { count: rows.count, example: rows.least.as_ref().map(shown) }
    }
}

/// The result for all rows of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct References {
    /// Rows that refer to nothing.
    pub(super) orphans: Rows,
    /// Rows with another key than the row that they refer to.
    pub(super) other_keys: Rows,
}

impl References {
    /// Compares them.
    ///
    /// # Errors
    /// Those of SPI itself, and of [`referenced::compare`].
    pub(super) fn compare(
        scope: &Scope<'_>,
        member: &Member<'_>,
        key_type: pg_sys::Oid,
    ) -> Result<Self, Failure> {
        // Indexes of a table can contain code of its owner, which planning a query evaluates. If a
        // query over two tables would be planned as an owner who must not run the other owner's code,
        // the rows are looked up without a query.
        if !may_be_joined(scope, member) {
            let found = referenced::compare(scope, member, key_type)?;
            return Ok(Self { orphans: found.orphans.into(), other_keys: found.other_keys.into() });
        }
        Ok(as_owner(relation_owner(pg_sys::Oid::from(member.table.oid)), || Self::query(scope, member))?)
    }

    fn query(scope: &Scope<'_>, member: &Member<'_>) -> SpiResult<Self> {
        Spi::connect(|client| {
            let mut all = None;
            if let Some(query) = range(scope, member) {
                let query = to_server(&query);
                let row = client.select(query.as_c_str(), Some(1), &[])?.first();
                all = row.get::<i64>(1)?.zip(row.get::<i64>(2)?);
                if all.is_none() {
                    return Ok(Self::default());
                }
            }
            // Rows with old ids out of the range have been written since, by a trigger of the migration. An
            // example can be a text that is no UTF-8.
            let query = to_server(&format!(
                "SELECT c.is_orphan, c.count, pg_catalog.convert_to(c.example, 'SQL_ASCII') FROM ({}) AS c (is_orphan, count, example)",
                compared(scope, member, all)
            ));
            let mut found = Self::default();
            for row in client.select(query.as_c_str(), None, &[])? {
                let example = row.get::<Vec<u8>>(3)?.map(from_server_bytes);
                let rows = Rows { count: row.get::<i64>(2)?.unwrap_or(0), example };
                if row.get::<bool>(1)?.unwrap_or(false) {
                    found.orphans = rows;
                } else {
                    found.other_keys = rows;
                }
            }
            Ok(found)
        })
    }
}
