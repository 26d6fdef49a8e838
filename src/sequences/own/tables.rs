//! Our tables about sequences.

use pgrx::spi::SpiResult;

use crate::server::extension::Extension;
use crate::server::tables::Table;

/// The node of each database.
pub(crate) const NODE: Table = Table::new(c"interleaved_node");
/// The record of what a set-up has done with each sequence.
pub(crate) const SEQUENCE: Table = Table::new(c"interleaved_sequence");
/// Columns that callers have named in `feeds`.
pub(crate) const FEED: Table = Table::new(c"interleaved_feed");
/// What the states of other nodes have shown.
pub(crate) const PEER: Table = Table::new(c"interleaved_peer");
/// Findings that somebody has acknowledged.
pub(crate) const ACKNOWLEDGEMENT: Table = Table::new(c"interleaved_acknowledgement");
/// Sequences whose position is trusted.
pub(crate) const TRUSTED: Table = Table::new(c"interleaved_trusted");
/// The last set-up in batches.
pub(crate) const SETUP: Table = Table::new(c"interleaved_setup");

/// Those that hold something about single sequences.
const ABOUT_SEQUENCES: [Table; 5] = [FEED, ACKNOWLEDGEMENT, TRUSTED, PEER, SEQUENCE];

/// Deletes what is known of dropped sequences.
pub(crate) fn prune(extension: Extension) -> SpiResult<()> {
    ABOUT_SEQUENCES.into_iter().try_for_each(|table| table.prune(extension))
}
