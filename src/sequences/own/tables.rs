//! The tables of ours about sequences.

use crate::server::tables::Table;

/// Which node a database is.
pub(crate) const NODE: Table = Table::new(c"interleaved_node");
/// What a set-up has done with each sequence.
pub(crate) const SEQUENCE: Table = Table::new(c"interleaved_sequence");
/// Columns that callers have named in `feeds`.
pub(crate) const FEED: Table = Table::new(c"interleaved_feed");
/// The last set-up in batches.
pub(crate) const SETUP: Table = Table::new(c"interleaved_setup");
