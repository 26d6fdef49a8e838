//! The facts from the catalogs about the tables of a migration. The glue reads them as one JSON
//! document.

use serde::Deserialize;

use super::candidate_reference::Undeclared;
use super::surroundings::Surroundings;
use crate::error::{Error, SqlState};
use crate::sql::{in_message, qualified};

/// All facts that a plan is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Facts {
    /// The schema of the extension, quoted if needed.
    pub extension_schema: String,
    /// The schema of the internal functions, triggers among them, quoted if needed.
    pub internal_schema: String,
    /// The major version of the server.
    pub major: i32,
    /// The smallest and the largest old id of each key, with the table whose key it is.
    pub key_ranges: Vec<(u32, i64, i64)>,
    /// Tables with a key of type `numeric` that has an id which is not an integer of type `bigint`, with
    /// one such id. The glue looks for them before a migration begins.
    #[serde(skip)]
    pub unfit_ids: Vec<(u32, String)>,
    /// Sequences that give keys their old ids and are not of the class of the node, each with the
    /// table whose key it is; empty if the database is not a node.
    pub strays: Vec<(u32, String)>,
    /// The tables, including those whose keys are migrated.
    pub tables: Vec<Table>,
    /// The columns that refer to the keys, directly or indirectly, by foreign keys or as the caller
    /// says.
    pub references: Vec<Reference>,
    /// The foreign keys between the tables.
    pub foreign_keys: Vec<ForeignKey>,
    /// Owners of tables that refer to keys of others.
    pub other_owners: Vec<OtherOwner>,
    /// References to tables whose owners do not have the rights of the referencing table's owner.
    pub strangers: Vec<Stranger>,
    /// What only findings need, if it has been read.
    #[serde(skip)]
    pub surroundings: Option<Surroundings>,
    /// The operator classes for the types that a key can have.
    pub operator_classes: Vec<OperatorClass>,
    /// How many locks the lock table has room for at least.
    pub lock_slots: i64,
    /// Defaults of references that are the id of a row, with that row's other id.
    #[serde(skip)]
    pub defaults: Vec<ReferenceDefault>,
    /// Foreign keys of one column, through which keys can take their time from another row.
    #[serde(skip)]
    pub time_parents: Vec<TimeParent>,
    /// Tables whose times the server cannot compute any more, and why: an expression that cannot be
    /// evaluated, or a time zone that does not exist.
    #[serde(skip)]
    pub failed_times: Vec<(u32, String)>,
    /// Columns that look like references without a foreign key, if they have been looked for.
    #[serde(skip)]
    pub undeclared: Vec<Undeclared>,
}

/// The default of a reference that is the old id or the key of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferenceDefault {
    /// The table that refers.
    pub table: u32,
    /// The column of old ids.
    pub column: i16,
    /// The key of that row before the cut-over, and its old id after it.
    pub value: String,
}

/// An operator class for the type of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct OperatorClass {
    /// `amname`.
    pub method: String,
    /// The type: `uuid` or `ulid`.
    pub type_name: String,
    /// Its name, not quoted.
    pub name: String,
    /// Its name as SQL writes it, with its schema.
    pub sql: String,
    /// Whether it is the default of its type.
    pub is_default: bool,
}

/// A table that a column of another one refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct TimeParent {
    /// The table that refers.
    pub child: u32,
    /// Its column.
    pub column: i16,
    /// The table that it refers to.
    pub parent: u32,
    /// The column of that table.
    pub parent_column: i16,
    /// The schema of that table, not quoted.
    pub schema: String,
    /// Its name, not quoted.
    pub name: String,
    /// The owner of the table that refers, not quoted.
    pub owner: String,
    /// Whether that role has the rights of the owner of the other table.
    pub has_rights: bool,
    /// Whether policies of the other table apply to the role.
    pub hides_rows: bool,
    /// Whether the role may use its schema.
    pub may_use_schema: bool,
    /// Whether the role may read all of it.
    pub may_select: bool,
    /// The columns of it that the role may read.
    pub may_select_columns: Vec<i16>,
    /// Its columns that can hold a time, or be referred to.
    pub columns: Vec<TimeColumn>,
}

