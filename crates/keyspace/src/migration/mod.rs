//! Key migration: changes a live table, and every table that references it, to time-ordered
//! keys.
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
//! | [`names`], `name_words` | names of the objects that a migration adds, and the words in names |
//! | [`scope`], [`key_column`], [`member`] | which columns are part of a migration, and why others cannot be |
//! | [`condition`], `condition_findings` | which rows of a column refer to a key |
//! | `parts`, `scope_partitions` | the partitions of tables, and their columns |
//! | [`time_source`], [`key_time`], [`time_proposal`] | where keys take their time from, and the best source of a table |
//! | [`finding`], [`findings`], [`time_findings`] | the findings before the first step |
//! | [`surroundings`], [`candidate_reference`] | facts that only findings need |
//! | [`permissions`], [`live_triggers`], [`replicated`], [`clashes`], [`limits`], [`type_column`], [`key_reference`], [`reference_name`], [`undeclared`], [`old_id_source`], [`trigger_functions`], `stranger`, `numeric_findings`, [`rules`], [`costs`] | findings on one subject each |
//! | [`step`], [`triggers`], [`plan`] | a step, the triggers of a column, and the steps of each phase |
//! | [`expression`] | expressions over old ids, and what they are for keys |
//! | [`replacement_index`] | the index on the new column for each index on the old one |
//! | `lacking_old_ids`, `dropped_indexes` | unique indexes that would refuse rows without an old id |
//! | `index_columns` | the names of the columns of partitioned indexes |
//! | [`partitioned_key`], `partitioned_key_findings`, [`companions`] | keys of partitioned tables, and the columns with which their rows are found |
//! | [`foreign_keys`], `foreign_key_definition`, `foreign_key_notes`, `foreign_keys_of_partitions`, [`required`], [`checks`] | the foreign keys, NOT NULL and the checks of the new columns |
//! | [`properties`], [`carried`] | what else the new objects take over, and findings about what they cannot |
//! | `primary_key`, `kept_index` | primary keys that move at the cut-over, and the index that keeps old ids unique |
//! | [`kept_values`], [`moved_source`] | keys that keep their values in a wider column, and what gives them |
//! | [`settle`] | what is left after a cut-over or its rollback |
//! | `statistics`, [`verify`] | statistics and comparisons before a cut-over |
//! | [`cutover`] | cut-over, rollback and finalization |
//! | [`lost_old_ids`] | the end of a migration whose old ids were dropped after its cut-over |
//! | [`cutover_view`] | the cut-over by views, and its change to one by names |
//! | [`nodes`] | the same migration on nodes that replicate to each other |
//! | [`old_id`], [`numeric`] | old ids of every type, and how SQL writes them; those of type `numeric` |
//! | [`derive`] | the key of a row that has none |
//! | [`backfill`] | the statement of a batch, and which pages it takes |
//! | [`missed`] | the rows that the check at the end of a backfill finds |
//! | [`throttle`] | when a backfill waits so that others keep up |
//! | [`capture`] | triggers of others that a backfill would have to fire |

#[cfg(test)]
mod announced_tests;
pub mod backfill;
pub mod candidate_reference;
pub mod capture;
pub mod carried;
#[cfg(test)]
mod carried_tests;
pub mod checks;
pub mod clashes;
pub mod companions;
pub mod condition;
mod condition_findings;
#[cfg(test)]
mod condition_tests;
pub mod costs;
pub mod cutover;
pub mod cutover_view;
pub mod derive;
mod dropped_indexes;
pub mod expression;
pub mod facts;
pub mod finding;
pub mod findings;
mod foreign_key_definition;
mod foreign_key_notes;
pub mod foreign_keys;
mod foreign_keys_of_partitions;
mod index_columns;
mod kept_index;
pub mod kept_values;
#[cfg(test)]
mod kept_values_tests;
pub mod key_column;
mod key_reference;
pub mod key_time;
pub mod known_keys;
mod lacking_old_ids;
pub mod limits;
pub mod live_triggers;
mod lookup_index;
pub mod lost_old_ids;
pub mod member;
pub mod missed;
#[cfg(test)]
mod moved_key_tests;
#[cfg(test)]
mod moved_partitioned_key_tests;
pub mod moved_source;
mod name_words;
pub mod names;
mod narrow_reference;
pub mod nodes;
pub mod numeric;
mod numeric_findings;
pub mod old_id;
pub mod old_id_source;
pub mod options;
#[cfg(test)]
mod partition_tests;
pub mod partitioned_key;
mod partitioned_key_findings;
#[cfg(test)]
mod partitioned_key_tests;
mod partitions;
mod parts;
mod permissions;
pub mod phase;
pub mod plan;
mod primary_key;
pub mod properties;
mod reference_name;
pub mod replacement_index;
pub mod replicated;
pub mod required;
pub mod rules;
pub mod scope;
mod scope_partitions;
pub mod settle;
mod statistics;
pub mod step;
mod stranger;
pub mod surroundings;
#[cfg(test)]
mod tests;
pub mod throttle;
mod time_findings;
mod time_proposal;
pub mod time_source;
#[cfg(test)]
mod time_tests;
pub mod trigger_functions;
pub mod triggers;
pub mod type_column;
pub mod undeclared;
pub mod verify;
pub mod verify_references;

pub use facts::Facts;
pub use finding::{Finding, Severity, list_of_objects};
pub use options::{Doubt, KeyOptions, Options, Target, TimeRequest};
pub use phase::Phase;
pub use plan::Plan;
pub use scope::Scope;
pub use step::{Runs, Step};
pub use surroundings::Surroundings;
pub use time_source::{TimeReference, TimeSource};
