//! Key migration: the SQL functions, the triggers, and the procedures' work between two commits.
//!
//! | module | subject |
//! | --- | --- |
//! | [`catalog`], [`surroundings`], [`undeclared`], [`state`] | the facts from the catalogs, and the state stored next to them |
//! | [`arguments`], [`plan`] | `key_migration_plan` and `key_migration_statements` |
//! | [`usage`] | the columns for `key_migration_usage` |
//! | [`create`], [`adopt`] | begins and alters a migration, and continues one in a copy of its database |
//! | [`derive`] | the key of a row, for SQL |
//! | [`row_time`], [`zone`], [`expression`], [`time_parents`] | the time of a row |
//! | [`trigger`], [`trigger_arguments`], [`lookup`], [`tuple`], [`violation`] | keep old ids and keys in step, row by row |
//! | [`old_id`] | old ids that are texts, and those that outlive their row |
//! | [`copy_trigger`], [`move_identity`] | the same for keys that keep their values, and the identity of the column |
//! | [`next_table`] | the table that a backfill comes to next |
//! | [`procedures`], [`runner`], [`backfill`], [`backfill_work`], [`verify`], [`cutover`] | the procedures, and their transactions |
//! | [`backfill_query`] | the writes of a batch by a query, which fires user triggers |
//! | [`settle`] | what follows a cut-over or its rollback |
//! | [`backfill_page`], [`filler`], [`writer`] | the writes of a batch: rows, their keys, and their entries in indexes |
//! | [`look_ahead`] | the look-up of referenced rows ahead of these writes |
//! | [`batch_error`], [`rows_without_key`] | where a batch failed, and rows to which no key can be given |
//! | [`backfill_check`] | the look at all rows at the end of a backfill |
//! | [`limits`], [`throttle`] | whether the backfill waits so that others keep up |
//! | [`nodes`] | migrations on nodes that replicate to each other |
//! | [`capture`], [`marks`] | what others do meanwhile: triggers that capture changes, and changes without our triggers |

mod adopt;
mod arguments;
mod backfill;
mod backfill_check;
mod backfill_page;
mod backfill_query;
mod backfill_work;
mod batch_error;
mod capture;
mod catalog;
mod changed_since;
mod companions;
mod condition;
mod copy_trigger;
mod create;
mod cutover;
mod derive;
mod expression;
mod filler;
mod key_type;
mod limits;
mod look_ahead;
mod lookup;
mod lost_old_ids;
mod marks;
mod move_identity;
mod moved;
mod next_table;
mod nodes;
mod old_id;
mod partition_scan;
mod partitioned_lookup;
mod plan;
mod primary_key;
mod procedures;
mod referenced;
mod refers;
mod rights;
mod root_lookup;
mod row_time;
mod rows_without_key;
mod runner;
mod search_path;
mod settle;
mod state;
mod surroundings;
mod throttle;
mod time_parents;
mod trigger;
mod trigger_arguments;
mod tuple;
mod undeclared;
mod usage;
mod verify;
mod verify_references;
mod violation;
mod writer;
mod zone;

pgrx::extension_sql_file!(
    "../../sql/migration/key_migration_derived.sql",
    name = "key_migration_derived",
    requires = ["interleave_new_sequences", "ulid_type"]
);
pgrx::extension_sql_file!(
    "../../sql/migration/key_migration_tables.sql",
    name = "key_migration_tables",
    requires = ["key_migration_derived"]
);
pgrx::extension_sql_file!(
    "../../sql/migration/key_migration_triggers.sql",
    name = "key_migration_triggers",
    requires = ["library_only"]
);
pgrx::extension_sql_file!(
    "../../sql/migration/key_migration_plan.sql",
    name = "key_migration_plan",
    requires = ["key_migration_triggers"]
);
pgrx::extension_sql_file!(
    "../../sql/migration/key_migration_create.sql",
    name = "key_migration_create",
    requires = ["key_migration_plan"]
);
pgrx::extension_sql_file!(
    "../../sql/migration/key_migration_nodes.sql",
    name = "key_migration_nodes",
    requires = ["key_migration_create"]
);
pgrx::extension_sql_file!(
    "../../sql/migration/key_migration_verify.sql",
    name = "key_migration_verify",
    requires = ["key_migration_nodes"]
);
pgrx::extension_sql_file!(
    "../../sql/migration/key_migration_procedures.sql",
    name = "key_migration_procedures",
    requires = ["key_migration_verify"]
);
pgrx::extension_sql_file!(
    "../../sql/migration/key_migration_views.sql",
    name = "key_migration_views",
    requires = ["key_migration_procedures"]
);
pgrx::extension_sql_file!(
    "../../sql/migration/key_migration_usage.sql",
    name = "key_migration_usage",
    requires = ["key_migration_views"]
);
