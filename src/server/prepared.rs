//! Statements on our tables that a procedure runs repeatedly and plans once.

use std::ffi::{CStr, CString};

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{OwnedPreparedStatement, PreparedStatement, SpiResult, SpiTupleTable};

use super::extension::Extension;
use super::tables::{self, Table};

/// A statement, with its plan after the first run.
#[derive(Default)]
pub(crate) struct Prepared(Option<(CString, OwnedPreparedStatement)>);

impl Prepared {
    /// As [`Table::select`]. Plans again if the text has changed, for example because the schema of
    /// our tables was renamed.
    ///
    /// # Errors
    /// Those of SPI itself.
    pub(crate) fn select<T>(
        &mut self,
        text: &str,
        table: Table,
        extension: Extension,
        arguments: &[DatumWithOid<'_>],
        read: impl FnOnce(SpiTupleTable<'_>) -> SpiResult<T>,
    ) -> SpiResult<T> {
        let statement = tables::statement(text, table, extension);
        table.with_rights(extension, || {
            Spi::connect(|client| {
                let plan = self.plan(statement, |text| client.prepare(text, &types(arguments)))?;
                read(client.select(plan, None, arguments)?)
            })
        })
    }

    /// As [`Table::write`]; otherwise as [`Self::select`].
    ///
    /// # Errors
    /// Those of SPI itself.
    pub(crate) fn write(
        &mut self,
        text: &str,
        table: Table,
        extension: Extension,
        arguments: &[DatumWithOid<'_>],
    ) -> SpiResult<usize> {
        let statement = tables::statement(text, table, extension);
        table.with_rights(extension, || {
            Spi::connect_mut(|client| {
                let plan = self.plan(statement, |text| client.prepare_mut(text, &types(arguments)))?;
                Ok(client.update(plan, None, arguments)?.len())
            })
        })
    }

    /// The existing plan, or a new one.
    fn plan<'conn>(
        &mut self,
        statement: CString,
        prepare: impl FnOnce(&CStr) -> SpiResult<PreparedStatement<'conn>>,
    ) -> SpiResult<&OwnedPreparedStatement> {
        let planned = match self.0.take() {
            Some(planned) if planned.0 == statement => planned,
            _ => {
                let plan = prepare(&statement)?.keep();
                (statement, plan)
            }
        };
        Ok(&self.0.insert(planned).1)
    }
}

fn types(arguments: &[DatumWithOid<'_>]) -> Vec<PgOid> {
    arguments.iter().map(|argument| PgOid::from(argument.oid())).collect()
}
