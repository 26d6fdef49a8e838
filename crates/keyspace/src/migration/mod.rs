//! Key migration: changes a live table, and every table that references it, from integer keys to
//! time-ordered ones.
//!
//! Nothing here knows PostgreSQL. The catalogs come in as [`Facts`], the arguments of a migration
//! as [`Options`]. The [`Plan`] that comes out has every statement in order, with the lock that it
//! takes and whether it is already done. A plan made from the catalogs of a half-finished migration
//! therefore has only the remaining steps, whatever interrupted it.
//!
//! | module | subject |
//! | --- | --- |
//! | [`facts`] | tables, columns, indexes, foreign keys and triggers as the catalogs have them |
//! | [`options`] | the arguments of a migration |
//! | [`phase`] | the phases, in their order |
//! | [`names`] | names of the objects that a migration adds |
//! | [`scope`] | which columns are part of a migration, and why others cannot be |
//! | [`time_source`], [`key_time`], [`time_proposal`] | where keys take their time from, and the best source of a table |
//! | [`findings`], [`time_findings`] | the findings before the first step |
//! | [`step`], [`triggers`], [`plan`] | a step, the triggers of a column, and the steps of each phase |
//! | [`replacement_index`] | the index on the new column for each index on the old one |
//! | [`verify`] | the comparisons before a cut-over |
//! | [`cutover`] | cut-over, rollback and finalization |
//! | [`cutover_view`] | the cut-over by views, and its change to one by names |
//! | [`derive`] | the key of a row that has none |
//! | [`backfill`] | the statement of a batch, and which pages it takes |

pub mod backfill;
pub mod cutover;
pub mod cutover_view;
pub mod derive;
pub mod facts;
pub mod findings;
pub mod key_time;
pub mod names;
pub mod options;
pub mod phase;
pub mod plan;
pub mod replacement_index;
pub mod scope;
pub mod step;
#[cfg(test)]
mod tests;
mod time_findings;
mod time_proposal;
pub mod time_source;
#[cfg(test)]
mod time_tests;
pub mod triggers;
pub mod verify;

pub use facts::Facts;
pub use findings::{Finding, Severity};
pub use options::{KeyOptions, Options, Target, TimeRequest};
pub use phase::Phase;
pub use plan::Plan;
pub use scope::Scope;
pub use step::{Runs, Step};
pub use time_source::{TimeReference, TimeSource};
