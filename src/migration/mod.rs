//! Key migration: the SQL functions, the triggers, and the procedures' work between two commits.
//!
//! | module | subject |
//! | --- | --- |
//! | [`catalog`], [`state`] | the facts from the catalogs, and the state stored next to them |
//! | [`arguments`], [`plan`] | `key_migration_plan` and `key_migration_statements` |
//! | [`usage`] | the columns for `key_migration_usage` |
//! | [`create`] | begins and alters a migration |
//! | [`derive`] | the key of a row, for SQL |
//! | [`trigger`], [`trigger_arguments`], [`lookup`], [`tuple`] | keep old ids and keys in step, row by row |
//! | [`procedures`], [`runner`], [`backfill`], [`verify`], [`cutover`] | the procedures, and their transactions |
//! | [`backfill_query`] | the writes of a batch by a query, which fires user triggers |
//! | [`backfill_page`], [`writer`] | the writes of a batch: rows, and their entries in indexes |
//! | [`backfill_check`] | the look at all rows at the end of a backfill |
//! | [`limits`], [`throttle`] | whether the backfill waits so that others keep up |
//! | [`capture`], [`marks`] | what others do meanwhile: triggers that capture changes, and changes without our triggers |

mod arguments;
mod backfill;
mod backfill_check;
mod backfill_page;
mod backfill_query;
mod capture;
mod catalog;
mod create;
mod cutover;
mod derive;
mod key_type;
mod limits;
mod lookup;
mod marks;
mod plan;
mod procedures;
mod referenced;
mod rights;
mod runner;
mod search_path;
mod state;
mod throttle;
mod trigger;
mod trigger_arguments;
mod tuple;
mod usage;
mod verify;
mod writer;

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
    "../../sql/migration/key_migration_verify.sql",
    name = "key_migration_verify",
    requires = ["key_migration_create"]
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
