//! Arguments of `migrate`.

use clap::{Args, Subcommand, ValueEnum};

/// Arguments of `migrate`.
#[derive(Args, Debug)]
pub struct MigrateArguments {
    /// One node alone, if several are named [default: all nodes together]
    #[arg(long, global = true, value_name = "NAME")]
    pub on: Option<String>,

    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the migration of a table.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Show what a migration would do, or what is left of it, and what is in its way
    Plan(PlanArguments),

    /// Create the migration, and run it up to the cut-over, or go on with it
    ///
    /// Adds the columns, fills them, builds the indexes and compares all values, while others read
    /// and write. It can be interrupted at any moment: call it again, and it goes on.
    Run(RunArguments),

    /// Give the new columns the names of the old ones, in one short transaction
    CutOver(CutOverArguments),

    /// Undo the cut-over; before it, remove everything that the migration has added
    Rollback(RollbackArguments),

    /// Drop the old ids; this cannot be undone
    Finalize(FinalizeArguments),

    /// Let writers go on on nodes that an interrupted command has left waiting
    ///
    /// Only for several nodes together. If a node has changed already, the others have to follow: call
    /// the command that was interrupted again.
    Open(OpenArguments),
}

/// The type of the new keys.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Target {
    /// UUID version 7
    Uuid,
    /// ULID
    Ulid,
    /// The same ids, as bigint
    Bigint,
}

/// How a migration is created. Without effect on one that exists.
#[derive(Args, Debug, Default)]
pub struct KeyArguments {
    /// The type of the new keys [default: uuid]
    #[arg(long, value_enum)]
    pub target: Option<Target>,

    /// The column that keys get their time from
    #[arg(long, value_name = "COLUMN")]
    pub timestamp_column: Option<String>,

    /// The time zone of a timestamp or date without one, such as UTC
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,

    /// An expression over the row, in place of a column
    #[arg(long, value_name = "SQL")]
    pub timestamp_expression: Option<String>,

    /// A column whose foreign key refers to the row that has the time
    #[arg(long, value_name = "COLUMN")]
    pub timestamp_reference: Option<String>,

    /// Keys have no time, and are in the order of the old ids
    #[arg(long)]
    pub without_timestamp: bool,

    /// Makes keys of different tables differ; the same on all servers [default: schema.table]
    #[arg(long, value_name = "TEXT")]
    pub salt: Option<String>,

    /// A column that the new unique index includes; may be repeated
    #[arg(long = "include", value_name = "COLUMN")]
    pub include: Vec<String>,

    /// The suffix of new objects until the cut-over [default: _new]
    #[arg(long, value_name = "SUFFIX")]
    pub new_suffix: Option<String>,

    /// The suffix of old objects after the cut-over [default: _old]
    #[arg(long, value_name = "SUFFIX")]
    pub old_suffix: Option<String>,

    /// Triggers of the tables fire for rows that the backfill changes
    #[arg(long)]
    pub fire_triggers: bool,

    /// Primary keys and foreign keys move to the new columns at the cut-over, not at the end
    #[arg(long)]
    pub move_primary_key: bool,

    /// Columns that refer to the key without a foreign key: "shop.log (order_id)"; may be repeated
    #[arg(long = "reference", value_name = "TABLE (COLUMN, ...)")]
    pub references: Vec<String>,
}

/// Arguments of `migrate plan`.
#[derive(Args, Debug)]
pub struct PlanArguments {
    /// The table, written as in SQL
    pub table: String,

    #[command(flatten)]
    pub key: KeyArguments,
}

/// Arguments of `migrate run`.
#[derive(Args, Debug)]
pub struct RunArguments {
    /// The table, written as in SQL
    pub table: String,

    #[command(flatten)]
    pub key: KeyArguments,

    /// A setting of the run, such as "pause=50 ms" or "max_slot_wal=5 GB"; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub settings: Vec<String>,

    /// The memory in which references are looked up, such as 256MB
    #[arg(long, value_name = "SIZE", conflicts_with = "dry_run")]
    pub maintenance_work_mem: Option<String>,

    /// Only print the statements
    #[arg(long)]
    pub dry_run: bool,
}

/// The way of a cut-over.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Way {
    /// Columns change their names
    #[default]
    Rename,
    /// Views take the names of the tables
    View,
}

/// What a cut-over can overlook.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Ignored {
    /// New columns without statistics
    Statistics,
    /// A key without a default
    Default,
}

/// Arguments of `migrate cut-over`.
#[derive(Args, Debug)]
pub struct CutOverArguments {
    /// The table, written as in SQL
    pub table: String,

    /// How
    #[arg(long, value_enum, default_value_t, conflicts_with = "rehearse")]
    pub way: Way,

    /// What it overlooks; may be repeated
    #[arg(long, value_enum, conflicts_with = "rehearse")]
    pub ignore: Vec<Ignored>,

    /// Seconds for which writers may wait on several nodes, before they go on without it [default: 60]
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["dry_run", "rehearse"],
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub max_wait: Option<u64>,

    /// Only print the statement, what still uses the old ids, and who would be in the way
    #[arg(long)]
    pub dry_run: bool,

    /// Only lock the tables as the cut-over would, release them at once, and show how that went
    #[arg(long, conflicts_with = "dry_run")]
    pub rehearse: bool,

    /// Milliseconds for which each try of a rehearsal waits for the locks
    #[arg(long, value_name = "MS", default_value_t = 100, requires = "rehearse",
          value_parser = clap::value_parser!(u32).range(1..=600_000))]
    pub lock_timeout: u32,

    /// How often a rehearsal tries
    #[arg(long, value_name = "NUMBER", default_value_t = 10, requires = "rehearse",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub tries: u32,
}

/// Arguments of `migrate rollback`.
#[derive(Args, Debug)]
pub struct RollbackArguments {
    /// The table, written as in SQL
    pub table: String,

    /// The name of the table; needed to remove a migration that was cut over before
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,

    /// Seconds for which writers may wait on several nodes, before they go on without it [default: 60]
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["dry_run"],
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub max_wait: Option<u64>,

    /// Only print the statement
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `migrate finalize`.
#[derive(Args, Debug)]
pub struct FinalizeArguments {
    /// The table, written as in SQL
    pub table: String,

    /// The name of the table [default: asked for on a terminal]
    #[arg(long, value_name = "NAME", conflicts_with = "dry_run")]
    pub confirm: Option<String>,

    /// Rows keep their old ids, without an index; new rows get none
    #[arg(long)]
    pub keep_old_ids: bool,

    /// Seconds for which writers may wait on several nodes, before they go on without it [default: 60]
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["dry_run"],
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub max_wait: Option<u64>,

    /// Only print the statement, and what still uses the old ids
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `migrate open`.
#[derive(Args, Debug)]
pub struct OpenArguments {
    /// The table, written as in SQL
    pub table: String,
}
