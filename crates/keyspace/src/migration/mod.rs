//! Key migration: a live table, and every table that references it, from integer keys to time-ordered ones.
//!
//! Nothing here knows PostgreSQL. The catalogs come in as [`Facts`], what a migration was told as [`Options`], and the
//! [`Plan`] that comes out has every statement in order, with the lock that it takes and whether it is done already.
//! So a plan made from the catalogs of a half-finished migration has only the rest left to do, whatever ended it.
//!
//! | module | subject |
//! | --- | --- |
//! | [`facts`] | tables, columns, indexes, foreign keys and triggers as the catalogs have them |
//! | [`options`] | what a migration was told |
//! | [`phase`] | the phases, in their order |
//! | [`names`] | names of what a migration adds |
//! | [`scope`] | which columns are part of a migration, and what keeps them from being |
//! | [`warnings`] | what a person should know before the first step |
//! | [`step`], [`triggers`], [`plan`] | a step, the triggers of a column, and the steps of each phase |
//! | [`replacement_index`] | the index on the new column for each index on the old one |
//! | [`verify`] | what is compared before a cut-over |
//! | [`cutover`] | cut-over, the way back, and the end |
//! | [`cutover_view`] | the cut-over by views, and from there to names |
//! | [`derive`] | the key of a row that has none |
//! | [`backfill`] | the statement of a batch, and which pages it takes |

pub mod backfill;
pub mod cutover;
pub mod cutover_view;
pub mod derive;
pub mod facts;
pub mod names;
pub mod options;
pub mod phase;
pub mod plan;
pub mod replacement_index;
pub mod scope;
pub mod step;
#[cfg(test)]
mod tests;
pub mod triggers;
pub mod verify;
pub mod warnings;

pub use facts::Facts;
pub use options::{KeyOptions, Options, Target};
pub use phase::Phase;
pub use plan::Plan;
pub use scope::Scope;
pub use step::{Runs, Step};
pub use warnings::{Severity, Warning};
