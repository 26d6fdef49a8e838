//! The arguments of a migration, and its state.

use super::condition::Condition;
use super::names;
use super::time_source::TimeSource;
use crate::error::{Error, SqlState};

/// The type of the new keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `uuid`, version 7.
    Uuid,
    /// `ulid`.
    Ulid,
    /// `bigint`, for keys of type `smallint` or `integer`, which keep their values.
    Bigint,
}

impl Target {
    /// The target with this name.
    ///
    /// # Errors
    /// 22023 for any other name.
    pub fn parse(name: &str) -> Result<Self, Error> {
        match name {
            "uuid" => Ok(Self::Uuid),
            "ulid" => Ok(Self::Ulid),
            "bigint" => Ok(Self::Bigint),
            _ => Err(Error::new(SqlState::InvalidParameterValue, format!("unknown target \"{name}\""))
                .hint("The target must be \"uuid\" (version 7), \"ulid\" or \"bigint\".")),
        }
    }

    /// Its name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Ulid => "ulid",
            Self::Bigint => "bigint",
        }
    }

    /// Whether a key is the old id itself, in a wider column. Then nothing is derived or looked up, no
    /// time is needed, and once keys lead a row can have a key that is no old id.
    pub const fn keeps_values(self) -> bool {
        matches!(self, Self::Bigint)
    }

    /// The name of the type in the catalogs.
    pub(super) const fn catalog_name(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Ulid => "ulid",
            Self::Bigint => "int8",
        }
    }

    /// The size of a key in bytes.
    pub const fn size(self) -> usize {
        match self {
            Self::Uuid | Self::Ulid => 16,
            Self::Bigint => 8,
        }
    }

    /// The type as SQL writes it.
    pub fn type_name(self, extension_schema: &str) -> String {
        match self {
            Self::Uuid => "uuid".to_owned(),
            Self::Ulid => format!("{extension_schema}.ulid"),
            Self::Bigint => "bigint".to_owned(),
        }
    }

    /// The call that generates a key for a new row; `None` if keys come from where old ids came from.
    pub fn default(self, extension_schema: &str) -> Option<String> {
        match self {
            Self::Uuid => Some(format!("{extension_schema}.uuidv7()")),
            Self::Ulid => Some(format!("{extension_schema}.ulid()")),
            Self::Bigint => None,
        }
    }

    /// The function that derives a key from the timestamp and id of a row, and a salt; `None` if the
    /// key is the old id.
    pub const fn derivation(self) -> Option<&'static str> {
        match self {
            Self::Uuid => Some("key_migration_uuid"),
            Self::Ulid => Some("key_migration_ulid"),
            Self::Bigint => None,
        }
    }
}

/// A key to migrate, as the caller specifies it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyOptions {
    /// The table.
    pub table: u32,
    /// The number of its key column, if known; otherwise the primary key determines it.
    pub column: Option<i16>,
    /// Where its keys take their time from, if known.
    pub time: Option<TimeSource>,
    /// Where they take it from, as the caller says.
    pub request: TimeRequest,
    /// Keeps apart the keys of different tables for equal times and ids.
    pub salt: String,
    /// Columns that the new unique index of the key includes.
    pub include: Vec<String>,
}

/// Why the values of a table have to be compared again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It has been written to another file.
    Rewritten,
    /// It has become a partition since, perhaps again.
    Attached,
    /// Replication, or another session in the role of a replica, has changed rows in a way that could
    /// not be corrected at once.
    Applied,
}

impl Doubt {
    /// The reason, for a sentence that begins with the name of the table.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Rewritten => "has been written to another file since",
            Self::Attached => "has become a partition since",
            Self::Applied => {
                "has rows that replication, or a session in the role of a replica, has changed since"
            }
        }
    }
}

/// Where keys take their time from, as the caller says; nothing means the obvious column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeRequest {
    /// The name of the column with the time, of the table itself or of the one that `reference`
    /// refers to.
    pub column: Option<String>,
    /// The time zone of a `timestamp` or `date`.
    pub zone: Option<String>,
    /// An expression over the row.
    pub expression: Option<String>,
    /// The name of the column that refers to the row with the time.
    pub reference: Option<String>,
    /// Whether keys have no time.
    pub constant: bool,
}

