//! Marks on tables in which a session in the role of a replica has changed rows in a way that could
//! not be corrected at once. Their values have to be compared again before the cut-over.
//!
//! A transaction marks a table at most once, and only one that is part of a migration: after
//! pg_upgrade, or in a copy made from a dump, nobody would remove the marks. Each transaction leaves
//! a mark of its own, even if there is one already. That one may be removed by a comparison which
//! did not see the rows of this transaction.

use std::cell::Cell;

use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::state::{self, COLUMN, MARK};
use crate::server::extension::Extension;
use crate::server::tables;

thread_local! {
    /// The last mark of this backend: its transaction, subtransaction and table. A subtransaction
    /// that is rolled back takes its marks along, and its number is not used again.
    static LAST: Cell<(u64, pg_sys::SubTransactionId, pg_sys::Oid)> = const { Cell::new((0, 0, pg_sys::InvalidOid)) };
}

/// Marks a table. If no comparison can run, as after the cut-over, one mark is enough (`is_once`).
///
/// # Errors
/// Those of SPI itself.
pub(super) fn add(extension: Extension, table: pg_sys::Oid, is_once: bool) -> SpiResult<()> {
    // SAFETY: within a transaction; assigns its ID, as the row that was written has done.
    let now =
        unsafe { (pg_sys::GetTopFullTransactionId().value, pg_sys::GetCurrentSubTransactionId(), table) };
    if LAST.get() == now {
        return Ok(());
    }
    let (system_identifier, database) = tables::own_key();
    let own: [pgrx::datum::DatumWithOid<'_>; 3] = [system_identifier.into(), database.into(), table.into()];
    let migration = "SELECT c.migration FROM {} AS c WHERE {own} AND c.relation = $3 LIMIT 1";
    let migration = state::select(migration, COLUMN, extension, &own, |mut rows| {
        rows.next().map_or(Ok(None), |row| row.get::<pg_sys::Oid>(1))
    })?;
    if let Some(migration) = migration {
        state::write(
            "INSERT INTO {} (system_identifier, database, migration, relation) SELECT $1, $2, $3, $4 \
             WHERE NOT ($5 AND EXISTS (SELECT FROM {} AS k WHERE {own} AND k.relation = $4)) \
             ON CONFLICT (system_identifier, database, relation, transaction) DO NOTHING",
            MARK,
            extension,
            migration,
            [table.into(), is_once.into()],
        )?;
    }
    LAST.set(now);
    Ok(())
}

/// The marks of a migration that a comparison can answer for, each as its table and its transaction.
pub(super) struct Marks(Vec<(pg_sys::Oid, String)>);

impl Marks {
    /// Those that exist now. Call it before the values are read: marks that come later are for rows
    /// that may not have been read.
    ///
    /// # Errors
    /// Those of SPI itself.
    pub(super) fn read(extension: Extension, migration: pg_sys::Oid) -> SpiResult<Self> {
        let query = "SELECT k.relation, k.transaction::text FROM {} AS k WHERE {own} AND k.migration = $3";
        let arguments = state::arguments(migration, []);
        state::select(query, MARK, extension, &arguments, |rows| {
            let mut found = Vec::new();
            for row in rows {
                if let (Some(table), Some(transaction)) = (row.get::<pg_sys::Oid>(1)?, row.get::<String>(2)?)
                {
                    found.push((table, transaction));
                }
            }
            Ok(Self(found))
        })
    }

    /// Removes them.
    ///
    /// # Errors
    /// Those of SPI itself.
    pub(super) fn remove(&self, extension: Extension, migration: pg_sys::Oid) -> SpiResult<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let (tables, transactions): (Vec<pg_sys::Oid>, Vec<String>) = self.0.iter().cloned().unzip();
        state::write(
            "DELETE FROM {} AS k USING unnest($4::oid[], $5::text[]) AS o (relation, transaction) \
             WHERE k.system_identifier = $1 AND k.database = $2 AND k.migration = $3 \
               AND k.relation = o.relation AND k.transaction = o.transaction::xid8",
            MARK,
            extension,
            migration,
            [tables.into(), transactions.into()],
        )?;
        Ok(())
    }
}