/// A column that may hold a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct TimeColumn {
    /// `attnum`.
    pub number: i16,
    /// Its name, not quoted.
    pub name: String,
    /// The type as SQL writes it; for a domain, the type that it is based on.
    pub type_name: String,
    /// The declared type, for messages.
    pub declared_type: String,
    /// Whether it is NOT NULL.
    pub not_null: bool,
    /// `attgenerated`.
    pub generated: String,
    /// The collation of a text, as SQL writes it.
    pub collation: Option<String>,
    /// Whether a unique index on it alone finds its rows. That of a text has a deterministic collation.
    pub is_unique: bool,
}

impl TimeParent {
    /// A column by its number.
    pub fn column(&self, number: i16) -> Option<&TimeColumn> {
        self.columns.iter().find(|column| column.number == number)
    }

    /// The table as SQL writes it.
    pub fn name_sql(&self) -> String {
        qualified(&self.schema, &self.name)
    }

    /// Whether the owner of the table that refers to it may read the column with the time; `None`
    /// for any column.
    pub fn may_read(&self, time: Option<i16>) -> bool {
        let selects = |column: &i16| self.may_select_columns.contains(column);
        let may_select =
            self.may_select || (selects(&self.parent_column) && time.is_some_and(|time| selects(&time)));
        self.has_rights || (!self.hides_rows && self.may_use_schema && may_select)
    }
}

impl From<&Column> for TimeColumn {
    fn from(column: &Column) -> Self {
        Self {
            number: column.number,
            name: column.name.clone(),
            type_name: column.type_name.clone(),
            declared_type: column.declared_type.clone(),
            not_null: column.not_null,
            generated: column.generated.clone(),
            collation: column.collation.clone(),
            is_unique: false,
        }
    }
}

/// A reference to a table whose owner does not have the rights of the referencing table's owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Stranger {
    /// The table that refers.
    pub table: u32,
    /// The table that it refers to.
    pub other: u32,
    /// The code that the planner evaluates in every query on `other`, if it was written by roles
    /// that the owner of `table` does not have to trust.
    pub code: Vec<Code>,
}

/// An index or a statistics object that has an expression or a condition with a function in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Code {
    /// What it is.
    pub kind: String,
    /// Its name, as SQL writes it.
    pub name: String,
    /// The function, with the types of its arguments.
    pub function: String,
}