impl TimeRequest {
    /// The arguments, and whether they are given.
    const fn arguments(&self) -> [(&'static str, bool); 5] {
        [
            ("timestamp_column", self.column.is_some()),
            ("timestamp_reference", self.reference.is_some()),
            ("timestamp_expression", self.expression.is_some()),
            ("without_timestamp", self.constant),
            ("time_zone", self.zone.is_some()),
        ]
    }

    /// Refuses all of these arguments, for keys that have no time.
    ///
    /// # Errors
    /// 22023.
    pub fn check_absent(&self, target: Target) -> Result<(), Error> {
        match self.arguments().into_iter().find(|(_, is_given)| *is_given) {
            Some((argument, _)) => Err(Error::new(
                SqlState::InvalidParameterValue,
                format!("{argument} cannot be used with target \"{}\"", target.name()),
            )
            .detail("Keys keep their values, and contain no time.")),
            None => Ok(()),
        }
    }

    /// Refuses arguments that contradict each other.
    ///
    /// # Errors
    /// 22023.
    pub fn check(&self) -> Result<(), Error> {
        let given = self.arguments();
        // Each of these arguments says everything by itself, but for the zone of an expression.
        let alone = [
            ("without_timestamp", self.constant, ""),
            ("timestamp_expression", self.expression.is_some(), "time_zone"),
        ];
        for (argument, _, accepts) in alone.into_iter().filter(|(_, is_given, _)| *is_given) {
            let other =
                given.iter().find(|(other, is_given)| *is_given && *other != argument && *other != accepts);
            if let Some((other, _)) = other {
                let message = format!("{argument} and {other} cannot be used together");
                return Err(Error::new(SqlState::InvalidParameterValue, message)
                    .hint("Specify one source for the times of keys."));
            }
        }
        Ok(())
    }
}

/// The arguments of a migration, and what it has found since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The type of the new keys.
    pub target: Target,
    /// The keys; the migration is named after the first one's table.
    pub keys: Vec<KeyOptions>,
    /// The suffix of the names of new columns, indexes and constraints until the cut-over.
    pub new_suffix: String,
    /// The suffix of the names of old ones after it.
    pub old_suffix: String,
    /// Whether user triggers fire for rows that the backfill changes.
    pub fire_triggers: bool,
    /// Whether primary keys and foreign keys move to the new columns at the cut-over, not at the end.
    pub move_primary_key: bool,
    /// The nodes that migrate the keys together, because they replicate to each other; empty for a
    /// migration of this node alone.
    pub nodes: Vec<i32>,
    /// New columns that exist: table, old column, new column.
    pub shadows: Vec<(u32, i16, i16)>,
    /// Which rows of columns refer to a key, for columns of which not all do.
    pub conditions: Vec<Condition>,
    /// Tables whose existing rows have their keys.
    pub filled: Vec<u32>,
    /// Whether the values have been compared, and nothing has put the result in doubt since.
    pub verified: bool,
    /// What has put the result of the comparison in doubt, with the table.
    pub doubts: Vec<(u32, Doubt)>,
    /// Whether the new columns have the names of the old ones.
    pub cut_over: bool,
    /// The tables of a cut-over by views, with their former names, which are now those of the
    /// views.
    pub views: Vec<(u32, String)>,
}

impl Options {
    /// Options for a plan of a migration that does not exist yet.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            keys: Vec::new(),
            new_suffix: "_new".to_owned(),
            old_suffix: "_old".to_owned(),
            fire_triggers: false,
            // Old ids that must be able to be NULL cannot stay a primary key.
            move_primary_key: target.keeps_values(),
            nodes: Vec::new(),
            shadows: Vec::new(),
            conditions: Vec::new(),
            filled: Vec::new(),
            verified: false,
            doubts: Vec::new(),
            cut_over: false,
            views: Vec::new(),
        }
    }

    /// Reads names from a JSON array.
    pub fn names(json: &str) -> Vec<String> {
        serde_json::from_str(json).unwrap_or_default()
    }

    /// Refuses suffixes that cannot be used in names.
    ///
    /// # Errors
    /// 22023 if one is empty or too long, or if both are the same.
    pub fn check(&self) -> Result<(), Error> {
        for (argument, suffix) in [("new_suffix", &self.new_suffix), ("old_suffix", &self.old_suffix)] {
            if suffix.is_empty() || suffix.len() > 16 {
                let message = format!("{argument} must be 1 to 16 bytes long, not {}", suffix.len());
                return Err(Error::new(SqlState::InvalidParameterValue, message)
                    .hint("Old and new columns exist in the same table, so they need different names."));
            }
        }
        if self.new_suffix == self.old_suffix {
            let message = "new_suffix and old_suffix must differ";
            return Err(Error::new(SqlState::InvalidParameterValue, message)
                .hint("Old and new columns exist in the same table, so they need different names."));
        }
        Ok(())
    }

    /// The new column of an old one, if it exists.
    pub fn shadow(&self, table: u32, column: i16) -> Option<i16> {
        self.shadows.iter().find(|shadow| (shadow.0, shadow.1) == (table, column)).map(|shadow| shadow.2)
    }

    /// Which rows of a column refer to a key, if not all do.
    pub fn condition(&self, table: u32, column: i16) -> Option<&Condition> {
        self.conditions.iter().find(|condition| (condition.table, condition.column) == (table, column))
    }

    /// The name of a new object until the cut-over.
    pub fn new_name(&self, name: &str) -> String {
        names::suffixed(name, &self.new_suffix)
    }

    /// The name of an old object after it.
    pub fn old_name(&self, name: &str) -> String {
        names::suffixed(name, &self.old_suffix)
    }
}
