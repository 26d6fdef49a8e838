//! Facts that only findings need: who calls, what else uses the tables, and which names are taken.
//! The glue reads them for a plan, and not for the steps of a migration under way.

use serde::Deserialize;

use crate::error::{Error, SqlState};

/// All of these facts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Surroundings {
    /// The calling role, not quoted.
    pub role: String,
    /// Whether it has the rights of the database's owner.
    pub owns_database: bool,
    /// The database's owner, not quoted.
    pub database_owner: String,
    /// The tables of the migration.
    pub tables: Vec<TableUse>,
    /// The keys.
    pub keys: Vec<KeySource>,
    /// Names of relations and types that exist, of those that the migration needs.
    pub taken: Vec<Taken>,
}

/// What else uses a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct TableUse {
    /// The table.
    pub table: u32,
    /// Whether the caller may create objects in its schema.
    pub may_create: bool,
    /// The names of all its constraints.
    pub constraints: Vec<String>,
    /// Its user triggers.
    pub triggers: Vec<TriggerCall>,
    /// How rows of other servers arrive at it, or its rows leave; read by the glue.
    #[serde(skip)]
    pub replication: Vec<Replication>,
    /// The table after which another migration of this database is named, to which it belongs, as SQL
    /// writes it; read by the glue.
    #[serde(skip)]
    pub other_migration: Option<String>,
    /// Subscriptions of PostgreSQL's own replication that apply changes to it.
    pub subscriptions: Vec<String>,
}

/// A user trigger, with the function that it calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct TriggerCall {
    /// Its name, not quoted.
    pub name: String,
    /// The function, as SQL writes it.
    pub function: String,
    /// The function's schema, not quoted.
    pub function_schema: String,
    /// The function's name, not quoted.
    pub function_name: String,
    /// The text of the function; `None` if it has none, or if it is too long to be searched.
    pub body: Option<String>,
    /// Whether the text is too long to be searched.
    pub is_long: bool,
}

/// A way in which a table is replicated by an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replication {
    /// It is in a replication set of this node: its rows leave.
    Set {
        /// The extension.
        extension: &'static str,
    },
    /// A subscription of this node brings rows.
    Subscription {
        /// The extension.
        extension: &'static str,
        /// The subscriptions.
        names: Vec<String>,
        /// Whether it is known that they bring rows of this table; otherwise only the other node
        /// knows.
        is_certain: bool,
    },
    /// The extension replicates the whole database in all directions.
    Database {
        /// The extension.
        extension: &'static str,
    },
}

/// Where the old ids of new rows come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct KeySource {
    /// The table whose key it is.
    pub table: u32,
    /// Whether the key has a default or is an identity column.
    pub has_default: bool,
    /// The sequences of the default.
    pub sequences: Vec<SequenceLeft>,
}

/// How much of a sequence is left for a column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct SequenceLeft {
    /// Its name, as SQL writes it.
    pub name: String,
    /// How many values it can still generate that fit into the column.
    pub left: i64,
    /// How many it could generate from its first one.
    pub all: i64,
}

/// A name that is taken in a schema.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Taken {
    /// The schema, not quoted.
    pub schema: String,
    /// The name, not quoted.
    pub name: String,
    /// What has it: `table`, `index`, `view`, `type` and so on.
    pub kind: String,
}

impl Surroundings {
    /// Reads them from the JSON document of the glue.
    ///
    /// # Errors
    /// 55000 if the document is not as expected.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        serde_json::from_str(json).map_err(|error| {
            Error::new(
                SqlState::ObjectNotInPrerequisiteState,
                format!("could not interpret the system catalogs: {error}"),
            )
            .hint("If an object was dropped concurrently, try again.")
        })
    }

    /// What else uses a table.
    pub fn table(&self, table: u32) -> Option<&TableUse> {
        self.tables.iter().find(|found| found.table == table)
    }

    /// Where the old ids of a table's new rows come from.
    pub fn key(&self, table: u32) -> Option<&KeySource> {
        self.keys.iter().find(|found| found.table == table)
    }
}