/// The owner of a table that refers to a key, without the rights of the owner of the key's table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct OtherOwner {
    /// The table whose key it is.
    pub key: u32,
    /// The table that refers to it.
    pub table: u32,
    /// The column that refers to it.
    pub column: i16,
    /// The role's name, not quoted.
    pub owner: String,
    /// Whether policies of the key's table apply to the role.
    pub hides_rows: bool,
    /// Whether the role may use its schema.
    pub may_use_schema: bool,
    /// Whether the role may read all of it.
    pub may_select: bool,
    /// The columns of it that the role may read.
    pub columns: Vec<i16>,
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Table {
    /// Its OID.
    pub oid: u32,
    /// Its schema, not quoted.
    pub schema: String,
    /// Its name, not quoted.
    pub name: String,
    /// `relkind`.
    pub kind: String,
    /// `amname`.
    pub access_method: String,
    /// Its owner, not quoted.
    pub owner: String,
    /// The privileges of others on it.
    pub grants: Vec<Grant>,
    /// Whether it has row-level security.
    pub row_security: bool,
    /// Whether its policies hide rows from the caller, too.
    pub hides_rows: bool,
    /// `relpersistence`.
    pub persistence: String,
    /// The approximate number of rows.
    pub rows: i64,
    /// The size of its heap.
    pub heap_bytes: i64,
    /// The size of its widest possible row if every value that can be is moved out of line.
    pub widest_row: i64,
    /// Whether the caller owns it.
    pub is_owner: bool,
    /// Whether it is partitioned, and its owner has no EXECUTE on our trigger functions.
    pub lacks_execute: bool,
    /// Whether it is a partition.
    pub is_partition: bool,
    /// The partitioned table that it is a partition of, if that one is part of the migration.
    pub parent: Option<u32>,
    /// The columns that its rows are partitioned by; 0 for a whole row.
    pub partition_columns: Vec<i16>,
    /// Whether it has parents or children by inheritance.
    pub is_inherited: bool,
    /// Whether other tables inherit from it.
    pub has_children: bool,
    /// Whether it belongs to PostgreSQL or to an extension.
    pub is_system: bool,
    /// `relreplident`.
    pub replica_identity: String,
    /// Whether it has no rows, as far as the catalogs know, so that ANALYZE collects nothing.
    pub is_empty: bool,
    /// How many columns it has ever had.
    pub column_count: i16,
    /// Its columns, by number.
    pub columns: Vec<Column>,
    /// Its indexes.
    pub indexes: Vec<Index>,
    /// Its triggers, without PostgreSQL's own.
    pub triggers: Vec<Trigger>,
    /// Its check constraints.
    pub checks: Vec<Check>,
    /// Its rules, without those on DELETE, which no statement of a migration is rewritten by.
    pub rules: Vec<String>,
    /// Other objects that depend on its columns: views, policies, functions and the like.
    pub dependents: Vec<Dependent>,
    /// The publications that it is in.
    pub publications: Vec<String>,
}

/// A privilege.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Grant {
    /// The role that has it, not quoted; `None` for `PUBLIC`.
    pub grantee: Option<String>,
    /// Its name in SQL.
    pub privilege: String,
    /// Whether the role may grant it to others.
    pub grantable: bool,
}

/// A column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Column {
    /// `attnum`.
    pub number: i16,
    /// Its name, not quoted.
    pub name: String,
    /// The type as SQL writes it; for a domain, the type that it is based on.
    pub type_name: String,
    /// The declared type, for messages.
    pub declared_type: String,
    /// The greatest number of characters, for `varchar(n)` and a domain over it.
    pub length: Option<i32>,
    /// The greatest number of digits, for `numeric(p, s)` and a domain over it.
    pub precision: Option<i32>,
    /// How many of them come after the point; 0 for other types.
    pub scale: i32,
    /// Whether it is inherited from another table.
    pub is_inherited: bool,
    /// Whether it is NOT NULL.
    pub not_null: bool,
    /// How many foreign keys refer to it, of a table whose key is migrated.
    pub foreign_keys: u32,
    /// The name of that constraint, if it has one.
    pub not_null_constraint: Option<String>,
    /// Its default, or the expression that it is generated from.
    pub default: Option<String>,
    /// `attidentity`.
    pub identity: String,
    /// `attgenerated`.
    pub generated: String,
    /// The fraction of its values that is NULL, in thousandths, according to ANALYZE.
    pub null_thousandths: Option<i64>,
    /// The number of distinct values for every thousand rows, according to ANALYZE.
    pub distinct_thousandths: Option<i64>,
    /// Whether ANALYZE collects no statistics on it, because its statistics target is 0.
    pub statistics_off: bool,
    /// Whether ANALYZE has collected statistics on it.
    #[serde(skip)]
    pub has_statistics: bool,
    /// Its comment.
    pub comment: Option<String>,
    /// The privileges of others on it alone.
    pub grants: Vec<Grant>,
    /// The target of its statistics, if it has one of its own.
    pub statistics: Option<i32>,
    /// Its options, as `name=value`.
    pub options: Vec<String>,
    /// The collation of a text, as SQL writes it.
    pub collation: Option<String>,
    /// Whether values that are equal in it can have different bytes.
    pub is_nondeterministic: bool,
    /// The sequences that belong to it, and those that its default draws from.
    pub sequences: Vec<Sequence>,
}

