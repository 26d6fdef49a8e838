//! Statements of ours that a procedure runs again and again, planned once.

use std::ffi::CString;

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{OwnedPreparedStatement, SpiError, SpiResult, SpiTupleTable};

use super::settings::with_own_settings;

/// A statement with its plan, once it has run.
#[derive(Default)]
pub(crate) struct Prepared(Option<(CString, OwnedPreparedStatement)>);

impl Prepared {
    /// Reads what a statement finds. It is planned anew where its text is another one, as when the extension has moved
    /// to another schema.
    ///
    /// # Errors
    /// Those of SPI itself.
    pub(crate) fn select<T>(
        &mut self,
        statement: CString,
        arguments: &[DatumWithOid<'_>],
        read: impl FnOnce(SpiTupleTable<'_>) -> SpiResult<T>,
    ) -> SpiResult<T> {
        with_own_settings(|| {
            Spi::connect(|client| {
                if self.is_other(&statement) {
                    let plan = client.prepare(statement.as_c_str(), &types(arguments))?.keep();
                    self.0 = Some((statement, plan));
                }
                let Some((_, plan)) = &self.0 else { return Err(SpiError::NoTupleTable) };
                read(client.select(plan, None, arguments)?)
            })
        })
    }

    /// Runs a statement that writes; otherwise as [`Self::select`].
    ///
    /// # Errors
    /// Those of SPI itself.
    pub(crate) fn update(&mut self, statement: CString, arguments: &[DatumWithOid<'_>]) -> SpiResult<usize> {
        with_own_settings(|| {
            Spi::connect_mut(|client| {
                if self.is_other(&statement) {
                    let plan = client.prepare_mut(statement.as_c_str(), &types(arguments))?.keep();
                    self.0 = Some((statement, plan));
                }
                let Some((_, plan)) = &self.0 else { return Err(SpiError::NoTupleTable) };
                Ok(client.update(plan, None, arguments)?.len())
            })
        })
    }

    fn is_other(&self, statement: &CString) -> bool {
        self.0.as_ref().is_none_or(|(own, _)| own != statement)
    }
}

fn types(arguments: &[DatumWithOid<'_>]) -> Vec<PgOid> {
    arguments.iter().map(|argument| PgOid::from(argument.oid())).collect()
}
