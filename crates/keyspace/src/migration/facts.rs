//! What the catalogs tell of the tables of a migration. The glue reads it as one JSON document.

use serde::Deserialize;

use crate::error::{Error, SqlState};

/// Everything that a plan is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Facts {
    /// The schema of the extension, quoted where needed.
    pub extension_schema: String,
    /// The schema of the functions that are parts of others, triggers among them, quoted where needed.
    pub internal_schema: String,
    /// The major version of the server.
    pub major: i32,
    /// The least and the greatest number of keys, each with the table whose key it is.
    pub key_ranges: Vec<(u32, i64, i64)>,
    /// Sequences that give keys their numbers and are not of the class of the node, each with the table whose key it
    /// is; empty where the database is no node.
    pub strays: Vec<(u32, String)>,
    /// The tables, those whose keys are migrated among them.
    pub tables: Vec<Table>,
    /// The columns that refer to the keys, near and far, by foreign keys or because the caller said so.
    pub references: Vec<Reference>,
    /// The foreign keys between the tables.
    pub foreign_keys: Vec<ForeignKey>,
    /// Owners of tables that refer to keys of others.
    pub other_owners: Vec<OtherOwner>,
    /// Tables that refer to those of owners who may not act as theirs.
    pub strangers: Vec<Stranger>,
}

/// A table that refers to another, whose owner has not the rights of the owner of the first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Stranger {
    /// The table that refers.
    pub table: u32,
    /// The table that it refers to.
    pub other: u32,
    /// What the planner evaluates of the latter in whatever query it is part of, though others than whom the owner of the
    /// former has to trust have written it.
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

/// The owner of a table that refers to a key, who has not the rights of the owner of that key's table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct OtherOwner {
    /// The table whose key it is.
    pub key: u32,
    /// The table that refers to it.
    pub table: u32,
    /// The column that refers to it.
    pub column: i16,
    /// His name, not quoted.
    pub owner: String,
    /// Whether policies of the key's table apply to him.
    pub hides_rows: bool,
    /// Whether he may use its schema.
    pub may_use_schema: bool,
    /// Whether he may read all of it.
    pub may_select: bool,
    /// The columns of it that he may read.
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
    /// What others may do with it.
    pub grants: Vec<Grant>,
    /// Whether policies say who sees which rows.
    pub row_security: bool,
    /// Whether they hide rows from the caller, too.
    pub hides_rows: bool,
    /// `relpersistence`.
    pub persistence: String,
    /// About how many rows it has.
    pub rows: i64,
    /// The size of its heap.
    pub heap_bytes: i64,
    /// Whether the caller owns it.
    pub is_owner: bool,
    /// Whether it is a partition.
    pub is_partition: bool,
    /// Whether it has parents or children by inheritance.
    pub is_inherited: bool,
    /// Whether it belongs to PostgreSQL or to an extension.
    pub is_system: bool,
    /// `relreplident`.
    pub replica_identity: String,
    /// How many columns it has ever had.
    pub column_count: i16,
    /// Its columns, by their numbers.
    pub columns: Vec<Column>,
    /// Its indexes.
    pub indexes: Vec<Index>,
    /// Its triggers, PostgreSQL's own left out.
    pub triggers: Vec<Trigger>,
    /// Its check constraints.
    pub checks: Vec<Check>,
    /// Its rules.
    pub rules: Vec<String>,
    /// What else hangs on its columns: views, policies, functions and the like.
    pub dependents: Vec<Dependent>,
    /// The publications that it is in.
    pub publications: Vec<String>,
}

/// A privilege.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Grant {
    /// Who has it, not quoted; `None` for everybody.
    pub grantee: Option<String>,
    /// Its name in SQL.
    pub privilege: String,
    /// Whether it can be passed on.
    pub grantable: bool,
}