/// A sequence that gives a column its values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Sequence {
    /// Its name as SQL writes it, with its schema.
    pub name: String,
    /// `identity` if it is that of an identity column, `owned` if the column owns it, otherwise `used`.
    pub kind: String,
    /// The type of its values.
    pub type_name: String,
    /// Its MAXVALUE.
    pub max: i64,
    /// Whether the caller owns it.
    pub is_owner: bool,
}

/// A column that refers to a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Reference {
    /// The table whose key it refers to.
    pub key: u32,
    /// The table.
    pub table: u32,
    /// The column's number.
    pub column: i16,
    /// Whether a foreign key declares the reference.
    pub declared: bool,
}

/// An index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Index {
    /// Its OID.
    pub oid: u32,
    /// Its name, not quoted.
    pub name: String,
    /// `amname`.
    pub method: String,
    /// Whether it is unique.
    pub is_unique: bool,
    /// Whether it is the index of the primary key.
    pub is_primary: bool,
    /// Whether it is valid and kept up to date.
    pub is_valid: bool,
    /// Whether it is the replica identity.
    pub is_replica_identity: bool,
    /// Whether NULLs are equal in it.
    pub nulls_not_distinct: bool,
    /// Its key columns.
    pub keys: Vec<IndexKey>,
    /// The numbers of its included columns.
    pub include: Vec<i16>,
    /// The condition of a partial index.
    pub predicate: Option<String>,
    /// The columns that its expressions and its condition use; 0 for a whole row.
    pub used_columns: Vec<i16>,
    /// Whether it enforces an exclusion constraint, or a key without overlaps.
    pub is_exclusion: bool,
    /// Whether `CLUSTER` uses it.
    pub is_clustered: bool,
    /// Its comment.
    pub comment: Option<String>,
    /// The targets of the statistics of its columns: position from 1 on, and target.
    pub statistics: Vec<(i16, i32)>,
    /// Its storage parameters, as `name=value`.
    pub options: Vec<String>,
    /// Its tablespace, if it is not that of the database.
    pub tablespace: Option<String>,
    /// The constraint that it belongs to.
    pub constraint: Option<IndexConstraint>,
    /// The index of the partitioned table to which it is attached.
    pub parent: Option<u32>,
    /// The names of its own columns, if it is partitioned or attached. They are those that the columns
    /// of the table had when it was created.
    pub column_names: Vec<String>,
    /// Its size.
    pub bytes: i64,
}

/// One key column of an index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct IndexKey {
    /// The column's number, 0 for an expression.
    pub column: i16,
    /// The expression.
    pub expression: Option<String>,
    /// The operator class, quoted, if it is not the default of the type or has options.
    pub opclass: Option<String>,
    /// The options of the operator class, as `name=value`.
    pub opclass_options: Vec<String>,
    /// The collation, quoted, if it is not the column's.
    pub collation: Option<String>,
    /// Whether values that are equal in it can have different bytes.
    pub is_nondeterministic: bool,
    /// Whether it is descending.
    pub descending: bool,
    /// Whether NULLs come first.
    pub nulls_first: bool,
}

/// The constraint of an index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct IndexConstraint {
    /// Its name, not quoted.
    pub name: String,
    /// `contype`.
    pub kind: String,
    /// Whether it is deferrable.
    pub deferrable: bool,
    /// Whether it is initially deferred.
    pub deferred: bool,
    /// Its comment.
    pub comment: Option<String>,
    /// The definition of an exclusion constraint.
    pub definition: Option<String>,
    /// The other objects that need it: views that group by it, and foreign keys of other tables.
    pub dependents: Vec<String>,
}

