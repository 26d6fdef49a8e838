//! What is read once for many sequences that are looked up in turn.

use pgrx::spi::OwnedPreparedStatement;

use crate::sequences::read::mentions::Mentions;

/// Made by [`super::catalog::prepare`].
pub(crate) struct Prepared {
    /// The query for the columns that one sequence feeds.
    pub(crate) query: OwnedPreparedStatement,
    /// What draws from sequences, as far as only the texts of functions and defaults say it.
    pub(crate) mentions: Mentions,
}