/// A column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Column {
    /// `attnum`.
    pub number: i16,
    /// Its name, not quoted.
    pub name: String,
    /// The type as SQL writes it, domains as what they are made of.
    pub type_name: String,
    /// The same for a message.
    pub declared_type: String,
    /// Whether it is NOT NULL.
    pub not_null: bool,
    /// The name of that constraint, where it has one.
    pub not_null_constraint: Option<String>,
    /// Its default, or the expression that it is generated from.
    pub default: Option<String>,
    /// `attidentity`.
    pub identity: String,
    /// `attgenerated`.
    pub generated: String,
    /// The part of its values that is NULL, in thousandths, as ANALYZE has found it.
    pub null_thousandths: Option<i64>,
    /// How many different values it has for every thousand rows, as ANALYZE has found it.
    pub distinct_thousandths: Option<i64>,
    /// Its comment.
    pub comment: Option<String>,
    /// Whether there are privileges on it alone.
    pub has_grants: bool,
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
    /// Whether a foreign key says so.
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
    /// Whether it is that of the primary key.
    pub is_primary: bool,
    /// Whether it is valid and kept up to date.
    pub is_valid: bool,
    /// Whether it is the replica identity.
    pub is_replica_identity: bool,
    /// Whether NULLs are equal in it.
    pub nulls_not_distinct: bool,
    /// What it is ordered by.
    pub keys: Vec<IndexKey>,
    /// The numbers of the columns that it includes besides.
    pub include: Vec<i16>,
    /// The condition of a partial index.
    pub predicate: Option<String>,
    /// The columns that its expressions and its condition use.
    pub used_columns: Vec<i16>,
    /// Its storage parameters, as `name=value`.
    pub options: Vec<String>,
    /// Its tablespace, where it is not that of the database.
    pub tablespace: Option<String>,
    /// The constraint that it belongs to.
    pub constraint: Option<IndexConstraint>,
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
    /// The operator class, quoted, where it is not the default of the type.
    pub opclass: Option<String>,
    /// The collation, quoted, where it is not the column's.
    pub collation: Option<String>,
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
    /// The columns that ON DELETE SET NULL or SET DEFAULT sets, where they are not all.
    pub set_columns: Vec<i16>,
    /// Whether it is deferrable.
    pub deferrable: bool,
    /// Whether it is deferred at first.
    pub deferred: bool,
    /// Whether all rows are known to hold to it.
    pub validated: bool,
}

/// A trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Trigger {
    /// Its name, not quoted.
    pub name: String,
    /// Whether it is one of ours.
    pub is_ours: bool,
    /// `tgtype`.
    pub kind: i16,
    /// `tgenabled`.
    pub enabled: String,
    /// The columns of `UPDATE OF`.
    pub columns: Vec<i16>,
    /// Its arguments.
    pub arguments: Vec<String>,
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
    /// The columns that it is about.
    pub columns: Vec<i16>,
    /// Whether all rows are known to hold to it.
    pub validated: bool,
    /// What it checks.
    pub expression: String,
    /// How many rows violate it, where they have been counted.
    #[serde(skip)]
    pub violations: Option<i64>,
}

/// Something that depends on a column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Dependent {
    /// What it is: `view`, `policy`, `function`, `extended statistics`, `generated column`, `check constraint`, `trigger`,
    /// and `default` for another column that draws from the sequence which the column owns.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The column, 0 where it is the table as a whole.
    pub column: i16,
}

impl Stranger {
    /// Whether these are the tables of a foreign key.
    pub fn is(&self, key: &ForeignKey) -> bool {
        (self.table, self.other) == (key.child, key.parent)
    }
}

impl Facts {
    /// Facts out of the JSON that the glue reads.
    ///
    /// # Errors
    /// 55000 where it is not what is expected.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        serde_json::from_str(json).map_err(|error| {
            Error::new(
                SqlState::ObjectNotInPrerequisiteState,
                format!("the catalogs are not as expected: {error}"),
            )
            .hint("Where something was dropped at the same time, run it again.")
        })
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

    /// The index of the primary key.
    pub fn primary_key(&self) -> Option<&Index> {
        self.indexes.iter().find(|index| index.is_primary)
    }
}

impl Column {
    /// Whether it is of a type of whole numbers.
    pub fn is_integer(&self) -> bool {
        matches!(self.type_name.as_str(), "smallint" | "integer" | "bigint")
    }
}

impl Index {
    /// Whether a column is one of its keys or is included.
    pub fn has_column(&self, number: i16) -> bool {
        self.keys.iter().any(|key| key.column == number) || self.include.contains(&number)
    }
}