/// A foreign key that a migrated column is part of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ForeignKey {
    /// Its name, not quoted.
    pub name: String,
    /// The referencing table.
    pub child: u32,
    /// Its columns.
    pub child_columns: Vec<i16>,
    /// The referenced table.
    pub parent: u32,
    /// Its columns.
    pub parent_columns: Vec<i16>,
    /// `confmatchtype`.
    pub matching: String,
    /// `confupdtype`.
    pub on_update: String,
    /// `confdeltype`.
    pub on_delete: String,
    /// The columns that ON DELETE SET NULL or SET DEFAULT sets, if not all.
    pub set_columns: Vec<i16>,
    /// Whether it is deferrable.
    pub deferrable: bool,
    /// Whether it is initially deferred.
    pub deferred: bool,
    /// Whether all rows are known to satisfy it.
    pub validated: bool,
    /// Whether it is `NOT ENFORCED` (PostgreSQL 18 and later).
    pub not_enforced: bool,
    /// Whether it compares periods (PostgreSQL 18 and later).
    pub has_period: bool,
    /// Its comment.
    pub comment: Option<String>,
    /// The same foreign key on the partitions of the referencing table.
    pub parts: Vec<ForeignKeyPart>,
}

/// A foreign key of a partition that belongs to one of its partitioned table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ForeignKeyPart {
    /// The partition.
    pub table: u32,
    /// Its name there, not quoted.
    pub name: String,
}

/// A trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Trigger {
    /// Its name, not quoted.
    pub name: String,
    /// Whether it is our own.
    pub is_ours: bool,
    /// `tgtype`.
    pub kind: i16,
    /// `tgenabled`.
    pub enabled: String,
    /// The columns of `UPDATE OF`.
    pub columns: Vec<i16>,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its function, if it is not ours and sessions keep what they have compiled of it.
    pub function: Option<TriggerFunction>,
    /// Whether it belongs to a trigger of the partitioned table.
    pub is_clone: bool,
}

/// A PL/pgSQL function of a trigger. A session compiles it at the first call, and keeps the types of
/// the columns that it found then until the function is altered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct TriggerFunction {
    /// Its name and arguments, as SQL; empty if it cannot be converted to UTF-8.
    pub sql: String,
    /// Its `procost`, as SQL.
    pub cost: String,
    /// Whether the caller may alter it, and its name is known.
    pub may_alter: bool,
}

impl Trigger {
    /// Whether it fires before rows are inserted or updated.
    pub fn is_before_write(&self) -> bool {
        self.kind & 2 != 0 && self.kind & (4 | 16) != 0 && self.enabled != "D"
    }

    /// Whether it fires on UPDATE in an ordinary session.
    pub fn is_on_update(&self) -> bool {
        self.kind & 16 != 0 && matches!(self.enabled.as_str(), "O" | "A")
    }
}

/// A check constraint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Check {
    /// Its name, not quoted.
    pub name: String,
    /// The columns that it uses.
    pub columns: Vec<i16>,
    /// Whether all rows are known to satisfy it.
    pub validated: bool,
    /// Its expression.
    pub expression: String,
    /// Whether it is `NOT ENFORCED` (PostgreSQL 18 and later).
    pub not_enforced: bool,
    /// Whether it is `NO INHERIT`.
    pub no_inherit: bool,
    /// Whether it belongs to a check of the partitioned table.
    pub is_inherited: bool,
    /// Its comment.
    pub comment: Option<String>,
    /// How many rows violate it, if they have been counted.
    #[serde(skip)]
    pub violations: Option<i64>,
}

/// Something that depends on a column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Dependent {
    /// Its kind: `view`, `materialized view`, `rule`, `policy`, `function`, `extended statistics`,
    /// `generated column`, `check constraint`, `trigger`, `publication`, `object` for any other one
    /// that prevents the column from being dropped, or `default` for another column that draws from
    /// the sequence that the column owns.
    pub kind: String,
    /// Its name; that of a view, a function or a column with a default as SQL writes it.
    pub name: String,
    /// The column; 0 for the whole table.
    pub column: i16,
}

impl Dependent {
    /// Its name in a message.
    pub fn in_message(&self) -> String {
        match self.kind.as_str() {
            "view" | "materialized view" | "function" | "default" => in_message(&self.name).into_owned(),
            // PostgreSQL's own description.
            "object" => self.name.clone(),
            _ => format!("\"{}\"", self.name),
        }
    }

