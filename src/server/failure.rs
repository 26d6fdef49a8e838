//! Reasons why a call that reads or alters catalogs cannot continue.

use keyspace::{Error, SqlState};
use pgrx::PgSqlErrorCode;
use pgrx::spi::SpiError;

use crate::error::{Report, raise, report};
use crate::server::caught::Caught;

/// One of our refusals, or an error of SPI itself.
#[derive(Debug)]
pub(crate) enum Failure {
    Refused(Error),
    /// It means that one of our queries is wrong.
    Spi(SpiError),
}

impl Failure {
    /// Raises it from the function called from SQL.
    pub(crate) fn raise(self) -> ! {
        match self {
            Self::Refused(error) => raise(report(error)),
            Self::Spi(error) => raise(Report::new(
                PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                format!("could not read the catalogs: {error}"),
            )),
        }
    }
}

/// The value, or the failure raised.
pub(crate) fn or_fail<T>(result: Result<T, Failure>) -> T {
    match result {
        Ok(value) => value,
        Err(failure) => failure.raise(),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<SpiError> for Failure {
    fn from(error: SpiError) -> Self {
        Self::Spi(error)
    }
}

/// An error that a statement of the set-up raised, for example through an event trigger of the
/// user. Cancellations are raised again.
pub(crate) fn refusal(error: Box<Caught>) -> Error {
    if error.is_panic() || error.is_cancellation() {
        error.rethrow();
    }
    let mut refusal = Error::new(SqlState::ObjectNotInPrerequisiteState, error.message());
    refusal.detail = error.detail().map(str::to_owned);
    refusal.hint = error.hint().map(str::to_owned);
    refusal
}