    /// Its kind and name in a message.
    pub fn described(&self) -> String {
        let name = self.in_message();
        if self.kind == "object" { name } else { format!("{} {name}", self.kind) }
    }
}

impl Stranger {
    /// Whether these are the tables of a foreign key.
    pub fn is(&self, key: &ForeignKey) -> bool {
        (self.table, self.other) == (key.child, key.parent)
    }
}

fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|error| {
        Error::new(
            SqlState::ObjectNotInPrerequisiteState,
            format!("could not interpret the system catalogs: {error}"),
        )
        .hint("If an object was dropped concurrently, try again.")
    })
}

impl Facts {
    /// Reads facts from the JSON document of the glue.
    ///
    /// # Errors
    /// 55000 if the document is not as expected.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        let mut facts: Self = read(json)?;
        facts.sum_partitions();
        Ok(facts)
    }

    /// A partitioned table has the rows of its partitions.
    fn sum_partitions(&mut self) {
        let is_top = |table: &&Table| table.kind == "p" && table.parent.is_none();
        let tops: Vec<u32> = self.tables.iter().filter(is_top).map(|table| table.oid).collect();
        for top in tops {
            let parts = || self.partitions_of(top).filter(|table| table.kind != "p");
            let rows = parts().fold(0_i64, |sum, table| sum.saturating_add(table.rows));
            let bytes = parts().fold(0_i64, |sum, table| sum.saturating_add(table.heap_bytes));
            let is_empty = parts().all(|table| table.is_empty);
            if let Some(table) = self.tables.iter_mut().find(|table| table.oid == top) {
                (table.rows, table.heap_bytes, table.is_empty) = (rows, bytes, is_empty);
            }
        }
    }

    /// The partitions of a table of the migration, and their partitions.
    pub fn partitions_of(&self, table: u32) -> impl Iterator<Item = &Table> {
        self.tables.iter().filter(move |one| one.oid != table && self.top_of(one.oid) == table)
    }

    /// The table of the migration that a partition belongs to; for other tables, the table itself.
    pub fn top_of(&self, table: u32) -> u32 {
        let mut top = table;
        while let Some(parent) = self.table(top).and_then(|table| table.parent) {
            top = parent;
        }
        top
    }

    /// Reads the tables that keys take their time from, from another document.
    ///
    /// # Errors
    /// As for [`Self::from_json`].
    pub fn time_parents_from_json(json: &str) -> Result<Vec<TimeParent>, Error> {
        read(json)
    }

    /// A table by its OID.
    pub fn table(&self, oid: u32) -> Option<&Table> {
        self.tables.iter().find(|table| table.oid == oid)
    }
}

impl Table {
    /// A column by its number.
    pub fn column(&self, number: i16) -> Option<&Column> {
        self.columns.iter().find(|column| column.number == number)
    }

    /// A column by its name.
    pub fn column_named(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether it is partitioned, so that it has no rows of its own.
    pub fn is_partitioned(&self) -> bool {
        self.kind == "p"
    }

    /// The index of the primary key.
    pub fn primary_key(&self) -> Option<&Index> {
        self.indexes.iter().find(|index| index.is_primary)
    }
}

impl Column {
    /// Whether its type is an integer type.
    pub fn is_integer(&self) -> bool {
        matches!(self.type_name.as_str(), "smallint" | "integer" | "bigint")
    }
}

impl Index {
    /// Its constraint, unless it is a primary key. The replacement of a primary key becomes one at the end.
    pub(super) fn unique_constraint(&self) -> Option<&IndexConstraint> {
        self.constraint.as_ref().filter(|constraint| constraint.kind != "p")
    }

    /// Whether a column is one of its key columns or included columns.
    pub fn has_column(&self, number: i16) -> bool {
        self.keys.iter().any(|key| key.column == number) || self.include.contains(&number)
    }
}
